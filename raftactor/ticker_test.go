package raftactor

import (
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"

	"github.com/eraft-io/eraft/actors"
	"github.com/eraft-io/eraft/messages"
)

// handClock moves only when the test says so.
type handClock struct {
	now   time.Duration
	timer func()
	at    time.Duration
}

func (c *handClock) Now() time.Duration { return c.now }
func (c *handClock) Wall() time.Time    { return time.Unix(0, 0) }
func (c *handClock) After(d time.Duration, send func()) func() {
	c.timer, c.at = send, c.now+d
	return func() { c.timer = nil }
}

type oneSystem struct{}

func (oneSystem) Attach(sys *actors.System) error {
	sys.ProcessRegistry.Address = "n1"
	return nil
}
func (oneSystem) Detach() error { return nil }

// one gives an actor one message, on the caller's goroutine.
type one struct {
	actor.Context
	message any
	self    *actor.PID
}

func (o one) Message() any     { return o.message }
func (o one) Self() *actor.PID { return o.self }

// tickerWorld is a Ticker, a clock in the test's hand, and everybody the Ticker speaks to: what they hear goes into heard.
type tickerWorld struct {
	t      *testing.T
	clock  *handClock
	ticker *Ticker
	system *actors.System
	heard  chan string
}

func newTickerWorld(t *testing.T) *tickerWorld {
	w := &tickerWorld{t: t, clock: &handClock{now: time.Hour}, heard: make(chan string, 100)}
	var err error
	w.system, err = actors.NewSystem(actors.Env{
		Clock: w.clock, Rand: actors.SeededRand(1), Events: func(actors.Event) {}, Fatal: func(err error) { t.Error(err) },
	}, oneSystem{})
	require.NoError(t, err)
	w.system.SetIdentity(actors.Identity{Cluster: 1, Node: 1, Epoch: 7})
	for _, path := range []string{"raft/1", "raft/2"} {
		_, err := w.system.Spawn(path, func() actor.Actor { return actor.ReceiveFunc(w.hear(path)) })
		require.NoError(t, err)
	}
	_, err = w.system.Spawn(TickerPath, func() actor.Actor { return actor.ReceiveFunc(w.hear("other ticker")) })
	require.NoError(t, err)
	w.ticker = NewTicker(w.system)
	w.tell(&actor.Started{})
	return w
}

func (w *tickerWorld) hear(who string) actor.ReceiveFunc {
	return func(ctx actor.Context) {
		switch m := ctx.Message().(type) {
		case Tick:
			w.heard <- who + " tick"
		case NodeSuspected:
			w.heard <- who + " lost " + m.Node.String()
		case *messages.NodeHeartbeat:
			require.EqualValues(w.t, 7, m.Epoch)
			w.heard <- who + " alive " + messages.NodeID(m.Node).String()
		}
	}
}

func (w *tickerWorld) peer(path string) *actor.PID { return actor.NewPID("n1", path) }

func (w *tickerWorld) tell(message any) {
	w.ticker.Receive(one{message: message, self: w.peer("ticker under test")})
}

// next is what was heard next.
func (w *tickerWorld) next() string {
	w.t.Helper()
	select {
	case heard := <-w.heard:
		return heard
	case <-time.After(10 * time.Second):
		w.t.Fatal("nothing was heard")
		return ""
	}
}

// beat lets the next beat come, and tells after how long it did.
func (w *tickerWorld) beat() time.Duration {
	before := w.clock.now
	w.clock.now = w.clock.at
	w.tell(tickTimer{w.ticker.timers})
	return w.clock.now - before
}

func TestTickerWatchesForGroupsAtRest(t *testing.T) {
	w := newTickerWorld(t)
	w.tell(Subscribe{w.peer("raft/1")})
	require.Equal(t, TickInterval, w.clock.at-w.clock.now, "somebody counts ticks: no slow beat")
	require.Equal(t, TickInterval, w.beat())
	require.Equal(t, "raft/1 tick", w.next())

	w.tell(Quiesce{Peer: w.peer("raft/1"), Watch: []WatchedNode{{Node: 2, Address: "n1"}}})
	w.beat() // was set before
	require.Equal(t, nodeHeartbeatInterval, w.beat(), "nobody counts ticks")
	require.Equal(t, "other ticker alive 1", w.next())
	for range 10 {
		w.tell(&messages.NodeHeartbeat{Node: 2, Epoch: 3})
		w.beat()
		require.Equal(t, "other ticker alive 1", w.next(), "and nobody is woken while the others live")
	}
	w.tell(&messages.NodeHeartbeat{Node: 2, Epoch: 4})
	require.Equal(t, "raft/1 lost 2", w.next(), "a new boot is a loss, however short")
	require.Equal(t, TickInterval, w.beat())
	require.Equal(t, "raft/1 tick", w.next())

	w.tell(Quiesce{Peer: w.peer("raft/1"), Watch: []WatchedNode{{Node: 2, Address: "n1"}}})
	w.tell(Quiesce{Peer: w.peer("raft/2"), Watch: []WatchedNode{{Node: 3, Address: "n1"}}})
	silent := time.Duration(0)
	for silent <= suspectAfter {
		w.tell(&messages.NodeHeartbeat{Node: 3, Epoch: 1})
		silent += w.beat()
	}
	require.LessOrEqual(t, silent, suspectAfter+nodeHeartbeatInterval)
	heard := w.next()
	for heard == "other ticker alive 1" {
		heard = w.next()
	}
	require.Equal(t, "raft/1 lost 2", heard, "a silence is a loss to whom it concerns")
	w.tell(Unsubscribe{w.peer("raft/1")})
	w.tell(Unsubscribe{w.peer("raft/2")})
	require.Empty(t, w.ticker.watchedNodes())
	require.Empty(t, w.ticker.lastHeard, "nothing is kept for nobody")
}

// A beat that was on its way when another was set in its place must not start a second chain of beats: ticks would come
// twice as fast for ever.
func TestTickerBeatsOnce(t *testing.T) {
	w := newTickerWorld(t)
	late := tickTimer{w.ticker.timers}
	require.True(t, w.ticker.idle)
	w.tell(Subscribe{w.peer("raft/1")})
	set := w.ticker.timers
	w.tell(late)
	require.Equal(t, set, w.ticker.timers)
	w.beat()
	require.Equal(t, "raft/1 tick", w.next())
	require.Empty(t, w.heard)
}
