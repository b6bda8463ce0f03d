package tests

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"io"
	"net"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A session of a client tells in lines how it goes: "wrong" and why, if the client gets what it must not, else for each round of
// a SET and a GET of a key of its own "<round> ok" or "<round> failed" and why. A round begins when the one before has ended.
type session struct {
	library, mode string

	mu      sync.Mutex
	round   int       // the last one
	after   int       // rounds from here on began after the node was killed; 0: it was not
	healed  time.Time // when the first of those was ok
	oks     int
	wrong   string
	failure string // the last one
}

func (s *session) say(line string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	number, text, _ := strings.Cut(line, " ")
	n, err := strconv.Atoi(number)
	switch {
	case err != nil:
		s.wrong = cmp.Or(s.wrong, line)
	case text != "ok":
		s.round, s.failure = n, text
	default:
		s.round, s.oks = n, s.oks+1
		if s.after > 0 && n >= s.after && s.healed.IsZero() {
			s.healed = time.Now()
		}
	}
}

// killed notes that of the rounds that have been told and the one under way none is to count.
func (s *session) killed() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.after = s.round + 3
}

func (s *session) look(f func() bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return f()
}

// program runs the session in another language.
func (s *session) program(t *testing.T, ctx context.Context, seeds []string, tag string, command ...string) {
	cmd := exec.CommandContext(ctx, command[0], append(command[1:], s.library, s.mode, strings.Join(seeds, ","), tag)...)
	cmd.Dir = "clients"
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	in, err := cmd.StdinPipe() // closed when we end, however we do
	require.NoError(t, err)
	errors := new(strings.Builder)
	cmd.Stderr = errors
	if err := cmd.Start(); err != nil {
		s.say("wrong make setup-test installs it: " + err.Error())
		return
	}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		s.say(lines.Text())
	}
	_ = in.Close()
	if err := cmd.Wait(); ctx.Err() == nil {
		s.say(fmt.Sprintf("wrong it has ended: %v %s", err, errors))
	}
}

// balancer is an address at which clients that know only one reach a node that is up: the first that takes a connection.
func balancer(t *testing.T, nodes []string) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	pass := func(client net.Conn) {
		defer client.Close()
		for _, address := range nodes {
			node, err := net.Dial("tcp", address)
			if err != nil {
				continue
			}
			go func() {
				_, _ = io.Copy(node, client) // either end may be gone
				_ = node.Close()
			}()
			_, _ = io.Copy(client, node)
			return
		}
	}
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			go pass(client)
		}
	}()
	return l.Addr().String()
}

// nodeToKill finds a node that leads slots, and a tag of keys in them. It does not lead the first: a node that does redis-py 4
// cannot lose, whatever it is a client of (it copies a lock when it asks for the slots again).
func nodeToKill(t *testing.T, c *goredis.Client, resp []string) (node int, tag string) {
	require.Eventually(t, func() bool { // leaders may still be spreading
		shards, err := c.ClusterShards(t.Context()).Result()
		if err != nil {
			return false
		}
		leads := func(shard goredis.ClusterShard, slot int64) bool {
			return slices.ContainsFunc(shard.Slots, func(r goredis.SlotRange) bool { return r.Start <= slot && slot <= r.End })
		}
		address := func(shard goredis.ClusterShard) string {
			return net.JoinHostPort(shard.Nodes[0].IP, strconv.FormatInt(shard.Nodes[0].Port, 10)) // the first is the leader
		}
		first := slices.IndexFunc(shards, func(s goredis.ClusterShard) bool { return leads(s, 0) })
		other := slices.IndexFunc(shards, func(s goredis.ClusterShard) bool { return first >= 0 && address(s) != address(shards[first]) })
		if other < 0 {
			return false
		}
		node = slices.Index(resp, address(shards[other]))
		for i := 0; ; i++ {
			if tag = fmt.Sprint("t", i); leads(shards[other], c.ClusterKeySlot(t.Context(), tag).Val()) {
				return true
			}
		}
	}, 30*time.Second, 100*time.Millisecond)
	return node, tag
}

