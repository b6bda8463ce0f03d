package gateway

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/messages"
)

// sized is a cluster whose values are as long as their keys say. It answers when the test lets it.
type sized struct {
	mu      sync.Mutex
	waiting []func()
	room    int // of all reads that are not answered
	largest int // that it ever was
	asked   map[string]int
	given   map[string]int
	over    chan struct{}
}

func newSized(t *testing.T) *sized {
	s := &sized{asked: map[string]int{}, given: map[string]int{}, over: make(chan struct{})}
	var answering sync.WaitGroup
	answering.Go(func() {
		for {
			select {
			case <-s.over:
				return
			case <-time.After(time.Millisecond):
				s.answer()
			}
		}
	})
	t.Cleanup(func() { close(s.over); answering.Wait() })
	return s
}

// answer answers all that waits.
func (s *sized) answer() {
	s.mu.Lock()
	all := s.waiting
	s.waiting = nil
	s.mu.Unlock()
	for _, one := range all {
		one()
	}
}

func (s *sized) Ask(op proto.Message, _ time.Duration, room int, done func(*messages.Reply)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := &messages.Reply{}
	if get, ok := op.(*messages.Get); ok {
		n, _ := strconv.Atoi(strings.TrimLeft(string(get.Key), "abcdefghijk"))
		r.Found, r.Value = true, make([]byte, n)
		s.asked[string(get.Key)]++
	}
	if bytes := messages.ReplyBytes(r); room > 0 && bytes > room {
		r = &messages.Reply{Code: messages.Code_OVERLOADED, NeededBytes: uint64(bytes)}
	}
	if r.Found {
		s.given[string(op.(*messages.Get).Key)]++
	}
	s.room += room
	s.largest = max(s.largest, s.room)
	s.waiting = append(s.waiting, func() {
		s.mu.Lock()
		s.room -= room
		s.mu.Unlock()
		done(r)
	})
}

func begun(t *testing.T, o Options) *Gateway {
	o.Listen = "127.0.0.1:0"
	g, err := Start(o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, g.Close()) })
	return g
}

func dial(t *testing.T, g *Gateway) net.Conn {
	conn, err := net.Dial("tcp", g.Address())
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(time.Minute)))
	return conn
}

// lengths reads the answers of GETs, and gives their lengths.
func lengths(t *testing.T, r *bufio.Reader, count int) (all []int) {
	for range count {
		line, err := r.ReadString('\n')
		require.NoError(t, err)
		require.Equal(t, "$", line[:1], line)
		n, err := strconv.Atoi(strings.TrimSpace(line[1:]))
		require.NoError(t, err)
		_, err = r.Discard(n + 2)
		require.NoError(t, err)
		all = append(all, n)
	}
	return all
}

// Clients that read get everything that they ask for, in order, although it exceeds the budget; at no time is more requested than the
// budget allows.
func TestRepliesStayWithinTheBudget(t *testing.T) {
	const clients, most = 12, 700 << 10
	mixed := []int{100, 5000, 600 << 10, 12000, 20, 3000, 300 << 10, 300 << 10, 1, 50000}
	s := newSized(t)
	g := begun(t, Options{Backend: s, ReplyBytes: most})
	var done sync.WaitGroup
	for i := range clients {
		conn := dial(t, g)
		text, want := "", []int{}
		for j := range 60 {
			n := mixed[(i*7+j*(1+i%3))%len(mixed)]
			want = append(want, n)
			text += resp("GET", fmt.Sprint(string(rune('a'+j%10)), n))
		}
		done.Go(func() {
			_, err := io.WriteString(conn, text)
			if err != nil {
				t.Error(err)
				return
			}
			r := bufio.NewReader(conn)
			for j, n := range lengths(t, r, len(want)) {
				if n != want[j] {
					t.Errorf("answer %d has %d bytes instead of %d", j, n, want[j])
				}
			}
		})
	}
	done.Wait()
	require.LessOrEqual(t, s.largest, most+clients*freeReplyBytes)
	require.Greater(t, s.largest, most/2)
	require.Eventually(t, func() bool { return g.replyBudget.tryReserve(most) }, 30*time.Second, time.Millisecond, "all room is given back")
}

// Values of equal size are requested once, except the first.
func TestValuesOfOneSizeAreReadOnce(t *testing.T) {
	s := newSized(t)
	conn := dial(t, begun(t, Options{Backend: s}))
	_, err := io.WriteString(conn, strings.Repeat(resp("GET", "300000"), 50))
	require.NoError(t, err)
	lengths(t, bufio.NewReader(conn), 50)
	require.LessOrEqual(t, s.asked["300000"], 50+1)
	_, err = io.WriteString(conn, strings.Repeat(resp("GET", "a100"), 1000))
	require.NoError(t, err)
	lengths(t, bufio.NewReader(conn), 1000)
	require.Equal(t, 1000, s.asked["a100"])
}

