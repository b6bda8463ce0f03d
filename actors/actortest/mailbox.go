package actortest

import "github.com/asynkron/protoactor-go/actor"

// mailbox gives an actor one message at a time, and then lets the World choose anew which actor runs next. Actors have it unless their
// Props have a mailbox of their own. System messages come first, as in Proto.Actor.
type mailbox struct {
	invoker    actor.MessageInvoker
	dispatcher actor.Dispatcher
	user       []any
	system     []any
	scheduled  bool
	suspended  bool
}

func newMailbox() actor.Mailbox { return new(mailbox) }

func (m *mailbox) PostUserMessage(message any) {
	if batch, ok := actor.UnwrapEnvelopeMessage(message).(actor.MessageBatch); ok { // itself it comes after them, as in Proto.Actor
		for _, element := range batch.GetMessages() {
			m.PostUserMessage(element)
		}
	}
	m.user = append(m.user, message)
	m.schedule()
}

func (m *mailbox) PostSystemMessage(message any) {
	m.system = append(m.system, message)
	m.schedule()
}

func (m *mailbox) schedule() {
	if !m.scheduled && (len(m.system) > 0 || !m.suspended && len(m.user) > 0) {
		m.scheduled = true
		m.dispatcher.Schedule(m.run)
	}
}

func (m *mailbox) run() {
	var current any
	defer func() {
		m.scheduled = false
		if r := recover(); r != nil {
			m.invoker.EscalateFailure(r, current)
		}
		m.schedule()
	}()
	if len(m.system) > 0 {
		current, m.system = m.system[0], m.system[1:]
		switch current.(type) {
		case *actor.SuspendMailbox:
			m.suspended = true
		case *actor.ResumeMailbox:
			m.suspended = false
		default:
			m.invoker.InvokeSystemMessage(current)
		}
		return
	}
	if !m.suspended && len(m.user) > 0 {
		current, m.user = m.user[0], m.user[1:]
		m.invoker.InvokeUserMessage(current)
	}
}

func (m *mailbox) RegisterHandlers(invoker actor.MessageInvoker, dispatcher actor.Dispatcher) {
	m.invoker, m.dispatcher = invoker, dispatcher
}

func (m *mailbox) Start() {}

func (m *mailbox) UserMessageCount() int { return len(m.user) }
