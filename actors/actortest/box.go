package actortest

import "github.com/asynkron/protoactor-go/actor"

// box stands before the mailbox of every actor of a World. It lets in what comes from the World only, and sees failures on their
// way to supervisors, whatever mailbox an actor has.
type box struct {
	actor.Mailbox
	r       *runner
	invoker actor.MessageInvoker
}

// boxed lets a producer make mailboxes in boxes; nil makes the World's own.
func (r *runner) boxed(producer actor.MailboxProducer) actor.MailboxProducer {
	if producer == nil {
		producer = newMailbox
	}
	return func() actor.Mailbox { return &box{Mailbox: producer(), r: r} }
}

func (b *box) PostUserMessage(message any) {
	if b.r.letsIn(message) {
		b.Mailbox.PostUserMessage(bare(message))
	}
}

func (b *box) PostSystemMessage(message any) {
	if b.r.letsIn(message) {
		if m, ok := message.(*actor.Watch); ok {
			b.r.life.awaits(m.Watcher)
		}
		b.Mailbox.PostSystemMessage(message)
	}
}

// bare takes a message out of an envelope that says nothing: senders' middleware puts every message into one, which without a
// World comes as it is.
func bare(message any) any {
	if e, ok := message.(*actor.MessageEnvelope); ok && e.Sender == nil && len(e.Header) == 0 {
		return e.Message
	}
	return message
}

// RegisterHandlers puts the box between the mailbox and the actor as well.
func (b *box) RegisterHandlers(invoker actor.MessageInvoker, dispatcher actor.Dispatcher) {
	b.invoker = invoker
	b.Mailbox.RegisterHandlers(b, dispatcher)
}

// InvokeUserMessage implements actor.MessageInvoker.
func (b *box) InvokeUserMessage(message any) { b.invoker.InvokeUserMessage(message) }

// letsIn tells whether a message comes from the World's own goroutine. What comes from another could come at any time, so that
// no seed would show it again: it is not let in, and the test fails.
func (r *runner) letsIn(message any) bool {
	if settled() {
		return true
	}
	r.life.node.w.intruded(actor.UnwrapEnvelopeMessage(message), r.life.node.address, r.life.node.address+"/"+r.path)
	return false
}

// ours tells whether the calling goroutine is the World's, and fails the test if not.
func (w *World) ours(does string) bool {
	if !settled() {
		w.blame("a goroutine that is not the World's %s: actors in a World must not start goroutines or real timers. It is in %s", does, intruder())
		return false
	}
	return true
}

// intruded is called on a goroutine that is not the World's and that sends.
func (w *World) intruded(message any, from, to string) {
	w.blame("a goroutine that is not the World's sends a %T from %s to %s: actors in a World must not start goroutines or real timers; "+
		"time comes from Node.Clock. It is in %s", message, from, to, intruder())
}
