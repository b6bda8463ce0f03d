package actortest

import (
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// ProbeTimeout is how much virtual time a Probe waits for a message.
const ProbeTimeout = 10 * time.Second

// Probe is an actor that the test plays: it sends messages and keeps what it receives.
type Probe struct {
	n           *Node
	incarnation *incarnation
	pid         *actor.PID
	mail        []any // elements are messages
	from        []*actor.PID
}

// Probe makes a probe under a name of the node. It fails the test if an actor has the name.
func (n *Node) Probe(name string) *Probe {
	n.w.t.Helper()
	system := n.System()
	p := &Probe{n: n, incarnation: n.incarnation}
	pid, fresh := system.ProcessRegistry.Add(p, name)
	if !fresh {
		n.w.Fail("there is an actor %s on %s already", name, n.address)
	}
	p.pid = pid
	return p
}

// PID of the probe.
func (p *Probe) PID() *actor.PID { return p.pid }

// Send sends a message with the probe as its sender; replies come to the probe.
func (p *Probe) Send(to *actor.PID, message any) {
	p.n.System().Root.RequestWithCustomSender(to, message, p.pid)
}

// SendUserMessage implements actor.Process.
func (p *Probe) SendUserMessage(_ *actor.PID, message any) {
	_, body, sender := actor.UnwrapEnvelope(message)
	p.n.w.journal.add(Entry{At: p.n.w.now, Kind: Received, From: name(sender), To: name(p.pid), Message: body})
	p.mail, p.from = append(p.mail, body), append(p.from, sender)
}

// SendSystemMessage implements actor.Process: what a probe watches, it hears of.
func (p *Probe) SendSystemMessage(_ *actor.PID, message any) {
	if m, ok := message.(*actor.Terminated); ok {
		p.SendUserMessage(p.pid, m)
	}
}

// Stop implements actor.Process.
func (p *Probe) Stop(*actor.PID) {}

// Watch lets the probe hear when an actor stops, as *actor.Terminated.
func (p *Probe) Watch(pid *actor.PID) {
	process, _ := p.n.System().ProcessRegistry.Get(pid)
	process.SendSystemMessage(pid, &actor.Watch{Watcher: p.pid})
}

// Waiting are the messages that have come and that no Expect has taken, oldest first.
func (p *Probe) Waiting() []any { return append([]any(nil), p.mail...) }

// Expect runs the World until the probe has a message, which must be of type M, and returns it. It fails the test after ProbeTimeout.
func Expect[M any](p *Probe) M {
	p.n.w.t.Helper()
	message, _ := ExpectFrom[M](p)
	return message
}

// ExpectFrom is Expect, and returns the sender as well.
func ExpectFrom[M any](p *Probe) (M, *actor.PID) {
	w := p.n.w
	w.t.Helper()
	var want M
	if !w.RunUntil(func() bool { return len(p.mail) > 0 }, ProbeTimeout) {
		w.Fail("%s expected a %T, and nothing came in %v", name(p.pid), want, ProbeTimeout)
	}
	message, sender := p.mail[0], p.from[0]
	p.mail, p.from = p.mail[1:], p.from[1:]
	got, ok := message.(M)
	if !ok {
		w.Fail("%s expected a %T, and got %T %s", name(p.pid), want, message, Entry{Message: message})
	}
	return got, sender
}

// ExpectNone runs the World until no actor has anything to do and no message is on its way; the probe must not have got a message. It is
// exact: no timeout hides a message that comes late.
func (p *Probe) ExpectNone() {
	p.n.w.t.Helper()
	p.n.w.RunUntilIdle()
	if len(p.mail) > 0 {
		p.n.w.Fail("%s expected nothing, and got %T %s", name(p.pid), p.mail[0], Entry{Message: p.mail[0]})
	}
}
