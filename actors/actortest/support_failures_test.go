package actortest_test

import (
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"

	"github.com/eraft-io/eraft/actors/actortest"
)

// worker panics at every text.
func worker(ctx actor.Context) {
	if m, ok := ctx.Message().(*value); ok {
		panic(m.Value)
	}
}

func tolerant(t *testing.T) *actortest.World {
	w := actortest.NewWorld(t, actortest.Seed(1))
	w.AllowPanics(func(actortest.Panic) bool { return true })
	return w
}

var ofFailures = []row{
	{"panics", "fail the test, with their stack, unless World.AllowPanics says otherwise", func(t *testing.T) {
		failing(t, "a/worker panicked at *wrapperspb.StringValue: told to", func(w *actortest.World) {
			p := w.Node("a").Probe("p")
			p.Send(w.Node("a").Spawn(actor.PropsFromFunc(worker), "worker"), text("told to"))
			actortest.Expect[*value](p)
		})
		failing(t, "actortest_test.worker(", func(w *actortest.World) {
			p := w.Node("a").Probe("p")
			p.Send(w.Node("a").Spawn(actor.PropsFromFunc(worker), "worker"), text("told to"))
			actortest.Expect[*value](p)
		})
		failing(t, "a/later panicked", func(w *actortest.World) {
			a := w.Node("a")
			pid := a.Spawn(actor.PropsFromFunc(echo), "echo")
			a.Probe("p").Send(a.Spawn(on(func(ctx actor.Context, m *value) {
				ctx.ReenterAfter(ctx.RequestFuture(pid, m, time.Second), func(any, error) { panic("later") })
			}), "later"), text("x"))
			w.RunUntilIdle()
		})
	}},
	{"one for one, all for one, restarting strategy", "work; failures are counted in virtual time", windows},
	{"exponential backoff", "works, in virtual time", func(t *testing.T) {
		for _, guardian := range []bool{true, false} {
			w := tolerant(t)
			a := w.Node("a")
			pid := actor.NewPID("a", "worker")
			if strategy := actor.NewExponentialBackoffStrategy(10*time.Second, time.Second); guardian {
				a.Spawn(actor.PropsFromFunc(worker, actor.WithGuardian(strategy)), "worker")
			} else {
				a.Spawn(actor.PropsFromFunc(func(ctx actor.Context) {
					if _, ok := ctx.Message().(*actor.Started); ok {
						_, err := ctx.SpawnNamed(actor.PropsFromFunc(worker), "child")
						require.NoError(t, err)
					}
				}, actor.WithSupervisor(strategy)), "parent")
				pid = actor.NewPID("a", "parent/child")
			}
			w.RunUntilIdle()
			for n := range 3 {
				a.System().Root.Send(pid, text("fail"))
				w.RunUntilIdle()
				began := w.Now()
				restarts := w.Journal().Count(actortest.Restarted)
				require.True(t, w.RunUntil(func() bool { return w.Journal().Count(actortest.Restarted) > restarts }, time.Minute))
				require.InDelta(t, time.Duration(n+1)*time.Second, w.Now()-began, float64(time.Microsecond))
			}
		}
	}},
	{"restarts", "work, and are in the journal as panics are", func(t *testing.T) {
		w := tolerant(t)
		a := w.Node("a")
		a.System().Root.Send(a.Spawn(actor.PropsFromFunc(worker), "worker"), text("fail"))
		w.RunUntilIdle()
		require.EqualValues(t, 1, w.Journal().Count(actortest.Panicked))
		require.EqualValues(t, 1, w.Journal().Count(actortest.Restarted))
	}},
}

// A supervisor that gives up after two failures within ten seconds does so by virtual time.
func windows(t *testing.T) {
	restart := func(any) actor.Directive { return actor.RestartDirective }
	parent := func(strategy actor.SupervisorStrategy) *actor.Props {
		return actor.PropsFromFunc(func(ctx actor.Context) {
			if _, ok := ctx.Message().(*actor.Started); ok {
				_, err := ctx.SpawnNamed(actor.PropsFromFunc(worker), "child")
				require.NoError(t, err)
			}
		}, actor.WithSupervisor(strategy))
	}
	for name, c := range map[string]struct {
		props *actor.Props
		path  string
		most  int // failures in ten seconds
	}{
		"one for one": {parent(actor.NewOneForOneStrategy(2, 10*time.Second, restart)), "top/child", 2},
		"all for one": {parent(actor.NewAllForOneStrategy(2, 10*time.Second, restart)), "top/child", 2},
		"guardian":    {actor.PropsFromFunc(worker, actor.WithGuardian(actor.NewOneForOneStrategy(2, 10*time.Second, restart))), "top", 2},
		"nobody's":    {actor.PropsFromFunc(worker), "top", 10},
		"restarting":  {parent(actor.NewRestartingStrategy()), "top/child", 1000},
	} {
		t.Run(name, func(t *testing.T) {
			w := tolerant(t)
			a := w.Node("a")
			a.Spawn(c.props, "top")
			w.RunUntilIdle()
			fail := func() {
				a.System().Root.Send(actor.NewPID("a", c.path), text("fail"))
				w.RunUntilIdle()
			}
			for range 30 {
				fail()
				w.Advance(10 * time.Second)
			}
			require.EqualValues(t, 30, w.Journal().Count(actortest.Restarted), "never twice within ten seconds")
			for range min(c.most, 20) {
				fail()
			}
			require.Zero(t, w.Journal().Count(actortest.Stopped))
			fail()
			if c.most < 1000 {
				require.NotZero(t, w.Journal().Count(actortest.Stopped), "once too often")
			}
		})
	}
}
