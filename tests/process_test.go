package tests

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/client"
	"github.com/eraft-io/eraft/cluster/clustertest"
	"github.com/eraft-io/eraft/messages"
)

// processes are real servers: built once, started, killed with -9 and started again.
type processes struct {
	t     *testing.T
	dir   string
	seeds []string
	http  []string
	knows []string // the seeds that each node is started with
	procs []*exec.Cmd
	more  func(i int) []string // arguments of a node beside the usual ones
	env   []string             // of nodes that are started from now on, beside the test's own
	via   []string             // a command that starts nodes from now on, with theirs behind it
	err   *os.File             // standard error of nodes that are started from now on; nil: a file, see log
}

var build = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "eraft-bin-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "eraft")
	out, err := exec.Command("go", "build", "-o", path, "github.com/eraft-io/eraft/cmd/eraft").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build: %w: %s", err, out)
	}
	return path, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if path, err := build(); err == nil {
		err = os.RemoveAll(filepath.Dir(path))
		if err != nil {
			fmt.Println(err)
		}
	}
	os.Exit(code)
}

func startProcesses(t *testing.T, n int, more ...func(i int) []string) *processes {
	p := &processes{t: t, dir: t.TempDir(), procs: make([]*exec.Cmd, n), more: func(int) []string { return nil }}
	if len(more) > 0 {
		p.more = more[0]
	}
	addresses := p.free(2 * n)
	p.seeds, p.http = addresses[:n:n], addresses[n:]
	for range n {
		p.knows = append(p.knows, strings.Join(p.seeds, ","))
	}
	t.Cleanup(func() {
		for i := range p.procs {
			p.kill(i)
		}
		if t.Failed() {
			for i := range p.procs {
				t.Logf("--- log of n%d\n%s", i+1, p.log(i))
			}
		}
	})
	for i := range n {
		p.start(i)
	}
	p.ready()
	return p
}

// free finds addresses that nobody listens on.
func (p *processes) free(n int) (all []string) {
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(p.t, err)
		defer l.Close() // all are held until all are known, so that they differ
		all = append(all, l.Addr().String())
	}
	return all
}

// join starts one more node, on an empty disk, that knows one other.
func (p *processes) join(seed int) int {
	addresses := p.free(2)
	p.knows = append(p.knows, p.seeds[seed])
	p.seeds, p.http, p.procs = append(p.seeds, addresses[0]), append(p.http, addresses[1]), append(p.procs, nil)
	p.start(len(p.procs) - 1)
	return len(p.procs) - 1
}

// stop sends SIGTERM: the node transfers its leaderships, and exits with 0.
func (p *processes) stop(i int) {
	cmd := p.procs[i]
	p.procs[i] = nil
	require.NoError(p.t, cmd.Process.Signal(syscall.SIGTERM))
	require.NoError(p.t, cmd.Wait(), "n%d: %s", i+1, p.log(i))
}

// wait is until a node has ended by itself, and how.
func (p *processes) wait(i int) error {
	cmd := p.procs[i]
	p.procs[i] = nil
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case err := <-ended:
		return err
	case <-time.After(30 * time.Second):
		p.procs[i] = cmd
		require.FailNow(p.t, "it goes on", "n%d: %s", i+1, p.log(i))
		return nil
	}
}

