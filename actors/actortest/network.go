package actortest

import (
	"slices"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"google.golang.org/protobuf/proto"
)

// Network carries messages between nodes: encoded when they are sent, decoded when they arrive, so that nodes share no memory. Delivery is what Proto.Actor promises, at most once; per link and direction it is in order unless a fault
// says otherwise. A message that is not protobuf cannot travel, and fails the test.
type Network struct {
	w              *World
	defaultFaults  Faults
	links          map[link]*linkState
	messageFaults  func(Envelope) Faults
	isolated       map[link]bool
	gate           Gate
	neverDuplicate func(Envelope) bool
	observer       func(Envelope)
	flying         int
	brokenAfter    time.Duration // until a broken connection is noticed
}

type link struct{ from, to string }

type linkState struct {
	faults *Faults // nil: as usual
	last   time.Duration
}

// Faults are how a link behaves. Probabilities are from 0 to 1. Without any, a message takes 0.1 to 1 ms; the zero value is a link
// that takes no time.
type Faults struct {
	Drop      float64
	Duplicate float64
	Reorder   float64       // a message does not wait for those before it, and may take up to ten times as long
	Min, Max  time.Duration // how long a message travels
	Late      float64       // a message takes as long as an echo
	Echo      time.Duration // how much later a duplicate may come, when everybody has forgotten what it answers
}

// Envelope is a message on its way.
type Envelope struct {
	From, To string // addresses
	Sender   *actor.PID
	Target   *actor.PID
	Message  proto.Message
	Stamp    any // of the Gate
}

// Gate sees what leaves and what arrives at nodes, as a protocol does that names the senders of messages.
type Gate interface {
	// Stamp returns what goes with a message that leaves a node, in Envelope.Stamp.
	Stamp(from *Node) any
	// Admit tells whether what arrives at a node may come in.
	Admit(at *Node, e Envelope) bool
}

func newNetwork(w *World) *Network {
	return &Network{
		w: w, defaultFaults: Faults{Min: 100 * time.Microsecond, Max: time.Millisecond},
		links: map[link]*linkState{}, isolated: map[link]bool{}, brokenAfter: defaultBrokenAfter,
	}
}

// SetFaults sets the faults of all links that have none of their own.
func (n *Network) SetFaults(f Faults) { n.defaultFaults = f }

// SetLinkFaults sets the faults of one direction of a link; nil: those of SetFaults.
func (n *Network) SetLinkFaults(from, to string, f *Faults) { n.state(link{from, to}).faults = f }

// SetMessageFaults adds, to the faults of its link, those that rule returns for a message: for faults of one type of message. nil ends it.
func (n *Network) SetMessageFaults(rule func(Envelope) Faults) { n.messageFaults = rule }

// NeverDuplicate sets which messages are never duplicated, whatever the faults say; nil: none.
func (n *Network) NeverDuplicate(which func(Envelope) bool) { n.neverDuplicate = which }

// Observe has f called for every message that a node sends, before a fault can hit it: for tests that check what is sent.
func (n *Network) Observe(f func(Envelope)) { n.observer = f }

// SetGate puts a Gate at every node; it is asked for every message.
func (n *Network) SetGate(g Gate) { n.gate = g }

// Cut stops one direction of a link; what is on its way still arrives.
func (n *Network) Cut(from, to string) {
	n.isolated[link{from, to}] = true
	n.broke()
}

// Partition lets nodes reach only those of their own part. Nodes of no part reach nobody.
func (n *Network) Partition(parts ...[]string) {
	n.Heal()
	for _, from := range n.w.order {
		for _, to := range n.w.order {
			together := slices.ContainsFunc(parts, func(part []string) bool {
				return slices.Contains(part, from.address) && slices.Contains(part, to.address)
			})
			if from != to && !together {
				n.isolated[link{from.address, to.address}] = true
			}
		}
	}
	n.broke()
}

// Heal ends all cuts and partitions.
func (n *Network) Heal() { clear(n.isolated) }

func (n *Network) state(l link) *linkState {
	if n.links[l] == nil {
		n.links[l] = &linkState{}
	}
	return n.links[l]
}

// remoteProcess is the process of all PIDs of other nodes.
type remoteProcess struct{ incarnation *incarnation }

// Stop implements actor.Process.
func (p *remoteProcess) Stop(target *actor.PID) { p.SendSystemMessage(target, &actor.Stop{}) }

func (p *remoteProcess) SendUserMessage(target *actor.PID, message any) {
	_, body, sender := actor.UnwrapEnvelope(message)
	if !onWorldGoroutine() {
		p.incarnation.node.w.reportIntruder(body, p.incarnation.node.address, name(target))
		return
	}
	p.send(target, sender, body, false)
}

