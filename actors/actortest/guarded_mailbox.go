package actortest

import "github.com/asynkron/protoactor-go/actor"

// guardedMailbox wraps the mailbox of every actor of a World. It accepts only messages from the World's goroutine, and reports failures on
// their way to supervisors, whatever mailbox an actor has.
type guardedMailbox struct {
	actor.Mailbox
	r       *runner
	invoker actor.MessageInvoker
}

// guardMailbox wraps the mailboxes of a producer; nil stands for the World's own mailbox.
func (r *runner) guardMailbox(producer actor.MailboxProducer) actor.MailboxProducer {
	if producer == nil {
		producer = newMailbox
	}
	return func() actor.Mailbox { return &guardedMailbox{Mailbox: producer(), r: r} }
}

func (b *guardedMailbox) PostUserMessage(message any) {
	if b.r.accepts(message) {
		b.Mailbox.PostUserMessage(unwrapBare(message))
	}
}

func (b *guardedMailbox) PostSystemMessage(message any) {
	if b.r.accepts(message) {
		if m, ok := message.(*actor.Watch); ok {
			b.r.incarnation.adoptWatcher(m.Watcher)
		}
		b.Mailbox.PostSystemMessage(message)
	}
}

// unwrapBare takes a message out of an envelope without sender and header: senders' middleware puts every message into one, which outside
// of a World comes without.
func unwrapBare(message any) any {
	if e, ok := message.(*actor.MessageEnvelope); ok && e.Sender == nil && len(e.Header) == 0 {
		return e.Message
	}
	return message
}

// RegisterHandlers puts the guardedMailbox between the mailbox and the actor as well.
func (b *guardedMailbox) RegisterHandlers(invoker actor.MessageInvoker, dispatcher actor.Dispatcher) {
	b.invoker = invoker
	b.Mailbox.RegisterHandlers(b, dispatcher)
}

// InvokeUserMessage implements actor.MessageInvoker.
func (b *guardedMailbox) InvokeUserMessage(message any) { b.invoker.InvokeUserMessage(message) }

// accepts tells whether a message comes from the World's goroutine. A message from another goroutine could come at any time, so that no
// seed would replay it: it is not accepted, and the test fails.
func (r *runner) accepts(message any) bool {
	if onWorldGoroutine() {
		return true
	}
	r.incarnation.node.w.reportIntruder(actor.UnwrapEnvelopeMessage(message), r.incarnation.node.address, r.incarnation.node.address+"/"+r.path)
	return false
}

// checkGoroutine tells whether the calling goroutine is the World's, and fails the test if it is not.
func (w *World) checkGoroutine(does string) bool {
	if !onWorldGoroutine() {
		w.reportFault("a goroutine that is not the World's %s: actors in a World must not start goroutines or real timers. It is in %s", does, callerFunctions())
		return false
	}
	return true
}

// reportIntruder fails the test, because a goroutine that is not the World's sends a message. It is called on that goroutine.
func (w *World) reportIntruder(message any, from, to string) {
	w.reportFault("a goroutine that is not the World's sends a %T from %s to %s: actors in a World must not start goroutines or real timers; "+
		"time comes from Node.Clock. It is in %s", message, from, to, callerFunctions())
}
