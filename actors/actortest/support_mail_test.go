package actortest_test

import (
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/scheduler"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/eraft-io/eraft/actors/actortest"
)

type value = wrapperspb.StringValue

// on makes props of an actor that does something with every text.
func on(f func(ctx actor.Context, m *value)) *actor.Props {
	return actor.PropsFromFunc(func(ctx actor.Context) {
		if m, ok := ctx.Message().(*value); ok {
			f(ctx, m)
		}
	})
}

var ofMail = []row{
	{"Send, Request, Respond, Forward", "work; to other nodes through the simulated network", func(t *testing.T) {
		w := actortest.NewWorld(t)
		echoes := w.Node("b").Spawn(actor.PropsFromFunc(echo), "echo")
		forwards := w.Node("c").Spawn(on(func(ctx actor.Context, _ *value) { ctx.Forward(echoes) }), "forward")
		asks := w.Node("a").Spawn(on(func(ctx actor.Context, m *value) { ctx.RequestWithCustomSender(forwards, m, ctx.Sender()) }), "ask")
		p := w.Node("a").Probe("p")
		p.Send(asks, text("x"))
		require.Equal(t, "re: x", actortest.Expect[*value](p).Value)
		w.Network().Cut("c", "b")
		p.Send(asks, text("x"))
		p.ExpectNone()
	}},
	{"a *PID that several nodes use", "leads each through its own network", sharedPID},
	{"Self that another node uses", "leads each through its own network", sharedSelf},
	{"messages that are not protobuf", "work within a node; to another one the test fails", func(t *testing.T) {
		failing(t, "a string cannot travel from a to b/echo: it is no protobuf message", func(w *actortest.World) {
			w.Node("a").Probe("p").Send(w.Node("b").Spawn(actor.PropsFromFunc(echo), "echo"), "text")
		})
	}},
	{"Watch, Unwatch, Terminated", "work", func(t *testing.T) {
		w := actortest.NewWorld(t)
		a, b := w.Node("a"), w.Node("b")
		left, right := b.Spawn(actor.PropsFromFunc(echo), "left"), b.Spawn(actor.PropsFromFunc(echo), "right")
		p := a.Probe("p")
		watches := a.Spawn(actor.PropsFromFunc(func(ctx actor.Context) {
			switch m := ctx.Message().(type) {
			case *value:
				ctx.Watch(left)
				ctx.Watch(right)
				ctx.Unwatch(right)
				ctx.Watch(actor.NewPID("b", "nobody"))
			case *actor.Terminated:
				ctx.Send(p.PID(), text(m.Who.Id+" "+m.Why.String()))
			}
		}), "watches")
		p.Send(watches, text("go"))
		require.Equal(t, "nobody NotFound", actortest.Expect[*value](p).Value)
		w.RunUntilIdle()
		a.System().Root.Stop(right)
		a.System().Root.Poison(left)
		require.Equal(t, "left Stopped", actortest.Expect[*value](p).Value)
		p.ExpectNone()
	}},
	{"Watch of an actor whose node crashes or is cut off", "AddressTerminated, after Network.SetBrokenAfter", brokenWatch},
	{"Stop, Poison, StopFuture, PoisonFuture", "work, on other nodes as well", func(t *testing.T) {
		w := actortest.NewWorld(t)
		root := w.Node("a").System().Root
		for _, end := range []func(*actor.PID) *actor.Future{root.StopFuture, root.PoisonFuture} {
			for _, address := range []string{"a", "b"} {
				pid := w.Node(address).Spawn(actor.PropsFromFunc(echo), "echo")
				before := time.Now()
				require.NoError(t, end(pid).Wait())
				require.Less(t, time.Since(before), 9*time.Second)
				require.EqualValues(t, 1, len(w.Journal().Find(func(e actortest.Entry) bool { return e.Kind == actortest.Stopped && e.To == address+"/echo" }))-
					stoppedBefore(w, address))
			}
		}
		stops := w.Node("a").Spawn(on(func(ctx actor.Context, m *value) { ctx.Stop(actor.NewPID(m.Value, "echo")) }), "stops")
		w.Node("b").Spawn(actor.PropsFromFunc(echo), "echo")
		p := w.Node("a").Probe("p")
		p.Watch(actor.NewPID("b", "echo"))
		p.Send(stops, text("b"))
		require.Equal(t, "echo", actortest.Expect[*actor.Terminated](p).Who.Id)
	}},
	{"Spawn, SpawnNamed, SpawnPrefix", "work, of the node's RootContext and of actors", func(t *testing.T) {
		w := actortest.NewWorld(t, actortest.Seed(1))
		a := w.Node("a")
		p, root := a.Probe("p"), a.System().Root
		for _, pid := range []*actor.PID{
			root.Spawn(actor.PropsFromFunc(echo)), root.SpawnPrefix(actor.PropsFromFunc(echo), "x"),
			root.Spawn(on(func(ctx actor.Context, m *value) {
				ctx.RequestWithCustomSender(ctx.SpawnPrefix(actor.PropsFromFunc(echo), "y"), m, ctx.Sender())
			})),
		} {
			p.Send(pid, text("x"))
			require.Equal(t, "re: x", actortest.Expect[*value](p).Value)
		}
		require.EqualValues(t, 4, w.Journal().Count(actortest.Spawned))
	}},
	{"routers, and other Props with a SpawnFunc", "the test fails", func(t *testing.T) {
		failing(t, "is spawned by a function of its own, as routers of Proto.Actor are", func(w *actortest.World) {
			_, err := w.Node("a").System().Root.SpawnNamed(actor.PropsFromFunc(echo, actor.WithSpawnFunc(actor.DefaultSpawner)), "pool")
			require.Error(t, err)
			w.RunUntilIdle()
		})
	}},
	{"actors that are spawned past the World", "the test fails", func(t *testing.T) {
		failing(t, "a/past was spawned past the World", func(w *actortest.World) {
			a := w.Node("a")
			_, err := actor.DefaultSpawner(a.System(), "past", actor.PropsFromFunc(echo), a.System().Root)
			require.NoError(t, err)
			a.Probe("p").Send(actor.NewPID("a", "past"), text("x"))
			w.RunUntilIdle()
		})
	}},
	{"goroutines that send, spawn, or use Node.Clock", "the test fails", func(t *testing.T) {
		intruded(t, func(send func()) { go send() })
		for says, do := range map[string]func(a *actortest.Node){
			"a goroutine that is not the World's spawns x": func(a *actortest.Node) {
				_, err := a.System().Root.SpawnNamed(actor.PropsFromFunc(echo), "x")
				require.Error(t, err)
			},
			"a goroutine that is not the World's sets a timer": func(a *actortest.Node) { a.Clock().After(time.Second, func() {}) },
		} {
			failing(t, says, func(w *actortest.World) {
				a, done := w.Node("a"), make(chan struct{})
				a.Spawn(actor.PropsFromFunc(echo), "echo")
				go func() { do(a); close(done) }()
				<-done
				w.RunUntilIdle()
			})
		}
	}},
	{"time.AfterFunc, scheduler.TimerScheduler", "the test fails: use Node.Clock", func(t *testing.T) {
		intruded(t, func(send func()) { time.AfterFunc(time.Microsecond, send) })
		failing(t, "a goroutine that is not the World's sends a *wrapperspb.StringValue from a to a/echo", func(w *actortest.World) {
			a := w.Node("a")
			pid := a.Spawn(actor.PropsFromFunc(echo), "echo")
			scheduler.NewTimerScheduler(a.System().Root).SendOnce(time.Microsecond, pid, text("x"))
			untilBlamed(w)
		})
	}},
	{"goroutines that run when the test ends", "the test fails", func(t *testing.T) {
		stop := make(chan struct{})
		defer close(stop)
		failing(t, "an actor left a goroutine running", func(w *actortest.World) {
			a := w.Node("a")
			a.Probe("p").Send(a.Spawn(on(func(actor.Context, *value) { go strayed(stop) }), "bad"), text("go"))
			w.RunUntilIdle()
		})
	}},
	{"mailboxes", "work", func(t *testing.T) {
		w := actortest.NewWorld(t)
		a := w.Node("a")
		p := a.Probe("p")
		for name, mailbox := range map[string]actor.MailboxProducer{
			"unbounded": actor.Unbounded(), "lock free": actor.UnboundedLockfree(), "bounded": actor.Bounded(8), "priority": actor.UnboundedPriority(),
		} {
			p.Send(a.Spawn(actor.PropsFromFunc(echo, actor.WithMailbox(mailbox)), name), text(name))
			require.Equal(t, "re: "+name, actortest.Expect[*value](p).Value)
		}
	}},
	{"MessageBatch", "works: its messages come one by one, itself after them", func(t *testing.T) {
		w := actortest.NewWorld(t)
		a := w.Node("a")
		p := a.Probe("p")
		got := 0
		pid := a.Spawn(actor.PropsFromFunc(func(ctx actor.Context) {
			switch ctx.Message().(type) {
			case *value:
				got++
			case batch:
				ctx.Respond(text("all"))
			}
		}), "batched")
		p.Send(pid, batch{text("1"), text("2")})
		require.Equal(t, "all", actortest.Expect[*value](p).Value)
		require.Equal(t, 2, got)
	}},
	{"middleware, context decorators", "work", func(t *testing.T) {
		w := actortest.NewWorld(t)
		a := w.Node("a")
		p := a.Probe("p")
		var order []string
		pid := a.Spawn(actor.PropsFromFunc(echo,
			actor.WithReceiverMiddleware(func(next actor.ReceiverFunc) actor.ReceiverFunc {
				return func(ctx actor.ReceiverContext, e *actor.MessageEnvelope) {
					order = append(order, "received")
					next(ctx, e)
				}
			}),
			actor.WithSenderMiddleware(func(next actor.SenderFunc) actor.SenderFunc {
				return func(ctx actor.SenderContext, to *actor.PID, e *actor.MessageEnvelope) {
					order = append(order, "sent")
					next(ctx, to, e)
				}
			}),
			actor.WithContextDecorator(func(next actor.ContextDecoratorFunc) actor.ContextDecoratorFunc {
				return func(ctx actor.Context) actor.Context {
					order = append(order, "decorated")
					return next(ctx)
				}
			}),
		), "echo")
		p.Send(pid, text("x"))
		actortest.Expect[*value](p)
		require.Equal(t, []string{"decorated", "received", "received", "sent"}, order)
	}},
	{"EventStream, dead letters", "work", func(t *testing.T) {
		w := actortest.NewWorld(t)
		a := w.Node("a")
		a.Probe("p").Send(actor.NewPID("a", "nobody"), text("x"))
		p := a.Probe("q")
		subscription := a.System().EventStream.Subscribe(func(event any) { a.System().Root.Send(p.PID(), event) })
		a.System().EventStream.Publish(text("news"))
		require.Equal(t, "news", actortest.Expect[*value](p).Value)
		a.System().EventStream.Unsubscribe(subscription)
		require.EqualValues(t, 1, w.Journal().Count(actortest.DeadLetter))
	}},
}

