package actortest_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/eraft-io/eraft/actors/actortest"
)

func text(s string) *wrapperspb.StringValue { return wrapperspb.String(s) }

// echo answers every text, and dies of "panic".
func echo(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *wrapperspb.StringValue:
		if m.Value == "panic" {
			panic("told to")
		}
		ctx.Respond(text("re: " + m.Value))
	}
}

// counter counts what it gets; its children live in the World as well.
type counter struct{ n int }

func (c *counter) Receive(ctx actor.Context) {
	switch ctx.Message().(type) {
	case *wrapperspb.StringValue:
		c.n++
		child := ctx.Spawn(actor.PropsFromFunc(echo))
		ctx.RequestWithCustomSender(child, text(fmt.Sprint(c.n)), ctx.Sender())
	}
}

// chatter is a run in which several nodes talk over a bad network.
func chatter(t *testing.T, seed uint64, strategy actortest.Strategy) (uint64, string) {
	w := actortest.NewWorld(t, actortest.Seed(seed), actortest.Schedule(strategy))
	w.Network().SetFaults(actortest.Faults{Drop: 0.1, Duplicate: 0.1, Reorder: 0.2, Min: time.Millisecond, Max: 5 * time.Millisecond})
	a := w.Node("a")
	p := a.Probe("p")
	var pids []*actor.PID
	for _, address := range []string{"b", "c", "d"} {
		pids = append(pids, w.Node(address).Spawn(actor.PropsFromProducer(func() actor.Actor { return new(counter) }), "counter"))
	}
	for range 20 {
		for _, pid := range pids {
			p.Send(pid, text("hello"))
		}
	}
	w.RunUntilIdle()
	var got []string
	for _, m := range p.Waiting() {
		got = append(got, m.(*wrapperspb.StringValue).Value)
	}
	return w.Journal().Hash(), strings.Join(got, " ")
}

func TestOneSeedOneRun(t *testing.T) {
	for _, strategy := range []actortest.Strategy{actortest.Random, actortest.FIFO, actortest.Priority} {
		orders, hashes := map[string]bool{}, map[uint64]bool{}
		for seed := range uint64(8) {
			hash, order := chatter(t, seed+1, strategy)
			again, orderAgain := chatter(t, seed+1, strategy)
			require.Equal(t, hash, again)
			require.Equal(t, order, orderAgain)
			hashes[hash], orders[order] = true, true
		}
		require.Len(t, hashes, 8, "another seed is another run")
		require.Len(t, orders, 8)
	}
}

func TestLinksKeepOrderUnlessTold(t *testing.T) {
	w := actortest.NewWorld(t, actortest.Seed(7))
	p := w.Node("a").Probe("p")
	pid := w.Node("b").Spawn(actor.PropsFromFunc(echo), "echo")
	for i := range 50 {
		p.Send(pid, text(fmt.Sprint(i)))
	}
	for i := range 50 {
		require.Equal(t, fmt.Sprint("re: ", i), actortest.Expect[*wrapperspb.StringValue](p).Value)
	}
	p.ExpectNone()
}

func TestFaults(t *testing.T) {
	w := actortest.NewWorld(t, actortest.Seed(3))
	p := w.Node("a").Probe("p")
	pid := w.Node("b").Spawn(actor.PropsFromFunc(echo), "echo")
	ask := func() int {
		before := len(p.Waiting())
		p.Send(pid, text("?"))
		w.RunUntilIdle()
		return len(p.Waiting()) - before
	}
	require.Equal(t, 1, ask())
	w.Network().Cut("b", "a")
	require.Equal(t, 0, ask(), "the answer is lost")
	w.Network().Partition([]string{"a"}, []string{"b"})
	require.Equal(t, 0, ask())
	w.Network().Heal()
	w.Network().SetLinkFaults("a", "b", &actortest.Faults{Duplicate: 1})
	require.Equal(t, 2, ask())
	w.Network().SetLinkFaults("a", "b", &actortest.Faults{Duplicate: 1, Echo: time.Hour})
	before := w.Now()
	require.Equal(t, 2, ask())
	require.Greater(t, w.Now()-before, time.Second)
	w.Network().SetLinkFaults("a", "b", nil)
	w.Network().SetMessageFaults(func(e actortest.Envelope) actortest.Faults {
		if _, ok := e.Message.(*durationpb.Duration); ok {
			return actortest.Faults{}
		}
		return actortest.Faults{Drop: 1}
	})
	require.Equal(t, 0, ask())
	require.Positive(t, w.Journal().Count(actortest.Dropped))
}

