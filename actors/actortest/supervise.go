package actortest

import (
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// inVirtualTime lets failures be counted in virtual time: Proto.Actor notes when an actor failed by the machine's clock, and asks it
// how long ago that was. Between two failures the notes are in virtual time.
func (w *World) inVirtualTime(failures *actor.RestartStatistics, handle func()) {
	times, now := failureTimes.of(failures), time.Now()
	for i, t := range *times {
		(*times)[i] = now.Add(t.Sub(epoch) - w.now)
	}
	handle()
	for i, t := range *times {
		(*times)[i] = epoch.Add(w.now - max(0, now.Sub(t)))
	}
}

// InvokeSystemMessage implements actor.MessageInvoker. It is where a supervisor hears of a failure.
func (b *guardedMailbox) InvokeSystemMessage(message any) {
	if f, ok := message.(*actor.Failure); ok && f.RestartStats != nil {
		b.r.incarnation.node.w.inVirtualTime(f.RestartStats, func() { b.invoker.InvokeSystemMessage(message) })
		return
	}
	b.invoker.InvokeSystemMessage(message)
}

// EscalateFailure implements actor.MessageInvoker. An actor without a parent is supervised as Proto.Actor does it.
func (b *guardedMailbox) EscalateFailure(reason, message any) {
	b.r.panicked(reason, message)
	self, ok := b.invoker.(interface {
		actor.Context
		actor.Supervisor
	})
	if !ok || self.Parent() != nil {
		b.invoker.EscalateFailure(reason, message)
		return
	}
	if b.r.failures == nil {
		b.r.failures = actor.NewRestartStatistics()
	}
	b.Mailbox.PostSystemMessage(&actor.SuspendMailbox{})
	b.r.incarnation.node.w.inVirtualTime(b.r.failures, func() {
		actor.DefaultSupervisorStrategy().HandleFailure(self.ActorSystem(), self, self.Self(), b.r.failures, reason, message)
	})
}

// virtualStrategy is a strategy for actors without a parent, in virtual time.
type virtualStrategy struct {
	w        *World
	strategy actor.SupervisorStrategy
}

// guardian gives the strategy that stands for another one in this life. There is one for each, since Proto.Actor keeps them all.
func (l *incarnation) guardian(s actor.SupervisorStrategy) actor.SupervisorStrategy {
	if l.guardians[s] == nil {
		l.guardians[s] = &virtualStrategy{l.node.w, l.supervision(s)}
	}
	return l.guardians[s]
}

// HandleFailure implements actor.SupervisorStrategy.
func (g *virtualStrategy) HandleFailure(system *actor.ActorSystem, s actor.Supervisor, child *actor.PID, failures *actor.RestartStatistics, reason, message any) {
	g.w.inVirtualTime(failures, func() { g.strategy.HandleFailure(system, s, child, failures, reason, message) })
}

// supervision gives a strategy that waits by the node's clock for one that would wait by the machine's.
func (l *incarnation) supervision(s actor.SupervisorStrategy) actor.SupervisorStrategy {
	if window, initial, ok := backoffOf(s); ok {
		return &backoff{l, window, initial}
	}
	return s
}

// backoff is Proto.Actor's exponential backoff, which grows with the number of failures.
type backoff struct {
	l               *incarnation
	window, initial time.Duration
}

// backoffNoise is what Proto.Actor adds to a backoff at most.
const backoffNoise = 500 * time.Nanosecond

// HandleFailure implements actor.SupervisorStrategy.
func (b *backoff) HandleFailure(system *actor.ActorSystem, s actor.Supervisor, child *actor.PID, failures *actor.RestartStatistics, reason, _ any) {
	if failures.NumberOfFailures(b.window) == 0 {
		failures.Reset()
	}
	failures.Fail()
	wait := time.Duration(failures.FailureCount())*b.initial + time.Duration(b.l.node.w.rng.Int64N(int64(backoffNoise)))
	b.l.node.clock.After(wait, func() {
		system.EventStream.Publish(&actor.SupervisorEvent{Child: child, Reason: reason, Directive: actor.RestartDirective})
		s.RestartChildren(child)
	})
}