func stoppedBefore(w *actortest.World, address string) int {
	return len(w.Journal().Find(func(e actortest.Entry) bool { return e.Kind == actortest.Stopped && e.To == address+"/echo" })) - 1
}

type batch []any

func (b batch) GetMessages() []any { return b }

// A test keeps one *PID and lets several nodes use it, whichever comes first.
func sharedPID(t *testing.T) {
	for _, first := range []string{"a", "b", "c"} {
		w := actortest.NewWorld(t)
		pid := actor.NewPID("b", "echo")
		w.Node("b").Spawn(actor.PropsFromFunc(echo), "echo")
		probes := map[string]*actortest.Probe{}
		for _, address := range []string{"a", "b", "c"} {
			probes[address] = w.Node(address).Probe("p")
		}
		probes[first].Send(pid, text("first"))
		actortest.Expect[*value](probes[first])
		w.Network().Cut("a", "b")
		for address, p := range probes {
			p.Send(pid, text("x"))
			if address == "a" {
				p.ExpectNone()
				continue
			}
			require.Equal(t, "re: x", actortest.Expect[*value](p).Value)
		}
		w.Network().Heal()
		w.Node("b").Restart()
		w.Node("b").Spawn(actor.PropsFromFunc(echo), "echo")
		again := w.Node("b").Probe("q")
		again.Send(pid, text("again"))
		require.Equal(t, "re: again", actortest.Expect[*value](again).Value, "the PID of an earlier life leads to the new one")
	}
}