func (p *processes) start(i int) {
	path, err := build()
	require.NoError(p.t, err)
	log, err := os.OpenFile(filepath.Join(p.dir, fmt.Sprintf("n%d.log", i+1)), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	require.NoError(p.t, err)
	defer log.Close()
	line := slices.Concat(p.via, []string{path, "server", "--name", fmt.Sprintf("n%d", i+1), "--data", p.data(i), "--listen", p.seeds[i],
		"--seeds", p.knows[i], "--http", p.http[i]}, p.more(i))
	cmd := exec.Command(line[0], line[1:]...)
	cmd.Stderr, cmd.Env = cmp.Or(p.err, log), append(os.Environ(), p.env...)
	require.NoError(p.t, cmd.Start())
	p.procs[i] = cmd
}

func (p *processes) data(i int) string { return filepath.Join(p.dir, fmt.Sprintf("n%d", i+1)) }

func (p *processes) log(i int) string {
	body, err := os.ReadFile(filepath.Join(p.dir, fmt.Sprintf("n%d.log", i+1)))
	if err != nil {
		return err.Error()
	}
	return string(body[max(0, len(body)-3000):])
}

// kill is kill -9.
func (p *processes) kill(i int) {
	if cmd := p.procs[i]; cmd != nil {
		p.procs[i] = nil
		if err := cmd.Process.Kill(); err != nil {
			p.t.Logf("kill n%d: %v", i+1, err)
		}
		if err := cmd.Wait(); err == nil {
			p.t.Logf("n%d had ended by itself", i+1)
		}
	}
}

// ready waits until every running node can serve.
func (p *processes) ready() {
	for i := range p.procs {
		if p.procs[i] == nil {
			continue
		}
		last := new(bytes.Buffer)
		require.Eventually(p.t, func() bool {
			last.Reset()
			r, err := http.Get("http://" + p.http[i] + "/readyz")
			if err != nil {
				last.WriteString(err.Error())
				return false
			}
			defer r.Body.Close()
			_, err = last.ReadFrom(r.Body)
			return err == nil && r.StatusCode == http.StatusOK
		}, 40*time.Second, 50*time.Millisecond, "n%d: %s", i+1, last)
	}
}

// underLoad runs disturb while clients work, and judges what they saw.
func underLoad(t *testing.T, p *processes, disturb func()) {
	c, err := client.Connect(t.Context(), client.Config{Seeds: p.seeds, Timeout: 25 * time.Second})
	require.NoError(t, err)
	defer func() { require.NoError(t, c.Close()) }()
	began := time.Now()
	h := clustertest.NewHistory(rand.New(rand.NewPCG(1, 3)), 256, func() time.Duration { return time.Since(began) })
	do := func(id int, op proto.Message) {
		r, err := c.Do(context.Background(), op)
		if err := h.Answer(id, r); err != nil {
			t.Error(err)
		}
		if err != nil && !errors.Is(err, client.ErrConflict) {
			t.Errorf("%T: %v", op, err) // within its deadline a session retries over any crash
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for ctx.Err() == nil {
				do(h.Next())
			}
		})
	}
	time.Sleep(time.Second)
	disturb()
	time.Sleep(2 * time.Second)
	cancel()
	wg.Wait()
	for id, op := range h.EveryKey(messages.ReadFrom_LEADER) {
		do(id, op)
	}
	judged, tangled, violation := h.Judge(60 * time.Second)
	require.Empty(t, violation)
	require.False(t, tangled)
	require.Positive(t, judged)
	t.Logf("%d operations linearizable", judged)
}

func TestKillLeadersUnderLoad(t *testing.T) {
	p := startProcesses(t, 3)
	underLoad(t, p, func() {
		for i := range 3 { // each node leads something
			p.kill(i)
			time.Sleep(2 * time.Second)
			p.start(i)
			p.ready()
		}
	})
}

func TestKillAllUnderLoad(t *testing.T) {
	p := startProcesses(t, 3)
	underLoad(t, p, func() {
		for range 2 {
			for i := range 3 {
				p.kill(i)
			}
			for i := range 3 {
				p.start(i)
			}
			p.ready()
			time.Sleep(time.Second)
		}
	})
}

