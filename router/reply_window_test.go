package router

import (
	"bytes"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/actors"
	"github.com/eraft-io/eraft/messages"
)

func TestSizeEstimate(t *testing.T) {
	var g SizeEstimate
	require.Equal(t, initialEstimate, g.Bytes())
	require.False(t, g.Known())
	first := g
	first.Observe(1 << 20)
	require.Equal(t, 1<<20, first.Bytes(), "of the first answer there is nothing to compare with")
	for range 20 {
		g.Observe(100)
	}
	require.Equal(t, minEstimate, g.Bytes())
	for range 20 {
		g.Observe(1 << 20)
	}
	require.Equal(t, 1<<20, g.Bytes())
	for range 3 {
		g.Observe(1 << 20)
		require.Equal(t, 1<<20, g.Bytes(), "answers that are all alike")
	}
	for i := range 100 { // a few large ones among small ones
		if i%10 == 0 {
			g.Observe(1 << 20)
		} else {
			g.Observe(300)
		}
	}
	require.LessOrEqual(t, g.Bytes(), 2*initialEstimate)
}

// The reply budget of a request is the size that its reply can have, as far as that is known.
func TestReplyBudgets(t *testing.T) {
	a := replyWindow{capacity: 16 << 20, writeReplySize: messages.MaxValueBytes}
	previous := func(op proto.Message) *messages.Write {
		switch w := op.(type) {
		case *messages.Put:
			return &messages.Write{Op: &messages.Write_Put{Put: w}}
		case *messages.Delete:
			return &messages.Write{Op: &messages.Write_Delete{Delete: w}}
		}
		return nil
	}
	for _, c := range []struct {
		name string
		op   proto.Message
		want int
	}{
		{"put", &messages.Put{}, smallReply},
		{"put that tells what was there", &messages.Put{ReturnPrevious: true}, 1 << 20},
		{"delete that tells what was there", &messages.Delete{ReturnPrevious: true}, 1 << 20},
		{"compare-and-swap", &messages.CompareAndSwap{}, 1 << 20},
		{"append", &messages.Append{}, smallReply},
		{"incr", &messages.Incr{}, smallReply},
		{"batch", &messages.Batch{Writes: []*messages.Write{previous(&messages.Put{}), previous(&messages.Delete{})}}, smallReply},
		{"batch that tells one value", &messages.Batch{Writes: []*messages.Write{previous(&messages.Put{ReturnPrevious: true}), previous(&messages.Delete{})}}, 1 << 20},
		{"batch that tells many", &messages.Batch{Writes: []*messages.Write{
			previous(&messages.Put{ReturnPrevious: true}), previous(&messages.Put{ReturnPrevious: true}), previous(&messages.Delete{ReturnPrevious: true}), previous(&messages.Delete{ReturnPrevious: true}),
		}}, messages.MaxReplyBytes},
		{"batch with a condition", &messages.Batch{Conditions: []*messages.Condition{{}}}, 1 << 20},
		{"change of the config", &messages.MetaCommand{}, smallReply},
		{"config", &messages.MetaQuery{}, 0},
		{"get", &messages.Get{}, initialEstimate},
		{"get of a length", &messages.Get{MetaOnly: true}, smallReply},
		{"page", &messages.Scan{}, messages.MaxScanBytes/4 + smallReply},
		{"page of so many bytes", &messages.Scan{MaxBytes: 1 << 30}, messages.MaxScanBytes + smallReply},
		{"page of a few keys", &messages.Scan{MaxKeys: 10, Projection: messages.Scan_KEYS}, 10*(messages.MaxKeyBytes+32) + smallReply},
		{"page of numbers", &messages.Scan{Projection: messages.Scan_COUNT}, smallReply},
	} {
		require.Equal(t, c.want, a.budgetFor(c.op), c.name)
	}
	for range 100 {
		a.observe(&messages.CompareAndSwap{}, 100)
		a.observe(&messages.Put{}, 100)
		a.observe(&messages.Get{MetaOnly: true}, 1<<20)
		a.observe(&messages.Scan{}, 1<<20)
	}
	require.Equal(t, minWriteReplySize, a.budgetFor(&messages.Put{ReturnPrevious: true}), "they were small lately")
	require.Equal(t, initialEstimate, a.budgetFor(&messages.Get{}))
	a.observe(&messages.Delete{ReturnPrevious: true}, 1<<20)
	require.Equal(t, 1<<20, a.budgetFor(&messages.Put{ReturnPrevious: true}), "one was not")
}

