package actortest

import (
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// ProbeTimeout is how much virtual time a Probe waits for a message.
const ProbeTimeout = 10 * time.Second

// Probe is an actor played by the test: it sends in its own name and keeps what it gets.
type Probe struct {
	n           *Node
	incarnation *incarnation
	pid         *actor.PID
	mail        []any // elements are messages
	from        []*actor.PID
}

// Probe puts a probe under a name of the node.
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

// Send sends a message in the probe's name; answers come back to it.
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

// Waiting are the messages that came and were not expected yet.
func (p *Probe) Waiting() []any { return append([]any(nil), p.mail...) }

// Expect runs the World until the probe gets a message, which must be of type M, and gives it.
func Expect[M any](p *Probe) M {
	p.n.w.t.Helper()
	message, _ := ExpectFrom[M](p)
	return message
}

// ExpectFrom is Expect, and gives the sender as well.
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

// ExpectNone runs the World until nothing is to be done and nothing on its way, and nothing must have come. It is
// exact: no time-out hides a message that comes late.
func (p *Probe) ExpectNone() {
	p.n.w.t.Helper()
	p.n.w.RunUntilIdle()
	if len(p.mail) > 0 {
		p.n.w.Fail("%s expected nothing, and got %T %s", name(p.pid), p.mail[0], Entry{Message: p.mail[0]})
	}
}
