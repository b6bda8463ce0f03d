package actortest

import (
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// virtualContext is the Context of an actor of a World: what Proto.Actor would do by the machine's clock is done by the node's.
type virtualContext struct {
	actor.Context
	r *runner
}

func (r *runner) decorate(next actor.ContextDecoratorFunc) actor.ContextDecoratorFunc {
	return func(ctx actor.Context) actor.Context { return &virtualContext{next(ctx), r} }
}

// SetReceiveTimeout implements actor.Context.
func (s *virtualContext) SetReceiveTimeout(d time.Duration) { s.r.idle.set(s.r, d) }

// CancelReceiveTimeout implements actor.Context.
func (s *virtualContext) CancelReceiveTimeout() { s.r.idle.after = 0 }

// ReceiveTimeout implements actor.Context.
func (s *virtualContext) ReceiveTimeout() time.Duration { return s.r.idle.after }

// RequestFuture implements actor.Context.
func (s *virtualContext) RequestFuture(pid *actor.PID, message any, timeout time.Duration) *actor.Future {
	f := s.r.incarnation.future(timeout)
	s.RequestWithCustomSender(pid, message, f.PID())
	return f
}

// StopFuture implements actor.Context.
func (s *virtualContext) StopFuture(pid *actor.PID) *actor.Future {
	f := s.r.incarnation.stopFuture(pid)
	s.Stop(pid)
	return f
}

// PoisonFuture implements actor.Context.
func (s *virtualContext) PoisonFuture(pid *actor.PID) *actor.Future {
	f := s.r.incarnation.stopFuture(pid)
	s.Poison(pid)
	return f
}

// Stop implements actor.Context.
func (s *virtualContext) Stop(pid *actor.PID) {
	s.r.incarnation.rebind(pid)
	s.Context.Stop(pid)
}

// Poison implements actor.Context.
func (s *virtualContext) Poison(pid *actor.PID) {
	s.r.incarnation.rebind(pid)
	s.Context.Poison(pid)
}

// Watch implements actor.Context.
func (s *virtualContext) Watch(pid *actor.PID) {
	s.r.incarnation.rebind(pid)
	s.Context.Watch(pid)
}

// Unwatch implements actor.Context.
func (s *virtualContext) Unwatch(pid *actor.PID) {
	s.r.incarnation.rebind(pid)
	s.Context.Unwatch(pid)
}

// idle is the receive timeout of an actor. At most one timer runs for it; when it goes off, it checks whether the timeout is due.
type idle struct {
	after time.Duration // 0: none
	due   time.Duration // by the node's clock
	armed bool
}

func (i *idle) set(r *runner, d time.Duration) {
	if d < time.Millisecond {
		d = 0
	}
	if d != i.after {
		i.after = d
		i.restart(r)
	}
}

// restart starts the timeout again.
func (i *idle) restart(r *runner) {
	if i.after == 0 {
		return
	}
	i.due = r.incarnation.node.clock.Now() + i.after
	i.arm(r)
}

func (i *idle) arm(r *runner) {
	if !i.armed {
		i.armed = true
		clock := r.incarnation.node.clock
		clock.After(i.due-clock.Now(), func() { i.fire(r) })
	}
}

func (i *idle) fire(r *runner) {
	i.armed = false
	switch {
	case i.after == 0:
	case r.incarnation.node.clock.Now() < i.due:
		i.arm(r)
	default:
		i.after = 0 // as in Proto.Actor, once
		if process, ok := r.incarnation.system.ProcessRegistry.GetLocal(r.path); ok {
			process.SendUserMessage(nil, &actor.ReceiveTimeout{})
		}
	}
}

// influences tells whether a message starts the receive timeout again. A message in an envelope does, as in Proto.Actor.
func influences(envelope *actor.MessageEnvelope) bool {
	_, not := unwrapBare(envelope).(actor.NotInfluenceReceiveTimeout)
	return !not
}