// stoppedClock is a clock that stands still: nothing is late, and nothing is retried.
type stoppedClock struct{}

func (stoppedClock) Now() time.Duration                          { return time.Hour }
func (stoppedClock) Wall() time.Time                             { return time.Unix(0, 0) }
func (stoppedClock) After(time.Duration, func()) (cancel func()) { return func() {} }

// heldLeader stands for the leader of group 1. It holds the requests until the test releases a reply.
type heldLeader struct {
	mu      sync.Mutex
	sys     *actors.System
	sizes   map[string]int // of values
	asked   []asked
	first   map[string]int // how often each key was asked for
	largest int            // room of everything that was unanswered at one time
}

type asked struct {
	from, key    string
	id           *actor.PID
	room         int
	session, seq uint64
}

func (h *heldLeader) Receive(ctx actor.Context) {
	m, ok := ctx.Message().(*messages.Requests)
	if !ok {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, a := range m.Sessions {
		for _, encoded := range a.Queries {
			q := new(messages.Query)
			if err := proto.Unmarshal(encoded, q); err != nil {
				panic(err)
			}
			key := string(q.GetGet().GetKey())
			h.first[key]++
			h.asked = append(h.asked, asked{a.Address, key, actor.NewPID(a.Address, a.Id), int(a.ReplyBudget), q.Session, q.Seq})
		}
	}
	room := 0
	for _, one := range h.asked {
		if one.room > smallReply {
			room += one.room
		}
	}
	h.largest = max(h.largest, room)
}

// answer answers what was asked first.
func (h *heldLeader) answer() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.asked) == 0 {
		return
	}
	q := h.asked[0]
	h.asked = h.asked[1:]
	r := &messages.Reply{Session: q.session, Seq: q.seq, Found: true, Value: make([]byte, h.sizes[q.key])}
	if bytes := messages.ReplyBytes(r); bytes > q.room {
		r = &messages.Reply{Session: q.session, Seq: q.seq, Code: messages.Code_OVERLOADED, NeededBytes: uint64(bytes)}
	}
	h.sys.Root.Send(q.id, &messages.Replies{FromGroup: 1, FromNode: 1, Replies: []*messages.Reply{r}})
}

// heldSession is a session at a heldLeader.
func heldSession(t *testing.T, o Options, sizes map[string]int) (*heldLeader, *actor.PID) {
	sys, err := actors.NewSystem(actors.Env{
		Clock: stoppedClock{}, Rand: actors.SeededRand(1), Events: func(actors.Event) {}, Fatal: func(err error) { t.Error(err) },
	}, deadNetwork{})
	require.NoError(t, err)
	h := &heldLeader{sys: sys, sizes: sizes, first: map[string]int{}}
	_, err = sys.Spawn("raft/1", func() actor.Actor { return h })
	require.NoError(t, err)
	sys.Root.Send(actor.NewPID("here", Path), &messages.ConfigPush{Config: config()})
	session, err := Start(sys, o)
	require.NoError(t, err)
	sys.Root.Send(actor.NewPID("here", Path), &messages.ConfigPush{Config: config()})
	return h, session
}