// TestMoveIdleBuckets hands every bucket of a group to another and back, and counts the keys.
func TestMoveIdleBuckets(t *testing.T) {
	p := startProcesses(t, 3)
	c, err := client.Connect(t.Context(), client.Config{Seeds: p.seeds, Timeout: 25 * time.Second})
	require.NoError(t, err)
	defer func() { require.NoError(t, c.Close()) }()
	const keys = 300
	for i := range keys {
		_, err := c.Put(t.Context(), fmt.Appendf(nil, "k%d", i), fmt.Appendf(nil, "v%d", i))
		require.NoError(t, err)
	}
	for _, group := range []uint64{2, 1} {
		config, err := c.Move(t.Context(), 0, 255, group)
		require.NoError(t, err)
		for i := range keys {
			v, found, err := c.Get(t.Context(), fmt.Appendf(nil, "k%d", i))
			require.NoError(t, err, "key %d in config %d", i, config.Version)
			require.True(t, found, "key %d is lost in config %d", i, config.Version)
			require.Equal(t, fmt.Sprintf("v%d", i), string(v.Data))
		}
		require.Eventually(t, func() bool {
			body, err := c.Status(t.Context(), p.seeds[0])
			return err == nil && !strings.Contains(string(body), `"moving"`)
		}, 30*time.Second, 100*time.Millisecond, "buckets are still moving")
	}
	_, err = c.Move(t.Context(), 300, 300, 1)
	require.ErrorIs(t, err, client.ErrInvalid)
	require.ErrorContains(t, err, "buckets are 0-255")
	log, err := c.ConfigLog(t.Context(), 0, 0)
	require.NoError(t, err)
	require.True(t, slices.ContainsFunc(log, func(c *messages.Config) bool { return c.Change == "move 0-255 to 1" }))
	require.Contains(t, log[len(log)-1].Change, "arrived at 1")
}

func TestBadInput(t *testing.T) {
	path, err := build()
	require.NoError(t, err)
	dir := t.TempDir()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	file := filepath.Join(dir, "file")
	require.NoError(t, os.WriteFile(file, []byte("x: 1\n"), 0o600))
	foreign := filepath.Join(dir, "foreign")
	require.NoError(t, os.Mkdir(foreign, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(foreign, "thesis.tex"), nil, 0o600))
	for _, c := range []struct {
		name string
		args string
		code int
		says string
	}{
		{"unknown flag", "server --nonsense", 2, "unknown flag: --nonsense"},
		{"unknown command", "serve", 2, "unknown command"},
		{"no data directory", "server", 2, "say where the node keeps its data"},
		{"data directory is a file", "server --data " + file + "/d", 1, "data directory"},
		{"data directory of somebody else", "server --listen 127.0.0.1:0 --data " + foreign, 1, `holds "thesis.tex", but nothing of eRaft's: choose an empty directory`},
		{"port in use", "server --data " + dir + "/a --listen " + taken.Addr().String(), 1, "is another process on that port?"},
		{"resp port in use", "server --data " + dir + "/b --listen 127.0.0.1:0 --resp " + taken.Addr().String(), 1, "resp:"},
		{"not loopback", "server --data " + dir + "/c --listen 0.0.0.0:0", 2, "without TLS"},
		{"unknown key in file", "server --config " + file, 2, `unknown key "x"`},
		{"too many buckets", "server --data " + dir + "/e --buckets 20000", 2, "buckets is 20000, but must be 1 to 16384"},
		{"no seeds", "get k", 2, "say --seeds"},
		{"seeds that do not answer", "get k --timeout 1s --seeds 127.0.0.1:1", 5, "no node of the cluster is known"},
		{"not a number", "move x 1 --seeds 127.0.0.1:1 --timeout 1s", 2, "is not a number"},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			cmd := exec.CommandContext(ctx, path, strings.Fields(c.args)...)
			out, _ := cmd.CombinedOutput()
			require.Equal(t, c.code, cmd.ProcessState.ExitCode(), "%s", out)
			require.Contains(t, string(out), c.says)
			require.NotContains(t, string(out), "panic")
		})
	}
}

// TestDirectoryIsGuarded: a directory in use, or of another node, is refused.
func TestDirectoryIsGuarded(t *testing.T) {
	p := startProcesses(t, 1)
	path, err := build()
	require.NoError(t, err)
	out, err := exec.Command(path, "server", "--name", "n1", "--data", p.data(0), "--listen", "127.0.0.1:0").CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(out), "in use by process")
	p.kill(0)
	out, err = exec.Command(path, "server", "--name", "other", "--data", p.data(0), "--listen", "127.0.0.1:0").CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(out), `belongs to node "n1"`)
}
