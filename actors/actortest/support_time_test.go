package actortest_test

import (
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"

	"github.com/eraft-io/eraft/actors/actortest"
)

// silent answers nothing.
func silent(actor.Context) {}

var ofTime = []row{
	{"SetReceiveTimeout", "works, in virtual time", receiveTimeout},
	{"RequestFuture of a Context, PipeTo, ReenterAfter", "work, in virtual time", contextFutures},
	{"RequestFuture of a RootContext", "works without a timeout; else the test fails: use Node.RequestFuture", rootFutures},
	{"Future.Wait, Future.Result outside of actors", "let the World run", func(t *testing.T) {
		w := actortest.NewWorld(t)
		a := w.Node("a")
		f := a.RequestFuture(w.Node("b").Spawn(actor.PropsFromFunc(echo), "echo"), text("x"), time.Second)
		answer, err := f.Result()
		require.NoError(t, err)
		require.Equal(t, "re: x", answer.(*value).Value)
		before := w.Now()
		require.ErrorIs(t, a.RequestFuture(a.Spawn(actor.PropsFromFunc(silent), "silent"), text("x"), time.Hour).Wait(), actor.ErrTimeout)
		require.Equal(t, time.Hour, w.Now()-before)
	}},
	{"Future.Wait, Future.Result in Receive", "the test fails: use ReenterAfter or PipeTo", func(t *testing.T) {
		failing(t, "a/bad waits for a future in Receive", func(w *actortest.World) {
			a := w.Node("a")
			pid := a.Spawn(actor.PropsFromFunc(silent), "silent")
			a.Probe("p").Send(a.Spawn(on(func(ctx actor.Context, m *value) {
				_ = ctx.RequestFuture(pid, m, time.Second).Wait()
			}), "bad"), text("x"))
			w.RunUntilIdle()
		})
	}},
}

type unimportant struct{}

func (unimportant) NotInfluenceReceiveTimeout() {}

func receiveTimeout(t *testing.T) {
	w := actortest.NewWorld(t)
	w.AllowPanics(func(actortest.Panic) bool { return true })
	a := w.Node("a")
	var at []time.Duration
	pid := a.Spawn(actor.PropsFromFunc(func(ctx actor.Context) {
		switch m := ctx.Message().(type) {
		case *value:
			switch m.Value {
			case "set":
				ctx.SetReceiveTimeout(time.Minute)
			case "cancel":
				ctx.CancelReceiveTimeout()
				require.Zero(t, ctx.ReceiveTimeout())
			case "panic":
				panic("told to")
			}
		case *actor.ReceiveTimeout:
			at = append(at, w.Now())
		}
	}), "idle")
	tell := func(m any) { a.System().Root.Send(pid, m) }
	tell(text("set"))
	w.Advance(50 * time.Second)
	tell(text("again"))
	w.Advance(30 * time.Second)
	tell(unimportant{})
	w.Advance(time.Hour)
	require.Equal(t, []time.Duration{110 * time.Second}, at, "a minute after the last message, and once")
	for _, end := range []string{"cancel", "panic"} {
		tell(text("set"))
		w.Advance(time.Second)
		tell(text(end))
		w.Advance(time.Hour)
		require.Len(t, at, 1)
	}
	tell(text("set"))
	w.RunUntilIdle()
	a.Crash()
	w.Advance(time.Hour)
	require.Len(t, at, 1)
}

func contextFutures(t *testing.T) {
	w := actortest.NewWorld(t)
	a, b := w.Node("a"), w.Node("b")
	echoes, never := b.Spawn(actor.PropsFromFunc(echo), "echo"), b.Spawn(actor.PropsFromFunc(silent), "silent")
	p := a.Probe("p")
	pid := a.Spawn(on(func(ctx actor.Context, m *value) {
		switch m.Value {
		case "pipe":
			ctx.RequestFuture(echoes, m, time.Minute).PipeTo(p.PID())
			ctx.RequestFuture(never, m, time.Minute).PipeTo(p.PID())
		case "reenter":
			sender := ctx.Sender()
			ctx.ReenterAfter(ctx.RequestFuture(never, m, time.Hour), func(_ any, err error) {
				ctx.Send(sender, err)
			})
		case "stop":
			ctx.PoisonFuture(echoes).PipeTo(p.PID())
		}
	}), "asks")
	p.Send(pid, text("pipe"))
	require.Equal(t, "re: pipe", actortest.Expect[*value](p).Value)
	require.Less(t, w.Now(), time.Second)
	w.Advance(2 * time.Minute)
	require.ErrorIs(t, actortest.Expect[error](p), actor.ErrTimeout)
	before := w.Now()
	p.Send(pid, text("reenter"))
	w.Advance(2 * time.Hour)
	require.Less(t, before, w.Now())
	require.ErrorIs(t, actortest.Expect[error](p), actor.ErrTimeout)
	w.Network().Cut("a", "b")
	w.Network().SetBrokenAfter(time.Minute)
	p.Send(pid, text("stop"))
	w.Advance(10*time.Second - 1)
	require.Empty(t, p.Waiting())
	require.ErrorIs(t, actortest.Expect[error](p), actor.ErrTimeout)
}

func rootFutures(t *testing.T) {
	w := actortest.NewWorld(t)
	b := w.Node("b")
	answer, err := b.System().Root.RequestFuture(b.Spawn(actor.PropsFromFunc(echo), "echo"), text("x"), -1).Result()
	require.NoError(t, err)
	require.Equal(t, "re: x", answer.(*value).Value)
	failing(t, "a future that times out by the machine's clock asks on a: use Node.RequestFuture", func(w *actortest.World) {
		a := w.Node("a")
		a.System().Root.RequestFuture(a.Spawn(actor.PropsFromFunc(echo), "echo"), text("x"), time.Second)
		w.RunUntilIdle()
	})
}