// Large values are requested when the window has room for them: every read is answered and sent at most twice, and no more than the
// window is ever on its way. Small reads and writes do not wait for them.
func TestReplyWindow(t *testing.T) {
	const large, size, most = 60, 300 << 10, 1 << 20
	sizes := map[string]int{"small": 100}
	for i := range large {
		sizes[fmt.Sprint(i)] = size
	}
	h, session := heldSession(t, Options{ReplyWindow: most}, sizes)
	answers := make(chan *messages.Reply, large+1)
	get := func(key string) {
		h.sys.Root.Send(session, &Ask{Op: &messages.Get{Key: []byte(key)}, Done: func(r *messages.Reply) { answers <- r }})
	}
	for i := range large {
		get(fmt.Sprint(i))
	}
	get("small")
	total := 0
	for range large + 1 {
		for done := false; !done; {
			select {
			case r := <-answers:
				require.Equal(t, messages.Code_OK, r.Code, r.Text)
				total += len(r.Value)
				done = true
			case <-time.After(time.Millisecond):
				h.answer()
			}
		}
	}
	require.Equal(t, large*size+100, total)
	require.LessOrEqual(t, h.largest, most)
	require.Greater(t, h.largest, most/2, "there was room for more than one")
	for key, times := range h.first {
		require.LessOrEqual(t, times, 2, key)
	}
	require.Equal(t, 1, h.first["small"])
}

// A caller that gives a reply budget gets the size of a larger result, and the Session does not retry.
func TestCallersBudgetIsNotExceeded(t *testing.T) {
	h, session := heldSession(t, Options{}, map[string]int{"k": 5000})
	answers := make(chan *messages.Reply, 1)
	ask := func(room int) *messages.Reply {
		h.sys.Root.Send(session, &Ask{Op: &messages.Get{Key: []byte("k")}, ReplyBudget: room, Done: func(r *messages.Reply) { answers <- r }})
		for {
			select {
			case r := <-answers:
				return r
			case <-time.After(time.Millisecond):
				h.answer()
			}
		}
	}
	r := ask(1000)
	require.Equal(t, messages.Code_OVERLOADED, r.Code)
	require.InDelta(t, 5000, r.NeededBytes, 200)
	require.Len(t, ask(int(r.NeededBytes)).Value, 5000)
	require.Equal(t, 2, h.first["k"])
}

// A read that waits for the window is refused when it has waited long enough, and when the session is closed.
func TestReadsWaitForTheWindowForALimitedTime(t *testing.T) {
	sys, session, p := startAt(t, actors.NewSystemClock(), Options{ReplyWindow: 1}, slices.Repeat([]messages.Code{silence}, 1000)...)
	done := make(chan *messages.Reply, 4)
	get := func(key string, room int, timeout time.Duration) {
		sys.Root.Send(session, &Ask{Op: &messages.Get{Key: []byte(key)}, ReplyBudget: room, Timeout: timeout, Done: func(r *messages.Reply) { done <- r }})
	}
	seen := func(key string) {
		require.Eventually(t, func() bool {
			p.mu.Lock()
			defer p.mu.Unlock()
			return slices.ContainsFunc(p.seen, func(encoded []byte) bool { return bytes.Contains(encoded, []byte(key)) })
		}, 30*time.Second, time.Millisecond)
	}
	get("first", 1<<20, 30*time.Second)
	seen("first")
	get("second", 1<<20, 200*time.Millisecond)
	require.Equal(t, messages.Code_OVERLOADED, (<-done).Code)
	get("third", 1<<20, 30*time.Second)
	get("small", 0, 30*time.Second)
	seen("small")
	require.NoError(t, sys.Root.StopFuture(session).Wait())
	for range 3 {
		require.Contains(t, []messages.Code{messages.Code_UNAVAILABLE, messages.Code_OVERLOADED}, (<-done).Code)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	require.False(t, slices.ContainsFunc(p.seen, func(encoded []byte) bool { return bytes.Contains(encoded, []byte("second")) }))
}
