package actortest

import (
	"fmt"
	"log/slog"
	"math"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// Node is a process of the World: an address, and one incarnation after another. An incarnation is an actor system; Crash ends it at once,
// and Restart begins another at the same address. What an incarnation had in memory is lost with it.
type Node struct {
	w           *World
	address     string
	incarnation *incarnation
	clock       *Clock
	paused      bool
	held        []func() // what happened to a paused node
	slow        map[string]func() time.Duration
}

// incarnation is one run of a node, from its start to its crash.
type incarnation struct {
	node      *Node
	system    *actor.ActorSystem
	dead      bool
	guardians map[actor.SupervisorStrategy]actor.SupervisorStrategy
	watches   []*remoteWatch // of actors on other nodes, oldest first
}

// Node returns the node with an address. Its first incarnation begins with its first actor.
func (w *World) Node(address string) *Node {
	if n := w.nodes[address]; n != nil {
		return n
	}
	n := &Node{w: w, address: address, slow: map[string]func() time.Duration{}}
	n.clock = &Clock{node: n, w: w, rate: 1}
	w.nodes[address] = n
	w.order = append(w.order, n)
	return n
}

// Restart ends the incarnation of the node, if it has one, and begins another with an empty actor system, which it returns.
func (n *Node) Restart() *actor.ActorSystem {
	system := actor.NewActorSystem(actor.WithLoggerFactory(silent))
	n.RestartWith(system)
	return system
}

// RestartWith ends the incarnation of the node, if it has one, and begins another with an actor system that was made elsewhere and has no
// actors yet.
func (n *Node) RestartWith(sys *actor.ActorSystem) {
	if n.Alive() {
		n.Crash()
	}
	life := &incarnation{node: n, system: sys, guardians: map[actor.SupervisorStrategy]actor.SupervisorStrategy{}}
	n.incarnation, n.paused, n.held = life, false, nil
	sys.ProcessRegistry.Address = n.address
	way := &remoteProcess{life}
	sys.ProcessRegistry.RegisterAddressResolver(func(*actor.PID) (actor.Process, bool) { return way, true })
	sys.Root.WithSenderMiddleware(life.sendMiddleware).WithSpawnMiddleware(life.spawnMiddleware)
	sys.EventStream.Subscribe(func(event any) {
		if dead, ok := event.(*actor.DeadLetterEvent); ok {
			n.w.journal.add(Entry{At: n.w.now, Kind: DeadLetter, From: name(dead.Sender), To: name(dead.PID), Message: dead.Message})
		}
	})
	n.w.journal.add(Entry{At: n.w.now, Kind: Started, To: n.address})
}

func silent(*actor.ActorSystem) *slog.Logger { return slog.New(slog.DiscardHandler) }

// Crash ends the incarnation of the node at once: its actors do nothing any more, and its mailboxes and timers are lost. Messages that it has
// sent are still on their way.
func (n *Node) Crash() {
	n.incarnation.dead = true
	n.held = nil
	n.w.journal.add(Entry{At: n.w.now, Kind: Crashed, To: n.address})
	n.w.net.broke()
}

// Alive tells whether the node runs.
func (n *Node) Alive() bool { return n.incarnation != nil && !n.incarnation.dead }

// Address of the node, as in PIDs.
func (n *Node) Address() string { return n.address }

// System is the actor system of this incarnation, or of the last one.
func (n *Node) System() *actor.ActorSystem {
	if n.incarnation == nil {
		n.Restart()
	}
	return n.incarnation.system
}

// Clock is the node's time. It outlives crashes.
func (n *Node) Clock() *Clock { return n.clock }

// Pause stops the node as SIGSTOP does: nothing runs, and messages that arrive wait.
func (n *Node) Pause() { n.paused = true }

// Resume lets a paused node go on, with all messages and timers that have waited.
func (n *Node) Resume() {
	held := n.held
	n.paused, n.held = false, nil
	for _, f := range held {
		f()
	}
}

// Slow makes each activation of the actor at a path take a time that delay returns, as that of an actor does that writes to a disk. Part of
// it passes before the actor does anything, and part of it after: what the actor sends leaves at the end. nil ends it.
func (n *Node) Slow(path string, delay func() time.Duration) {
	if delay == nil {
		delete(n.slow, path)
		return
	}
	n.slow[path] = delay
}

// Spawn starts an actor under a name. It fails the test if the name is taken. Children of the actor are part of the World as well.
func (n *Node) Spawn(props *actor.Props, name string) *actor.PID {
	n.w.t.Helper()
	root := n.System().Root
	pid, err := root.SpawnNamed(props, name)
	if err != nil {
		n.w.Fail("spawn %s on %s: %v", name, n.address, err)
	}
	return copyPID(pid) // the actor has its own
}

// spawnMiddleware makes actors part of the World: children, and all that the actor system's own RootContext spawns.
func (l *incarnation) spawnMiddleware(actor.SpawnFunc) actor.SpawnFunc {
	return func(system *actor.ActorSystem, id string, props *actor.Props, parent actor.SpawnerContext) (*actor.PID, error) {
		w := l.node.w
		if !w.checkGoroutine("spawns " + id) {
			return nil, fmt.Errorf("%s cannot be spawned from outside the World", id)
		}
		if *spawner.of(props) != nil {
			w.reportFault("%s/%s is spawned by a function of its own, as routers of Proto.Actor are: a World runs only actors of ordinary Props", l.node.address, id)
			return nil, fmt.Errorf("%s cannot be spawned in a World", id)
		}
		if root, ok := parent.(*actor.RootContext); ok {
			if s := *rootGuardian.of(root); s != nil {
				parent = root.Copy().WithGuardian(l.guardian(s))
			}
		}
		who := &runner{incarnation: l, path: id, rank: w.ready.rng.Uint64()}
		w.journal.add(Entry{At: w.now, Kind: Spawned, To: l.node.address + "/" + id})
		return actor.DefaultSpawner(system, id, props.Clone(
			actor.WithDispatcher(who), actor.WithReceiverMiddleware(who.receive), actor.WithSpawnMiddleware(l.spawnMiddleware),
			actor.WithSenderMiddleware(who.delay), actor.WithContextDecorator(who.decorate),
			actor.WithSupervisor(l.supervision(*supervisor.of(props))), actor.WithMailbox(who.guardMailbox(*mailboxProducer.of(props))),
		), parent)
	}
}

// runner is the Dispatcher of one actor, and what the World knows of the actor.
type runner struct {
	incarnation *incarnation
	path        string
	rank        uint64
	busy        time.Duration // until when its last activation takes
	idle        idle
	started     bool
	failures    *actor.RestartStatistics // of an actor without a parent
}

func (r *runner) Throughput() int { return 1 }

func (r *runner) Schedule(run func()) {
	n := r.incarnation.node
	if r.incarnation.dead {
		return
	}
	if delay := n.slow[r.path]; delay != nil {
		all := delay()
		before := time.Duration(n.w.rng.Int64N(int64(all) + 1))
		r.after(max(n.w.now, r.busy)+before, func() {
			r.busy = n.w.now + all - before
			r.push(run)
		})
		return
	}
	if r.busy > n.w.now {
		r.after(r.busy, func() { r.push(run) })
		return
	}
	r.push(run)
}

// after calls do at a later time, or when a pause is over, unless the node has crashed.
func (r *runner) after(at time.Duration, do func()) {
	r.incarnation.node.w.At(at, func() {
		switch n := r.incarnation.node; {
		case r.incarnation.dead:
		case n.paused:
			n.held = append(n.held, do)
		default:
			do()
		}
	})
}

// delay is the middleware of what the actor sends: a slow actor's messages leave when its activation is over.
func (r *runner) delay(next actor.SenderFunc) actor.SenderFunc {
	next = r.incarnation.sendMiddleware(next)
	return func(ctx actor.SenderContext, target *actor.PID, envelope *actor.MessageEnvelope) {
		if r.busy > r.incarnation.node.w.now {
			r.after(r.busy, func() { next(ctx, target, envelope) })
			return
		}
		next(ctx, target, envelope)
	}
}

func (r *runner) push(run func()) {
	if n := r.incarnation.node; n.paused && !r.incarnation.dead {
		n.held = append(n.held, func() { r.push(run) })
		return
	}
	r.incarnation.node.w.ready.push(task{r, run})
}

// receive is the middleware of what the actor receives: the journal records it, and the receive timeout starts again.
func (r *runner) receive(next actor.ReceiverFunc) actor.ReceiverFunc {
	here := r.incarnation.node.address + "/" + r.path
	return func(ctx actor.ReceiverContext, envelope *actor.MessageEnvelope) {
		r.note(here, envelope)
		next(ctx, envelope)
		if r.idle.after > 0 && influences(envelope) {
			r.idle.restart(r)
		}
	}
}

func (r *runner) note(here string, envelope *actor.MessageEnvelope) {
	w := r.incarnation.node.w
	switch m := envelope.Message.(type) {
	case *actor.Started:
		if r.started {
			w.journal.add(Entry{At: w.now, Kind: Restarted, To: here})
		}
		r.started = true
	case *actor.Stopping:
	case *actor.Restarting:
		r.idle.after = 0
	case *actor.Stopped:
		r.idle.after = 0
		w.journal.add(Entry{At: w.now, Kind: Stopped, To: here})
	case []any:
		for _, element := range m {
			sender := ""
			if e, ok := element.(*actor.MessageEnvelope); ok {
				element, sender = e.Message, name(e.Sender)
			}
			w.journal.add(Entry{At: w.now, Kind: Received, From: sender, To: here, Message: element})
		}
	default:
		w.journal.add(Entry{At: w.now, Kind: Received, From: name(envelope.Sender), To: here, Message: m})
	}
}

func name(pid *actor.PID) string {
	if pid == nil {
		return ""
	}
	return pid.Address + "/" + pid.Id
}

// Clock is a node's time. It is virtual, and may run fast or slow.
type Clock struct {
	node *Node
	w    *World
	rate float64 // of the node's time against the World's
	base time.Duration
	from time.Duration // the World's time at base
	wall time.Duration // how far the time of day is off
}

// epoch is the time of day when every World begins.
var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// Now is the node's monotonic time.
func (c *Clock) Now() time.Duration { return c.base + time.Duration(float64(c.w.now-c.from)*c.rate) }

// Wall is the node's time of day.
func (c *Clock) Wall() time.Time { return epoch.Add(c.Now() + c.wall) }

// Skew sets how fast the node's time runs from now on; above 1 it runs fast.
func (c *Clock) Skew(rate float64) { c.base, c.from, c.rate = c.Now(), c.w.now, rate }

// Jump changes the node's time of day; monotonic time never jumps.
func (c *Clock) Jump(by time.Duration) { c.wall += by }

// After calls f when d of the node's time has passed, unless it is cancelled or the node has crashed.
func (c *Clock) After(d time.Duration, f func()) (cancel func()) {
	cancelled := false
	n := c.node
	life := n.incarnation
	var fire func()
	fire = func() {
		switch {
		case cancelled || life.dead:
		case n.paused:
			n.held = append(n.held, fire)
		default:
			f()
		}
	}
	wait := time.Duration(0)
	if d > 0 {
		wait = time.Duration(math.Ceil(float64(d)/c.rate)) + 1 // never early, however the rate rounds
		if c.rate == 1 {
			wait = d
		}
	}
	c.w.At(c.w.now+wait, fire)
	return func() { cancelled = true }
}