// A client that does not read gets no more carried out than the budget allows, does not block other clients, and is disconnected in
// the end.
func TestClientsThatDoNotRead(t *testing.T) {
	const clients, asked, size, most = 10, 300, 900_000, 4 << 20
	s, stalled := newSized(t), make(chan string, clients)
	g := begun(t, Options{Backend: s, ReplyBytes: most, WriteTimeout: 500 * time.Millisecond, ClientStalled: func(client string) { stalled <- client }})
	addresses := map[string]bool{}
	for range clients {
		conn := dial(t, g)
		require.NoError(t, conn.(*net.TCPConn).SetReadBuffer(4<<10))
		addresses[conn.LocalAddr().String()] = true
		_, err := io.WriteString(conn, strings.Repeat(resp("GET", fmt.Sprint(size)), asked))
		require.NoError(t, err)
	}
	for range clients {
		other := dial(t, g)
		_, err := io.WriteString(other, strings.Repeat(resp("GET", "a100")+resp("SET", "k", "v"), 10))
		require.NoError(t, err)
		r := bufio.NewReader(other)
		for range 10 {
			lengths(t, r, 1)
			line, err := r.ReadString('\n')
			require.NoError(t, err)
			require.Equal(t, "+OK\r\n", line)
		}
		require.NoError(t, other.Close())
	}
	for range clients {
		delete(addresses, <-stalled)
	}
	require.Empty(t, addresses, "who did not read is gone, and nobody else")
	require.Less(t, s.given[fmt.Sprint(size)], clients*asked/10, "what is not read is not carried out")
	require.Less(t, s.asked[fmt.Sprint(size)], clients*asked/10)
	require.LessOrEqual(t, s.largest, most+2*clients*freeReplyBytes)
	require.Eventually(t, func() bool { return g.replyBudget.tryReserve(most) }, 30*time.Second, time.Millisecond, "all room is given back")
}

// A slow client that reads is not treated as one that does not.
func TestSlowClientsAreServed(t *testing.T) {
	server, cl := net.Pipe()
	defer cl.Close()
	d := &deadlineWriter{conn: server, wait: 30 * time.Second}
	var done sync.WaitGroup
	done.Go(func() {
		n, err := d.Write(make([]byte, 2*writeChunk+5))
		if n != 2*writeChunk+5 || err != nil {
			t.Error(n, err)
		}
		_ = server.Close()
	})
	buf, total := make([]byte, 1000), 0
	for {
		n, err := cl.Read(buf)
		if total += n; err != nil {
			break
		}
	}
	done.Wait()
	require.Equal(t, 2*writeChunk+5, total)
	require.False(t, d.stalled())

	server, cl = net.Pipe()
	defer cl.Close()
	d = &deadlineWriter{conn: server, wait: time.Millisecond}
	n, err := d.Write(make([]byte, 5))
	require.Error(t, err)
	require.Zero(t, n)
	require.True(t, d.stalled())
	_, err = d.Write(make([]byte, 5))
	require.Error(t, err, "nothing follows a part that is missing")
}

// One command returns no more than its limit, and says so.
func TestOneReplyIsBounded(t *testing.T) {
	s := newSized(t)
	conn := dial(t, begun(t, Options{Backend: s, ReplyBytes: 1 << 20}))
	mget := func(count, size int) string {
		args := []string{"MGET"}
		for i := range count {
			args = append(args, fmt.Sprint(string(rune('a'+i%10)), size))
		}
		return resp(args...)
	}
	_, err := io.WriteString(conn, mget(8, 1_000_000)+mget(9, 1_000_000)+mget(3000, 100)+mget(8000, 1100)+resp("GET", "7"))
	require.NoError(t, err)
	r := bufio.NewReader(conn)
	for _, want := range []string{"*8", "-ERR the answer has", "*3000", "-ERR the answer has"} {
		line, err := r.ReadString('\n')
		require.NoError(t, err)
		require.True(t, strings.HasPrefix(line, want), line)
		if count, ok := strings.CutPrefix(want, "*"); ok {
			n, err := strconv.Atoi(count)
			require.NoError(t, err)
			lengths(t, r, n)
		}
	}
	require.Equal(t, []int{7}, lengths(t, r, 1))
}
