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

// RequestFuture sends a request to an actor, and returns a future for the reply that times out by the node's clock; below 0: never. The
// RequestFuture of an actor.RootContext can be used without a timeout only: its timeouts run by the machine's clock.
func (n *Node) RequestFuture(to *actor.PID, message any, timeout time.Duration) *actor.Future {
	root := n.System().Root
	f := n.incarnation.future(timeout)
	root.RequestWithCustomSender(to, message, f.PID())
	return f
}

// future makes a future that times out by the node's clock.
func (l *incarnation) future(timeout time.Duration) *actor.Future {
	f := actor.NewFuture(l.system, -1)
	l.adoptFuture(f, timeout)
	return f
}

// stopFuture makes a future that an actor's end completes.
func (l *incarnation) stopFuture(pid *actor.PID) *actor.Future {
	f := l.future(stopTimeout)
	process, _ := l.system.ProcessRegistry.Get(pid)
	process.SendSystemMessage(pid, &actor.Watch{Watcher: f.PID()})
	return f
}

// adoptFuture makes a future part of the World: it times out by the node's clock, and waiting for it lets the World run.
func (l *incarnation) adoptFuture(f *actor.Future, timeout time.Duration) {
	cond, done := *futureCond.of(f), futureDone.of(f)
	if _, tamed := cond.L.(*futureLock); tamed {
		return
	}
	cond.L = &futureLock{w: l.node.w, done: done}
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

// futureNamed is the future of this incarnation that a PID names; nil: the PID names something else.
func (l *incarnation) futureNamed(pid *actor.PID) *actor.Future {
	if pid == nil || pid.Address != l.node.address || !strings.HasPrefix(pid.Id, "future") {
		return nil
	}
	process, ok := l.system.ProcessRegistry.GetLocal(pid.Id)
	if !ok {
		return nil
	}
	return futureOf(process)
}

// adoptSender adopts the sender of a request if it is a future that a RootContext has made.
func (l *incarnation) adoptSender(sender *actor.PID) {
	f := l.futureNamed(sender)
	if f == nil {
		return
	}
	if timer := *futureTimer.of(f); timer != nil {
		l.node.w.reportFault("a future that times out by the machine's clock asks on %s: use Node.RequestFuture, RequestFuture of the "+
			"actor's Context, or a timeout of -1", l.node.address)
		return
	}
	l.adoptFuture(f, -1)
}

// adoptWatcher adopts a watcher if it is a future: StopFuture or PoisonFuture has made it.
func (l *incarnation) adoptWatcher(watcher *actor.PID) {
	if f := l.futureNamed(watcher); f != nil {
		if timer := *futureTimer.of(f); timer != nil {
			timer.Stop()
		}
		l.adoptFuture(f, stopTimeout)
	}
}

// futureLock is the lock of a future. A goroutine that waits for the future unlocks it, and that is where the World runs on: on its one
// thread, nothing else could complete the future.
type futureLock struct {
	mu   sync.Mutex
	w    *World
	done *bool
}

// Lock implements sync.Locker.
func (t *futureLock) Lock() { t.mu.Lock() }

// Unlock implements sync.Locker.
func (t *futureLock) Unlock() {
	waits := !*t.done && calledByWait()
	t.mu.Unlock()
	if waits && onWorldGoroutine() {
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
		w.reportFault("%s/%s waits for a future in Receive: it blocks the World, and in production itself; use ReenterAfter or PipeTo",
			w.acting.incarnation.node.address, w.acting.path)
		panic("waits for a future in Receive")
	}
	if !w.RunUntil(func() bool { return *done }, awaited) {
		w.Fail("nothing has completed a future in %v", awaited)
	}
}

// awaited bounds, in virtual time, the wait for a future without a timeout.
const awaited = time.Hour
