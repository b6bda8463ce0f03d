package actors

import (
	"runtime"
	"sync"

	"github.com/asynkron/protoactor-go/actor"
)

// batchMailbox gives an actor everything that has arrived as one message of type []any: one Receive per drain. So an actor can do for a
// whole drain at once what is costly, such as a sync. The elements are as posted; Unwrap takes them apart. The slice belongs to the
// receiver only until Receive returns.
//
// It is bounded: above its MailboxBound, sheddable messages go to shed on the sender's goroutine instead of the queue.
// System messages (Started, Stop, Restarting) come one by one and before user messages, as in Proto.Actor.
type batchMailbox struct {
	invoker    actor.MessageInvoker
	dispatcher actor.Dispatcher
	bound      MailboxBound
	shed       func(message any) bool

	mu        sync.Mutex
	user      []any
	bytes     int // of user
	spare     []any
	system    []any
	started   bool // before that the actor can be found, but not run
	running   bool
	suspended bool
}

// MailboxBound bounds what a batching mailbox holds; a zero field is no bound. What the actor has got in its running Receive does not
// count any more, so twice as much may be in memory.
type MailboxBound struct {
	Messages int
	Bytes    int                   // of messages with a size; one without a size is always taken, and one that is larger than this if no other with a size waits
	Size     func(message any) int // in bytes, of a message as posted; called on the sender's goroutine
}

func (b MailboxBound) size(message any) int {
	if b.Bytes == 0 {
		return 0
	}
	return b.Size(message)
}

func (b MailboxBound) full(messages, bytes, size int) bool {
	return b.Messages > 0 && messages >= b.Messages || b.Bytes > 0 && size > 0 && bytes > 0 && bytes+size > b.Bytes
}

// newBatchMailbox makes mailboxes for WithBatching.
func newBatchMailbox(bound MailboxBound, shed func(any) bool) actor.MailboxProducer {
	return func() actor.Mailbox { return &batchMailbox{bound: bound, shed: shed} }
}

func (m *batchMailbox) PostUserMessage(message any) {
	size := m.bound.size(message)
	m.mu.Lock()
	if m.shed != nil && m.bound.full(len(m.user), m.bytes, size) {
		m.mu.Unlock()
		if m.shed(message) {
			return
		}
		m.mu.Lock()
	}
	m.user = append(m.user, message)
	m.bytes += size
	m.schedule()
}

func (m *batchMailbox) PostSystemMessage(message any) {
	m.mu.Lock()
	m.system = append(m.system, message)
	m.schedule()
}

// schedule is called with mu held and gives it up.
func (m *batchMailbox) schedule() {
	start := m.started && !m.running
	m.running = m.running || start
	m.mu.Unlock()
	if start {
		m.dispatcher.Schedule(m.run)
	}
}

func (m *batchMailbox) run() {
	growStack()
	var current any
	defer func() {
		if r := recover(); r != nil {
			m.invoker.EscalateFailure(r, current)
			m.mu.Lock()
			m.running = false
			if len(m.system) > 0 || (!m.suspended && len(m.user) > 0) {
				m.schedule()
				return
			}
			m.mu.Unlock()
		}
	}()
	for {
		m.mu.Lock()
		switch {
		case len(m.system) > 0:
			current = m.system[0]
			m.system = m.system[1:]
			m.mu.Unlock()
			switch current.(type) {
			case *actor.SuspendMailbox:
				m.suspend(true)
			case *actor.ResumeMailbox:
				m.suspend(false)
			default:
				m.invoker.InvokeSystemMessage(current)
			}
		case !m.suspended && len(m.user) > 0:
			batch := m.user
			m.user, m.bytes, m.spare = m.spare[:0], 0, nil
			m.mu.Unlock()
			current = batch
			m.invoker.InvokeUserMessage(batch)
			clear(batch)
			m.mu.Lock()
			m.spare = batch[:0]
			m.mu.Unlock()
		default:
			m.running = false
			m.mu.Unlock()
			return
		}
	}
}

// growStack grows the stack of the new goroutine at once: a run needs much of it, and each step of growing copies the stack.
//
//go:noinline
func growStack() {
	var room [12 << 10]byte
	runtime.KeepAlive(&room)
}

func (m *batchMailbox) suspend(on bool) {
	m.mu.Lock()
	m.suspended = on
	m.mu.Unlock()
}

func (m *batchMailbox) RegisterHandlers(invoker actor.MessageInvoker, dispatcher actor.Dispatcher) {
	m.invoker, m.dispatcher = invoker, dispatcher
}

// Start lets the actor run. Messages may have been posted already by actors that know its path.
func (m *batchMailbox) Start() {
	m.mu.Lock()
	m.started = true
	m.schedule()
}

func (m *batchMailbox) UserMessageCount() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.user)
}

// Unwrap returns the message and the sender of an element of a batch; sender is nil if there is none.
func Unwrap(element any) (message any, sender *actor.PID) {
	if e, ok := element.(*actor.MessageEnvelope); ok {
		return e.Message, e.Sender
	}
	return element, nil
}
