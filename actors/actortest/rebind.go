package actortest

import (
	"github.com/asynkron/protoactor-go/actor"
)

// rebind makes a PID lead to the actor that it means for this node. Proto.Actor caches in a PID the process that it leads to, for the first
// system that uses it: for another system of the same program that would be a way around the network.
func (l *incarnation) rebind(pid *actor.PID) {
	if pid == nil {
		return
	}
	cached := cachedProcess.of(pid)
	if *cached != nil && l.owns(**cached) {
		return
	}
	*cached = nil
	if pid.Address != l.node.address {
		return
	}
	process, ok := l.system.ProcessRegistry.GetLocal(pid.Id)
	if !ok {
		return
	}
	if a, ok := process.(*actor.ActorProcess); ok && !l.owns(a) {
		l.node.w.reportFault("%s/%s was spawned past the World: spawn it with Node.Spawn, the node's actor.RootContext or from another actor", pid.Address, pid.Id)
	}
	*cached = &process
}

// owns tells whether a process belongs to this incarnation.
func (l *incarnation) owns(process actor.Process) bool {
	switch p := process.(type) {
	case *remoteProcess:
		return p.incarnation == l
	case *actor.ActorProcess:
		b, ok := (*mailboxOf.of(p)).(*guardedMailbox)
		return ok && b.r.incarnation == l
	case *Probe:
		return p.incarnation == l
	}
	return false
}

// sendMiddleware is the middleware of all messages that a node sends.
func (l *incarnation) sendMiddleware(next actor.SenderFunc) actor.SenderFunc {
	return func(ctx actor.SenderContext, target *actor.PID, envelope *actor.MessageEnvelope) {
		if !onWorldGoroutine() {
			l.node.w.reportIntruder(envelope.Message, l.node.address, name(target))
			return
		}
		l.rebind(target)
		if envelope.Sender != nil {
			l.adoptSender(envelope.Sender)
		}
		next(ctx, target, envelope)
	}
}
