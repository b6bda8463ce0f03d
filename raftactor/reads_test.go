package raftactor

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/actors"
	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/persistence"
	"github.com/eraft-io/eraft/persistence/memory"
)

// sized is a Machine whose values are as long as their keys say.
type sized struct{}

func (sized) Open(persistence.Reader) error { return nil }
func (sized) Apply(Tx, Position, []byte) (*messages.Reply, error) {
	return nil, errors.New("nothing is written")
}
func (sized) Query(_ persistence.Reader, encoded []byte) (*messages.Reply, error) {
	q := new(messages.Query)
	if err := proto.Unmarshal(encoded, q); err != nil {
		return nil, err
	}
	n := 0
	_, err := fmt.Sscan(string(q.GetGet().GetKey()), &n)
	return &messages.Reply{Session: q.Session, Seq: q.Seq, Found: true, Value: make([]byte, n)}, err
}

// readWorld is an Applier, and sessions that keep what they hear.
type readWorld struct {
	t       *testing.T
	a       *Applier
	mu      sync.Mutex
	replies map[string][]*messages.Reply
}

func newReadWorld(t *testing.T, limits Limits) *readWorld {
	w := &readWorld{t: t, replies: map[string][]*messages.Reply{}}
	system, err := actors.NewSystem(actors.Env{
		Clock: &handClock{}, Rand: actors.SeededRand(1), Events: func(actors.Event) {}, Fatal: func(err error) { t.Error(err) },
	}, oneSystem{})
	require.NoError(t, err)
	for _, name := range []string{"a", "b"} {
		_, err := system.Spawn(name, func() actor.Actor {
			return actor.ReceiveFunc(func(ctx actor.Context) {
				if m, ok := ctx.Message().(*messages.Replies); ok {
					w.mu.Lock()
					defer w.mu.Unlock()
					w.replies[name] = append(w.replies[name], m.Replies...)
				}
			})
		})
		require.NoError(t, err)
	}
	o := &Options{Group: 5, Node: 1, System: system, Machine: sized{}, Limits: limits.WithDefaults()}
	w.a = newApplier(o, store{memory.New(), 5}, &messages.SnapshotMeta{Index: 10}, actor.NewPID("n1", PeerPath(5)))
	return w
}

// asks is queries of a session for values of these lengths.
func asks(session string, room uint64, lengths ...int) *messages.SessionRequests {
	a := &messages.SessionRequests{Address: "n1", Id: session, ReplyBudget: room}
	for i, n := range lengths {
		encoded, err := proto.Marshal(&messages.Query{
			Session: 1, Seq: uint64(i + 1), Op: &messages.Query_Get{Get: &messages.Get{Key: fmt.Append(nil, n)}},
		})
		if err != nil {
			panic(err)
		}
		a.Queries = append(a.Queries, encoded)
	}
	return a
}

// drain has the Applier answer reads once, and checks how many replies each session has then.
func (w *readWorld) drain(want map[string]int) {
	w.t.Helper()
	w.a.answerReady()
	w.a.replies.flush()
	w.t.Helper()
	require.Eventually(w.t, func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		for session, n := range want {
			if len(w.replies[session]) != n {
				return false
			}
		}
		return true
	}, 30*time.Second, time.Millisecond, "%v", want)
}

// A session that reads much gets a bounded number of bytes in one drain, and no other session waits for it.
func TestDrainIsBoundedForEachSession(t *testing.T) {
	w := newReadWorld(t, Limits{AnswerBytes: 1000})
	w.a.addReads(readRequest{10, []*messages.SessionRequests{asks("a", 0, 600, 600, 600, 600, 600), asks("b", 0, 10)}})
	later := asks("b", 0, 10, 10)
	later.Queries = later.Queries[1:]
	w.a.addReads(readRequest{11, []*messages.SessionRequests{later}})
	w.drain(map[string]int{"a": 2, "b": 1})
	require.True(t, w.a.reads.scheduled, "the next drain comes by itself")
	w.drain(map[string]int{"a": 4, "b": 1})
	w.drain(map[string]int{"a": 5, "b": 1})
	require.Len(t, w.a.reads.queue, 1, "what waits for its index")
	w.a.state = &messages.SnapshotMeta{Index: 11}
	w.drain(map[string]int{"a": 5, "b": 2})
	require.Zero(t, w.a.reads.count)
	require.Zero(t, w.a.reads.bytes)
	for i, r := range w.replies["a"] {
		require.EqualValues(t, i+1, r.Seq)
		require.Len(t, r.Value, 600)
	}
}

