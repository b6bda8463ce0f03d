package raftactor

import (
	"slices"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/eraft-io/eraft/actors"
	"github.com/eraft-io/eraft/messages"
)

// TickInterval is how much time one Tick means to raft.
const TickInterval = 50 * time.Millisecond

// TickerPath is the path of the Ticker on every node.
const TickerPath = "ticker"

const (
	aliveEvery = 5 * TickInterval // between nodes that have groups at rest
	lostAfter  = 3 * aliveEvery   // a node unheard for so long may be gone: groups at rest wake up
)

// Ticker is the one clock of all Peers of a node: it ticks them together, so that what they send to the same
// node at a tick travels together. For Peers at rest it watches the nodes that they rest with: Tickers tell each other
// that their nodes are alive, and a silence, or a new boot epoch, wakes whom it concerns.
//
//	receives         from     does
//	Join, Leave      Peers    who is ticked
//	Rest             Peers    who is not, until one of these nodes is lost
//	*messages.Alive  Tickers  notes that a node is there
//	beat             itself   ticks, tells that this node is alive, looks who is lost, and sets the next beat
type Ticker struct {
	system  *actors.System
	self    *actor.PID
	ticked  []*actor.PID
	resting []Rest
	heard   map[messages.NodeID]lastHeard // of the nodes that somebody rests with
	told    time.Duration                 // when this node last said that it is alive
	slow    bool
	beats   uint64 // that have been set; an older one that was already on its way when it was cancelled does not count
	cancel  func()
}

type lastHeard struct {
	at    time.Duration
	epoch uint64 // 0: not heard yet
}

type (
	// Join asks for Ticks.
	Join struct{ Peer *actor.PID }
	// Leave ends them.
	Leave struct{ Peer *actor.PID }
	// Rest ends them until one of the nodes is lost; then the Peer gets Lost, and Ticks again.
	Rest struct {
		Peer *actor.PID
		With []Neighbour
	}
	// Neighbour is a node that a group rests with.
	Neighbour struct {
		Node    messages.NodeID
		Address string
	}
	// Lost tells a Peer that a node is gone, or was for a while.
	Lost struct{ Node messages.NodeID }
	beat struct{ number uint64 }
)

// NewTicker makes the node's Ticker; it is spawned once per node, durable, under TickerPath: a Ticker that came back with an empty
// memory would tick nobody.
func NewTicker(system *actors.System) *Ticker {
	return &Ticker{system: system, heard: map[messages.NodeID]lastHeard{}}
}

func (t *Ticker) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *actor.Started:
		t.self = ctx.Self()
		t.next()
	case *actor.Stopping, *actor.Restarting:
		t.cancel()
	case Join:
		t.join(m.Peer)
	case Leave:
		t.leave(m.Peer)
	case Rest:
		t.rest(m)
	case *messages.NodeHeartbeat:
		t.onAlive(m)
	case beat:
		if m.number == t.beats {
			t.onBeat()
		}
	}
}

func (t *Ticker) next() {
	interval := TickInterval
	if t.slow = len(t.ticked) == 0; t.slow {
		interval = aliveEvery
	}
	t.beats++
	number := t.beats
	t.cancel = t.system.Clock.After(interval, func() { t.system.Root.Send(t.self, beat{number}) })
}

func (t *Ticker) onBeat() {
	for _, peer := range t.ticked {
		t.system.Root.Send(peer, Tick{})
	}
	now := t.system.Clock.Now()
	for _, node := range t.watched() {
		if now-t.heard[node].at > lostAfter {
			t.lost(node)
		}
	}
	if now-t.told >= aliveEvery {
		t.told = now
		t.tell()
	}
	t.next()
}

func (t *Ticker) join(peer *actor.PID) {
	t.leave(peer)
	t.ticked = append(t.ticked, peer)
	if t.slow {
		t.cancel()
		t.next()
	}
}

func (t *Ticker) leave(peer *actor.PID) {
	t.ticked = slices.DeleteFunc(t.ticked, func(p *actor.PID) bool { return p.Id == peer.Id })
	t.resting = slices.DeleteFunc(t.resting, func(r Rest) bool { return r.Peer.Id == peer.Id })
	t.forget()
}

func (t *Ticker) rest(r Rest) {
	t.leave(r.Peer)
	t.resting = append(t.resting, r)
	for _, n := range r.With {
		if _, known := t.heard[n.Node]; !known {
			t.heard[n.Node] = lastHeard{at: t.system.Clock.Now()}
		}
	}
}

// tell says to everybody somebody here rests with that this node is alive.
func (t *Ticker) tell() {
	id := t.system.Identity()
	var told []string
	for _, r := range t.resting {
		for _, n := range r.With {
			if !slices.Contains(told, n.Address) {
				told = append(told, n.Address)
				t.system.Root.Send(actor.NewPID(n.Address, TickerPath), &messages.NodeHeartbeat{Node: uint64(id.Node), Epoch: uint64(id.Epoch)})
			}
		}
	}
}

// onAlive notes a sign of life. One of another boot says that the node was gone meanwhile, however short.
func (t *Ticker) onAlive(m *messages.NodeHeartbeat) {
	node := messages.NodeID(m.Node)
	before, watched := t.heard[node]
	if !watched {
		return
	}
	t.heard[node] = lastHeard{at: t.system.Clock.Now(), epoch: m.Epoch}
	if before.epoch != 0 && before.epoch != m.Epoch {
		t.lost(node)
	}
}

// lost wakes everybody who rests with a node.
func (t *Ticker) lost(node messages.NodeID) {
	for _, r := range slices.Clone(t.resting) {
		if slices.ContainsFunc(r.With, func(n Neighbour) bool { return n.Node == node }) {
			t.join(r.Peer)
			t.system.Root.Send(r.Peer, Lost{node})
		}
	}
}

func (t *Ticker) watched() []messages.NodeID {
	var all []messages.NodeID
	for _, r := range t.resting {
		for _, n := range r.With {
			if !slices.Contains(all, n.Node) {
				all = append(all, n.Node)
			}
		}
	}
	return all
}

// forget drops the signs of nodes that nobody rests with any more: an old one would soon look like a loss.
func (t *Ticker) forget() {
	watched := t.watched()
	for node := range t.heard {
		if !slices.Contains(watched, node) {
			delete(t.heard, node)
		}
	}
}