func TestCrashAndRestart(t *testing.T) {
	w := actortest.NewWorld(t, actortest.Seed(1))
	a, b := w.Node("a"), w.Node("b")
	p := a.Probe("p")
	props := func() *actor.Props { return actor.PropsFromProducer(func() actor.Actor { return new(counter) }) }
	pid := b.Spawn(props(), "counter")
	p.Watch(pid)
	p.Send(pid, text("x"))
	require.Equal(t, "re: 1", actortest.Expect[*wrapperspb.StringValue](p).Value)
	rang := false
	b.Clock().After(time.Second, func() { rang = true })
	b.Crash()
	p.Send(pid, text("x"))
	p.ExpectNone()
	b.Restart()
	b.Spawn(props(), "counter")
	w.Advance(2 * time.Second)
	require.False(t, rang, "timers die with the life that set them")
	p.Send(pid, text("x"))
	require.Equal(t, "re: 1", actortest.Expect[*wrapperspb.StringValue](p).Value, "memory is gone")
}

func TestWatchOverNodes(t *testing.T) {
	w := actortest.NewWorld(t)
	p := w.Node("a").Probe("p")
	b := w.Node("b")
	pid := b.Spawn(actor.PropsFromFunc(echo), "echo")
	p.Watch(pid)
	w.RunUntilIdle()
	b.System().Root.Stop(pid)
	require.Equal(t, "echo", actortest.Expect[*actor.Terminated](p).Who.Id)
}

func TestPauseSlowAndClocks(t *testing.T) {
	w := actortest.NewWorld(t, actortest.Seed(5))
	a := w.Node("a")
	p := a.Probe("p")
	pid := a.Spawn(actor.PropsFromFunc(echo), "echo")
	a.Pause()
	p.Send(pid, text("1"))
	w.Advance(time.Minute)
	require.Empty(t, p.Waiting())
	a.Resume()
	actortest.Expect[*wrapperspb.StringValue](p)

	a.Slow("echo", func() time.Duration { return 7 * time.Second })
	before := w.Now()
	p.Send(pid, text("2"))
	actortest.Expect[*wrapperspb.StringValue](p)
	require.Equal(t, 7*time.Second, w.Now()-before)

	var at time.Duration
	a.Clock().Skew(2)
	from := a.Clock().Now()
	a.Clock().After(10*time.Second, func() { at = a.Clock().Now() - from })
	before = w.Now()
	require.True(t, w.RunUntil(func() bool { return at > 0 }, time.Minute))
	require.InDelta(t, 5*time.Second, w.Now()-before, 10, "a fast clock is there sooner")
	require.GreaterOrEqual(t, at, 10*time.Second, "and never early")
	wall := a.Clock().Wall()
	a.Clock().Jump(time.Hour)
	require.Equal(t, time.Hour, a.Clock().Wall().Sub(wall))
}

func TestSupervision(t *testing.T) {
	w := actortest.NewWorld(t)
	var panics []actortest.Panic
	w.AllowPanics(func(p actortest.Panic) bool { panics = append(panics, p); return true })
	a := w.Node("a")
	p := a.Probe("p")
	pid := a.Spawn(actor.PropsFromFunc(echo), "echo")
	p.Send(pid, text("panic"))
	p.ExpectNone()
	p.Send(pid, text("back"))
	require.Equal(t, "re: back", actortest.Expect[*wrapperspb.StringValue](p).Value)
	require.Len(t, panics, 1)
	require.Equal(t, "a/echo", panics[0].Actor)
	require.Equal(t, "panic", panics[0].Message.(*wrapperspb.StringValue).Value)
	require.EqualValues(t, 1, w.Journal().Count(actortest.Panicked))
	require.EqualValues(t, 1, w.Journal().Count(actortest.Restarted))
}