// A read that is asked again while it waits is read once.
func TestReadsThatWaitAreNotTakenTwice(t *testing.T) {
	w := newReadWorld(t, Limits{AnswerBytes: 1000})
	w.a.addReads(readRequest{10, []*messages.SessionRequests{asks("a", 0, 600, 600, 600, 600)}})
	w.drain(map[string]int{"a": 2})
	again := asks("a", 0, 600, 600, 600, 600, 10)
	w.a.addReads(readRequest{10, []*messages.SessionRequests{again}})
	require.Len(t, again.Queries, 5, "a message is not changed")
	require.Equal(t, 5, w.a.reads.count, "the first two were answered, and the last one is new")
	w.drain(map[string]int{"a": 4})
	w.drain(map[string]int{"a": 6})
	w.drain(map[string]int{"a": 7})
	require.Zero(t, w.a.reads.count)
	require.Zero(t, w.a.reads.bytes)
	nameless := &messages.SessionRequests{Address: "n1", Id: "b", Queries: [][]byte{{}, {}}}
	require.Len(t, w.a.reads.withoutWaiting(nameless).Queries, 2)
}

// What all sessions together get in one drain is bounded as well, and one value may always be larger.
func TestDrainIsBounded(t *testing.T) {
	w := newReadWorld(t, Limits{AnswerBytes: 1000})
	var sessions []*messages.SessionRequests
	for i := range 2 * drainSessions {
		sessions = append(sessions, &messages.SessionRequests{Address: "n1", Id: fmt.Sprint(i), Queries: asks("", 0, 5000).Queries})
	}
	w.a.addReads(readRequest{10, append(sessions, asks("b", 0, 10))})
	for want := len(sessions) + 1; want > 0; want -= 4 {
		require.Equal(t, want, w.a.reads.count)
		w.drain(nil)
	}
}

// Nothing is sent that there is no room for; who asked hears how much it takes.
func TestAnswersAreNoLargerThanTheRoomForThem(t *testing.T) {
	w := newReadWorld(t, Limits{})
	w.a.addReads(readRequest{10, []*messages.SessionRequests{asks("a", 1000, 5000, 100), asks("b", 0, 5000)}})
	w.drain(map[string]int{"a": 2, "b": 1})
	large, small := w.replies["a"][0], w.replies["a"][1]
	require.Equal(t, messages.Code_OVERLOADED, large.Code)
	require.Empty(t, large.Value)
	require.InDelta(t, 5000, large.NeededBytes, 200)
	require.GreaterOrEqual(t, large.NeededBytes, uint64(proto.Size(w.replies["b"][0])), "what it takes on the wire")
	require.Len(t, small.Value, 100)
	require.Len(t, w.replies["b"][0].Value, 5000, "who does not say gets any")
}

// Reads that wait are bounded in number and bytes, at the Peer and at the Applier.
func TestReadsThatWaitAreBounded(t *testing.T) {
	for _, c := range []struct {
		limits Limits
		taken  int
	}{{Limits{PendingReads: 3}, 3}, {Limits{ReadBytes: 1 + 4*queryBytes(asks("a", 0, 1))}, 4}} {
		w := newReadWorld(t, c.limits)
		for i := range 10 {
			one := asks("a", 0, slices.Repeat([]int{1}, i+1)...)
			one.Queries = one.Queries[i:] // each has a name of its own
			w.a.addReads(readRequest{math.MaxUint64, []*messages.SessionRequests{one}})
		}
		require.Equal(t, c.taken, w.a.reads.count)
		w.drain(map[string]int{"a": 10 - c.taken})
		require.Equal(t, messages.Code_OVERLOADED, w.replies["a"][0].Code)

		p := newPendingReads(w.a.options, w.a.replies, 1<<63)
		for range 10 {
			from := asks("b", 7, 1)
			p.add(from, from.Queries)
		}
		require.GreaterOrEqual(t, p.count, c.taken)
		require.LessOrEqual(t, p.count, c.taken+1)
		require.EqualValues(t, 7, p.gathered[0].ReplyBudget)
		w.drain(map[string]int{"b": 10 - p.count})
		token, ok := p.begin()
		require.True(t, ok)
		require.Equal(t, uint64(1<<63+1), token)
		_, ok = p.begin()
		require.False(t, ok, "nothing came since")
		p.refuse(token, messages.Errorf(messages.Code_UNAVAILABLE, "no leader"))
		w.drain(map[string]int{"b": 10})
		require.Zero(t, p.count)
		require.Zero(t, p.bytes)
		require.Empty(t, p.finish(token), "once")
	}
}