// healTime is how long after the kill -9 of its node a client may have no success. Groups elect leaders within a second; the rest
// is the client's.
const healTime = 2 * time.Second

// TestClients: today's clients of Redis work with their default settings (but see docs/RESP.md for two that would wait longer), and
// get over the kill -9 of the node that they talk to. As a machine may be busy with something else, the best of three tries counts.
func TestClients(t *testing.T) {
	var slow []string
	for try := range 3 {
		t.Run(fmt.Sprint(try), func(t *testing.T) { slow = overAKill(t) })
		if t.Failed() || len(slow) == 0 {
			return
		}
	}
	require.Empty(t, slow)
}

// overAKill tells which clients took longer than healTime.
func overAKill(t *testing.T) (slow []string) {
	var resp []string
	p := startProcesses(t, 3, func(i int) []string {
		if resp == nil {
			resp = (&processes{t: t}).free(3)
		}
		return []string{"--resp", resp[i]}
	})
	first := goredis.NewClient(&goredis.Options{Addr: resp[0]})
	defer first.Close()
	victim, tag := nodeToKill(t, first, resp)
	seeds := []string{resp[victim], resp[(victim+1)%3], resp[(victim+2)%3]}
	all := startSessions(t, seeds, []string{balancer(t, seeds)}, tag)
	all.reach(t, "it works", func(s *session) bool { return s.oks >= 20 })
	p.kill(victim)
	killed := time.Now()
	for _, s := range all {
		s.killed()
	}
	all.reach(t, "a success after the kill", func(s *session) bool { return !s.healed.IsZero() })
	for _, s := range all {
		line := fmt.Sprintf("%-8s %-7s first success after %v", s.library, s.mode, s.healed.Sub(killed).Round(time.Millisecond))
		if t.Log(line); s.healed.Sub(killed) > healTime {
			slow = append(slow, line)
		}
	}
	p.start(victim)
	p.ready()
	now := map[*session]int{}
	for _, s := range all {
		s.look(func() bool { now[s] = s.oks; return true })
	}
	all.reach(t, "it goes on", func(s *session) bool { return s.oks >= now[s]+20 })
	return slow
}

type sessions []*session

// startSessions starts one of each client, as for one server and as for a cluster. They end with the test.
func startSessions(t *testing.T, seeds, single []string, tag string) (all sessions) {
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	t.Cleanup(func() {
		stop()
		running.Wait()
	})
	begin := func(library, mode string, command ...string) {
		s, at := &session{library: library, mode: mode}, seeds
		if all = append(all, s); mode == "single" {
			at = single
		}
		running.Go(func() {
			if command == nil {
				goSession(ctx, library, mode, tag, at, s.say)
			} else {
				s.program(t, ctx, at, tag, command...)
			}
		})
	}
	for _, mode := range []string{"single", "cluster"} {
		begin("go-redis", mode)
		begin("rueidis", mode)
		begin("redis", mode, "node", "session.mjs")
		begin("ioredis", mode, "node", "session.mjs")
		begin("redis-py", mode, "/usr/bin/python3", "session.py") // Debian's, which has Debian's redis
	}
	begin("redigo", "single")
	return all
}

// reach waits until all are so far, and nothing is wrong with any.
func (all sessions) reach(t *testing.T, what string, done func(*session) bool) {
	for _, s := range all {
		ok := assert.Eventually(t, func() bool { return s.look(func() bool { return s.wrong != "" || done(s) }) }, time.Minute, 2*time.Millisecond)
		s.look(func() bool {
			require.Empty(t, s.wrong, "%s %s", s.library, s.mode)
			require.True(t, ok, "%s %s, %s: %s", s.library, s.mode, what, s.failure)
			return true
		})
	}
}
