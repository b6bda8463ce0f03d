package actortest

import (
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// stopTimeout is what Proto.Actor gives an actor to stop in StopFuture and PoisonFuture.
const stopTimeout = 10 * time.Second

// RequestFuture asks an actor in the name of a future that times out by the node's clock; below 0: never. Of an
// actor.RootContext only RequestFuture without a timeout can be used: the machine's clock would run it out.
func (n *Node) RequestFuture(to *actor.PID, message any, timeout time.Duration) *actor.Future {
	root := n.System().Root
	f := n.life.future(timeout)
	root.RequestWithCustomSender(to, message, f.PID())
	return f
}

// future makes a future of the node's time.
func (l *life) future(timeout time.Duration) *actor.Future {
	f := actor.NewFuture(l.system, -1)
	l.tame(f, timeout)
	return f
}

// ending makes a future that an actor's end completes.
func (l *life) ending(pid *actor.PID) *actor.Future {
	f := l.future(stopTimeout)
	process, _ := l.system.ProcessRegistry.Get(pid)
	process.SendSystemMessage(pid, &actor.Watch{Watcher: f.PID()})
	return f
}

// tame lets a future live in the World: it times out by the node's clock, and to wait for it lets the World run.
func (l *life) tame(f *actor.Future, timeout time.Duration) {
	cond, done := *futureCond.of(f), futureDone.of(f)
	if _, tamed := cond.L.(*turnstile); tamed {
		return
	}
	cond.L = &turnstile{w: l.node.w, done: done}
	if timeout < 0 {
		return
	}
	l.node.clock.After(timeout, func() {
		if process, ok := l.system.ProcessRegistry.GetLocal(f.PID().Id); ok && !*done {
			*futureErr.of(f) = actor.ErrTimeout
			process.Stop(f.PID())
		}
	})
}

// named gives the future of this life that a PID names, nil if it names something else.
func (l *life) named(pid *actor.PID) *actor.Future {
	if pid == nil || pid.Address != l.node.address || !strings.HasPrefix(pid.Id, "future") {
		return nil
	}
	process, ok := l.system.ProcessRegistry.GetLocal(pid.Id)
	if !ok {
		return nil
	}
	return futureOf(process)
}

// asks looks at who asks: a future that a RootContext has made is tamed if it can be.
func (l *life) asks(sender *actor.PID) {
	f := l.named(sender)
	if f == nil {
		return
	}
	if timer := *futureTimer.of(f); timer != nil {
		l.node.w.blame("a future that times out by the machine's clock asks on %s: use Node.RequestFuture, RequestFuture of the "+
			"actor's Context, or a timeout of -1", l.node.address)
		return
	}
	l.tame(f, -1)
}

// awaits looks at who watches: a future that watches was made by StopFuture or PoisonFuture.
func (l *life) awaits(watcher *actor.PID) {
	if f := l.named(watcher); f != nil {
		if timer := *futureTimer.of(f); timer != nil {
			timer.Stop()
		}
		l.tame(f, stopTimeout)
	}
}

// turnstile is the lock of a future. Who waits for the future opens it, and that is where the World runs on: on its one
// thread nobody else could complete the future.
type turnstile struct {
	mu   sync.Mutex
	w    *World
	done *bool
}

// Lock implements sync.Locker.
func (t *turnstile) Lock() { t.mu.Lock() }

// Unlock implements sync.Locker.
func (t *turnstile) Unlock() {
	waits := !*t.done && calledByWait()
	t.mu.Unlock()
	if waits && settled() {
		t.w.await(t.done)
	}
}

func calledByWait() bool {
	var pc [1]uintptr
	runtime.Callers(3, pc[:])
	frame, _ := runtime.CallersFrames(pc[:]).Next()
	return frame.Function == "sync.(*Cond).Wait"
}

// await runs until a future is done.
func (w *World) await(done *bool) {
	if w.acting != nil {
		w.blame("%s/%s waits for a future in Receive: it blocks the World, and in production itself; use ReenterAfter or PipeTo",
			w.acting.life.node.address, w.acting.path)
		panic("waits for a future in Receive")
	}
	if !w.RunUntil(func() bool { return *done }, awaited) {
		w.Fail("a future was waited for that nothing has completed in %v", awaited)
	}
}

// awaited is how much virtual time a future is waited for that has no timeout of its own.
const awaited = time.Hour