// recording is a TB that keeps what a World reports.
type recording struct {
	*testing.T
	errors, logs []string
	cleanups     []func()
}

func (r *recording) Errorf(format string, args ...any) {
	r.errors = append(r.errors, fmt.Sprintf(format, args...))
}
func (r *recording) Logf(format string, args ...any) {
	r.logs = append(r.logs, fmt.Sprintf(format, args...))
}
func (r *recording) Failed() bool     { return len(r.errors) > 0 }
func (r *recording) FailNow()         { panic("failed") }
func (r *recording) Cleanup(f func()) { r.cleanups = append(r.cleanups, f) }

func TestStraysAreNamed(t *testing.T) {
	r, stop := &recording{T: t}, make(chan struct{})
	w := actortest.NewWorld(r, actortest.Seed(9))
	a := w.Node("a")
	pid := a.Spawn(actor.PropsFromFunc(func(ctx actor.Context) {
		if _, ok := ctx.Message().(*wrapperspb.StringValue); ok {
			go strayed(stop)
		}
	}), "bad")
	a.Probe("p").Send(pid, text("go"))
	w.RunUntilIdle()
	for _, f := range r.cleanups {
		f()
	}
	close(stop)
	require.Len(t, r.errors, 1)
	require.Contains(t, r.errors[0], "strayed")
	require.Contains(t, strings.Join(r.logs, "\n"), "-actortest.seed=9")
	require.Contains(t, strings.Join(r.logs, "\n"), "a/p ─▶ a/bad  StringValue")
}

func strayed(stop chan struct{}) { <-stop }

// Two actors that answer each other for ever, on one node, would keep a World from ever coming to an end.
func TestTimeMustPass(t *testing.T) {
	r := &recording{T: t}
	w := actortest.NewWorld(r, actortest.Seed(1))
	a := w.Node("a")
	bounce := actor.PropsFromFunc(func(ctx actor.Context) {
		if _, ok := ctx.Message().(*wrapperspb.StringValue); ok {
			ctx.Request(ctx.Sender(), ctx.Message())
		}
	})
	left, right := a.Spawn(bounce, "left"), a.Spawn(bounce, "right")
	a.System().Root.RequestWithCustomSender(left, text("x"), right)
	require.PanicsWithValue(t, "failed", w.RunUntilIdle)
	require.Len(t, r.errors, 1)
	require.Regexp(t, "Time passes: .* steps without it, the last of a/(left|right)", r.errors[0])
}

func TestDiagram(t *testing.T) {
	w := actortest.NewWorld(t)
	p := w.Node("a").Probe("p<")
	pid := w.Node("b").Spawn(actor.PropsFromFunc(echo), "echo")
	p.Send(pid, text("x"))
	w.RunUntilIdle()
	page := actortest.HTML("title", w.Journal().Entries())
	require.Contains(t, page, "a/p&lt;")
	require.NotContains(t, page, "%!")
	require.Len(t, w.Journal().Find(func(e actortest.Entry) bool { return e.Kind == actortest.Received && e.To == "b/echo" }), 1)
}

func BenchmarkDelivery(b *testing.B) {
	w := actortest.NewWorld(b, actortest.Seed(1), actortest.KeepEntries(0))
	var pids []*actor.PID
	forward := func(to int) actor.ReceiveFunc {
		return func(ctx actor.Context) {
			if m, ok := ctx.Message().(*wrapperspb.Int64Value); ok {
				ctx.Send(pids[(to+1)%5], wrapperspb.Int64(m.Value+1))
			}
		}
	}
	for i := range 5 {
		pids = append(pids, w.Node(string(rune('a'+i))).Spawn(actor.PropsFromFunc(forward(i)), "ring"))
	}
	for i := range 50 {
		w.Node("a").System().Root.Send(pids[i%5], wrapperspb.Int64(0))
	}
	b.ResetTimer()
	before := w.Journal().Count(actortest.Received)
	for int(w.Journal().Count(actortest.Received)-before) < b.N {
		w.Step()
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
}
