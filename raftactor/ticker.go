package raftactor

import (
	"slices"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/eraft-io/eraft/actors"
	"github.com/eraft-io/eraft/messages"
)

// TickInterval is the time that one Tick means to Raft.
const TickInterval = 50 * time.Millisecond

// TickerPath is the path of the Ticker on every node.
const TickerPath = "ticker"

const (
	nodeHeartbeatInterval = 5 * TickInterval          // between nodes that watch each other
	suspectAfter          = 3 * nodeHeartbeatInterval // without a NodeHeartbeat; then the node may be down, and quiesced groups wake
)

// Ticker is the one clock of all Peers of a node: it ticks them together, so that what they send to another node at a tick travels
// together. For quiesced Peers, which get no Ticks, it watches the nodes that their groups rely on: Tickers send each other NodeHeartbeats,
// and a silence, or a new boot epoch, wakes the Peers that watch the node.
//
//	receives                 from     does
//	Subscribe, Unsubscribe   Peers    begins, or ends, to tick the Peer
//	Quiesce                  Peers    ends to tick the Peer, until one of the nodes that it watches is suspected
//	*messages.NodeHeartbeat  Tickers  notes that a node is up
//	tickTimer                itself   ticks, sends NodeHeartbeats, suspects silent nodes, and starts the next timer
type Ticker struct {
	system          *actors.System
	self            *actor.PID
	subscribers     []*actor.PID                     // Peers that are ticked
	quiesced        []Quiesce                        // Peers that are not ticked, and what they watch
	lastHeard       map[messages.NodeID]nodeSighting // of the nodes that a quiesced Peer watches
	heartbeatSentAt time.Duration                    // when this node last sent NodeHeartbeats
	idle            bool                             // no Peer is ticked: the timer is slow
	timers          uint64                           // started so far; only the newest counts: an older one may be on its way when it is cancelled
	cancel          func()                           // cancels the newest timer
}

// nodeSighting is when a node was last heard, and in which boot.
type nodeSighting struct {
	at    time.Duration // when it was heard, or, before that, when the watch began
	epoch uint64        // 0: not heard yet
}

type (
	// Subscribe asks for Ticks.
	Subscribe struct{ Peer *actor.PID }
	// Unsubscribe ends them, and every watch of the Peer.
	Unsubscribe struct{ Peer *actor.PID }
	// Quiesce ends the Ticks of a Peer until one of the nodes is suspected; then the Peer gets NodeSuspected, and Ticks again.
	Quiesce struct {
		Peer  *actor.PID
		Watch []WatchedNode
	}
	// WatchedNode is a node that a quiesced group relies on.
	WatchedNode struct {
		Node    messages.NodeID
		Address string // where its Ticker is
	}
	// NodeSuspected tells a quiesced Peer that a node may be down, or was down for a while.
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

// sendHeartbeats tells all nodes that a Peer here watches that this node is up: they watch this one as well.
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

// onNodeHeartbeat notes that a node is up. With another boot epoch the node was down meanwhile, however shortly.
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

// suspect wakes all Peers that watch a node.
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

// forgetUnwatched forgets when nodes were heard that no Peer watches any more: an old time would soon look like a silence.
func (t *Ticker) forgetUnwatched() {
	watched := t.watchedNodes()
	for node := range t.lastHeard {
		if !slices.Contains(watched, node) {
			delete(t.lastHeard, node)
		}
	}
}