// An actor's own PID leaves it as a pointer, and another node sends to it first.
func sharedSelf(t *testing.T) {
	w := actortest.NewWorld(t)
	var self *actor.PID
	pid := w.Node("b").Spawn(on(func(ctx actor.Context, m *value) {
		self = ctx.Self()
		if m.Value == "again" {
			ctx.Respond(text("done"))
			return
		}
		ctx.RequestWithCustomSender(ctx.Self(), text("again"), ctx.Sender())
	}), "self")
	p, q := w.Node("a").Probe("p"), w.Node("b").Probe("q")
	q.Send(pid, text("again"))
	actortest.Expect[*value](q)
	p.Send(self, text("again"))
	require.Equal(t, "done", actortest.Expect[*value](p).Value)
	w.Network().Partition()
	q.Send(self, text("x"))
	require.Equal(t, "done", actortest.Expect[*value](q).Value)
	p.Send(self, text("x"))
	p.ExpectNone()
}

func brokenWatch(t *testing.T) {
	for name, end := range map[string]func(w *actortest.World){
		"crash":               func(w *actortest.World) { w.Node("b").Crash() },
		"crash, and back":     func(w *actortest.World) { w.Node("b").Restart() },
		"cut":                 func(w *actortest.World) { w.Network().Cut("b", "a") },
		"partition":           func(w *actortest.World) { w.Network().Partition([]string{"a"}, []string{"b"}) },
		"watched when it was": nil,
	} {
		t.Run(name, func(t *testing.T) {
			w := actortest.NewWorld(t)
			w.Network().SetBrokenAfter(3 * time.Second)
			a := w.Node("a")
			pid := w.Node("b").Spawn(actor.PropsFromFunc(echo), "echo")
			p := a.Probe("p")
			if end == nil {
				w.Node("b").Crash()
			}
			a.Spawn(actor.PropsFromFunc(func(ctx actor.Context) {
				switch m := ctx.Message().(type) {
				case *actor.Started:
					ctx.Watch(pid)
				case *actor.Terminated:
					ctx.Send(p.PID(), m)
				}
			}), "watches")
			w.RunUntilIdle()
			began := w.Now()
			if end != nil {
				end(w)
			}
			m := actortest.Expect[*actor.Terminated](p)
			require.Equal(t, actor.TerminatedReason_AddressTerminated, m.Why)
			require.Equal(t, "b/echo", m.Who.Address+"/"+m.Who.Id)
			require.InDelta(t, 3*time.Second, w.Now()-began, float64(time.Second))
			w.Advance(time.Minute)
			require.Empty(t, p.Waiting(), "once")
		})
	}
	t.Run("a cut that heals", func(t *testing.T) {
		w := actortest.NewWorld(t)
		p := w.Node("a").Probe("p")
		pid := w.Node("b").Spawn(actor.PropsFromFunc(echo), "echo")
		p.Watch(pid)
		w.RunUntilIdle()
		w.Network().Cut("a", "b")
		w.Advance(time.Second)
		w.Network().Heal()
		w.Advance(time.Minute)
		require.Empty(t, p.Waiting())
		w.Node("b").System().Root.Stop(pid)
		require.Equal(t, actor.TerminatedReason_Stopped, actortest.Expect[*actor.Terminated](p).Why)
	})
}

// intruded lets an actor start something that sends past the World. It must always be seen.
func intruded(t *testing.T, start func(send func())) {
	for range 30 {
		failing(t, "a goroutine that is not the World's sends a *wrapperspb.StringValue from a to a/echo", func(w *actortest.World) {
			a := w.Node("a")
			pid := a.Spawn(actor.PropsFromFunc(echo), "echo")
			bad := a.Spawn(on(func(ctx actor.Context, m *value) {
				root := ctx.ActorSystem().Root
				start(func() { root.Send(pid, m) })
			}), "bad")
			p := a.Probe("p")
			for range 3 {
				p.Send(pid, text("good"))
			}
			p.Send(bad, text("bad"))
			untilBlamed(w)
		})
	}
}

// untilBlamed keeps a World busy until it fails.
func untilBlamed(w *actortest.World) {
	p := w.Node("a").Probe("busy")
	for range 1_000_000 {
		p.Send(actor.NewPID("a", "echo"), text("busy"))
		w.RunUntilIdle()
	}
}
