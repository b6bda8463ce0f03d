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
	nodeHeartbeatInterval = 5 * TickInterval          // between nodes that have groups at rest
	suspectAfter          = 3 * nodeHeartbeatInterval // a node unheard for so long may be gone: groups at rest wake up
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
	system          *actors.System
	self            *actor.PID
	subscribers     []*actor.PID
	quiesced        []Quiesce
	lastHeard       map[messages.NodeID]nodeSighting // of the nodes that somebody rests with
	heartbeatSentAt time.Duration                    // when this node last said that it is alive
	idle            bool
	timers          uint64 // that have been set; an older one that was already on its way when it was cancelled does not count
	cancel          func()
}

type nodeSighting struct {
	at    time.Duration
	epoch uint64 // 0: not heard yet
}

type (
	// Join asks for Ticks.
	Subscribe struct{ Peer *actor.PID }
	// Leave ends them.
	Unsubscribe struct{ Peer *actor.PID }
	// Rest ends them until one of the nodes is lost; then the Peer gets Lost, and Ticks again.
	Quiesce struct {
		Peer  *actor.PID
		Watch []WatchedNode
	}
	// Neighbour is a node that a group rests with.
	WatchedNode struct {
		Node    messages.NodeID
		Address string
	}
	// Lost tells a Peer that a node is gone, or was for a while.
	NodeSuspected struct{ Node messages.NodeID }
	tickTimer     struct{ number uint64 }
)

// NewTicker makes the node's Ticker; it is spawned once per node, durable, under TickerPath: a Ticker that came back with an empty
// memory would tick nobody.
func NewTicker(system *actors.System) *Ticker {
	return &Ticker{system: system, lastHeard: map[messages.NodeID]nodeSighting{}}
}

func (t *Ticker) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *actor.Started:
		t.self = ctx.Self()
		t.startTimer()
	case *actor.Stopping, *actor.Restarting:
		t.cancel()
	case Subscribe:
		t.subscribe(m.Peer)
	case Unsubscribe:
		t.unsubscribe(m.Peer)
	case Quiesce:
		t.quiesce(m)
	case *messages.NodeHeartbeat:
		t.onNodeHeartbeat(m)
	case tickTimer:
		if m.number == t.timers {
			t.onTimer()
		}
	}
}

func (t *Ticker) startTimer() {
	interval := TickInterval
	if t.idle = len(t.subscribers) == 0; t.idle {
		interval = nodeHeartbeatInterval
	}
	t.timers++
	number := t.timers
	t.cancel = t.system.Clock.After(interval, func() { t.system.Root.Send(t.self, tickTimer{number}) })
}

func (t *Ticker) onTimer() {
	for _, peer := range t.subscribers {
		t.system.Root.Send(peer, Tick{})
	}
	now := t.system.Clock.Now()
	for _, node := range t.watchedNodes() {
		if now-t.lastHeard[node].at > suspectAfter {
			t.suspect(node)
		}
	}
	if now-t.heartbeatSentAt >= nodeHeartbeatInterval {
		t.heartbeatSentAt = now
		t.sendHeartbeats()
	}
	t.startTimer()
}

func (t *Ticker) subscribe(peer *actor.PID) {
	t.unsubscribe(peer)
	t.subscribers = append(t.subscribers, peer)
	if t.idle {
		t.cancel()
		t.startTimer()
	}
}

func (t *Ticker) unsubscribe(peer *actor.PID) {
	t.subscribers = slices.DeleteFunc(t.subscribers, func(p *actor.PID) bool { return p.Id == peer.Id })
	t.quiesced = slices.DeleteFunc(t.quiesced, func(r Quiesce) bool { return r.Peer.Id == peer.Id })
	t.forgetUnwatched()
}

func (t *Ticker) quiesce(r Quiesce) {
	t.unsubscribe(r.Peer)
	t.quiesced = append(t.quiesced, r)
	for _, n := range r.Watch {
		if _, known := t.lastHeard[n.Node]; !known {
			t.lastHeard[n.Node] = nodeSighting{at: t.system.Clock.Now()}
		}
	}
}

// tell says to everybody somebody here rests with that this node is alive.
func (t *Ticker) sendHeartbeats() {
	id := t.system.Identity()
	var told []string
	for _, r := range t.quiesced {
		for _, n := range r.Watch {
			if !slices.Contains(told, n.Address) {
				told = append(told, n.Address)
				t.system.Root.Send(actor.NewPID(n.Address, TickerPath), &messages.NodeHeartbeat{Node: uint64(id.Node), Epoch: uint64(id.Epoch)})
			}
		}
	}
}

// onNodeHeartbeat notes a sign of life. One of another boot says that the node was gone meanwhile, however short.
func (t *Ticker) onNodeHeartbeat(m *messages.NodeHeartbeat) {
	node := messages.NodeID(m.Node)
	before, watched := t.lastHeard[node]
	if !watched {
		return
	}
	t.lastHeard[node] = nodeSighting{at: t.system.Clock.Now(), epoch: m.Epoch}
	if before.epoch != 0 && before.epoch != m.Epoch {
		t.suspect(node)
	}
}

// lost wakes everybody who rests with a node.
func (t *Ticker) suspect(node messages.NodeID) {
	for _, r := range slices.Clone(t.quiesced) {
		if slices.ContainsFunc(r.Watch, func(n WatchedNode) bool { return n.Node == node }) {
			t.subscribe(r.Peer)
			t.system.Root.Send(r.Peer, NodeSuspected{node})
		}
	}
}

func (t *Ticker) watchedNodes() []messages.NodeID {
	var all []messages.NodeID
	for _, r := range t.quiesced {
		for _, n := range r.Watch {
			if !slices.Contains(all, n.Node) {
				all = append(all, n.Node)
			}
		}
	}
	return all
}

// forget drops the signs of nodes that nobody rests with any more: an old one would soon look like a loss.
func (t *Ticker) forgetUnwatched() {
	watched := t.watchedNodes()
	for node := range t.lastHeard {
		if !slices.Contains(watched, node) {
			delete(t.lastHeard, node)
		}
	}
}