func (p *remoteProcess) SendSystemMessage(target *actor.PID, message any) {
	if !onWorldGoroutine() {
		p.incarnation.node.w.reportIntruder(message, p.incarnation.node.address, name(target))
		return
	}
	switch m := message.(type) {
	case *actor.Watch:
		p.incarnation.adoptWatcher(m.Watcher)
		p.incarnation.noteWatch(target, m)
	case *actor.Unwatch:
		p.incarnation.noteWatch(target, m)
	case *actor.Terminated, *actor.Stop:
	default:
		p.incarnation.node.w.reportFault("a %T for %s leaves %s: Proto.Actor's remote does not carry it either", message, name(target), p.incarnation.node.address)
		return
	}
	p.send(target, nil, message, true)
}

func (p *remoteProcess) send(target, sender *actor.PID, body any, system bool) {
	n := p.incarnation.node.w.net
	message, ok := body.(proto.Message)
	if !ok {
		n.w.t.Errorf("a %T cannot travel from %s to %s: it is no protobuf message", body, p.incarnation.node.address, name(target))
		return
	}
	if p.incarnation.dead {
		return
	}
	encoded, err := proto.MarshalOptions{Deterministic: true}.Marshal(message)
	if err != nil {
		n.w.t.Errorf("a %T cannot be encoded: %v", body, err)
		return
	}
	e := Envelope{From: p.incarnation.node.address, To: target.Address, Sender: copyPID(sender), Target: copyPID(target), Message: message}
	if n.gate != nil {
		e.Stamp = n.gate.Stamp(p.incarnation.node)
	}
	n.dispatch(e, encoded, system)
}

func copyPID(pid *actor.PID) *actor.PID {
	if pid == nil {
		return nil
	}
	return &actor.PID{Address: pid.Address, Id: pid.Id, RequestId: pid.RequestId}
}

// dispatch decides whether a message is lost, and when it arrives.
func (n *Network) dispatch(e Envelope, encoded []byte, system bool) {
	n.w.journal.add(Entry{At: n.w.now, Kind: Sent, From: e.From, To: name(e.Target), Message: e.Message, content: encoded})
	if n.observer != nil {
		n.observer(e)
	}
	state := n.state(link{e.From, e.To})
	f := n.defaultFaults
	if state.faults != nil {
		f = *state.faults
	}
	var special Faults
	if n.messageFaults != nil {
		special = n.messageFaults(e)
	}
	chance := func(a, b float64) bool {
		p := max(a, b)
		return p > 0 && n.w.rng.Float64() < p
	}
	if n.isolated[link{e.From, e.To}] || chance(f.Drop, special.Drop) {
		n.w.journal.add(Entry{At: n.w.now, Kind: Dropped, From: e.From, To: name(e.Target), Message: e.Message})
		return
	}
	copies := 1
	if chance(f.Duplicate, special.Duplicate) && (n.neverDuplicate == nil || !n.neverDuplicate(e)) {
		copies = 2
	}
	for i := range copies {
		at := n.w.now + n.draw(f) + n.draw(special)
		if echo := max(f.Echo, special.Echo); echo > 0 && (i > 0 || chance(f.Late, special.Late)) {
			at += time.Duration(n.w.rng.Int64N(int64(echo)))
		} else if chance(f.Reorder, special.Reorder) {
			at += time.Duration(n.w.rng.Int64N(int64(10*f.Max) + 1))
		} else {
			at = max(at, state.last)
			state.last = at
		}
		n.flying++
		n.w.timers.push(timer{at: at, arrival: true, fire: func() { n.arrive(e, encoded, system) }})
	}
}

func (n *Network) draw(f Faults) time.Duration {
	if f.Max <= f.Min {
		return f.Min
	}
	return f.Min + time.Duration(n.w.rng.Int64N(int64(f.Max-f.Min)))
}

// arrive decodes a message and delivers it to the node that has its address now.
func (n *Network) arrive(e Envelope, encoded []byte, system bool) {
	to := n.w.nodes[e.To]
	if to == nil || !to.Alive() {
		n.w.journal.add(Entry{At: n.w.now, Kind: Dropped, From: e.From, To: name(e.Target), Message: e.Message})
		return
	}
	message := e.Message.ProtoReflect().New().Interface()
	if err := proto.Unmarshal(encoded, message); err != nil {
		n.w.t.Errorf("a %T cannot be decoded: %v", e.Message, err)
		return
	}
	e.Message = message
	if n.gate != nil && !n.gate.Admit(to, e) {
		n.w.journal.add(Entry{At: n.w.now, Kind: Dropped, From: e.From, To: name(e.Target), Message: e.Message})
		return
	}
	root, target := to.System().Root, copyPID(e.Target)
	switch {
	case system:
		if ended, ok := message.(*actor.Terminated); ok {
			to.incarnation.dropWatch(ended.Who, target.Id)
		}
		process, _ := to.System().ProcessRegistry.GetLocal(target.Id)
		process.SendSystemMessage(target, message)
	case e.Sender != nil:
		root.RequestWithCustomSender(target, message, copyPID(e.Sender))
	default:
		root.Send(target, message)
	}
}
