package raftactor

import (
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/eraft-io/eraft/actors"
)

// TickInterval is how much time one Tick means to raft.
const TickInterval = 50 * time.Millisecond

// Ticker is the one clock of all Peers of a node: it ticks them together, so that what they send to the same
// node at a tick travels together.
//
//	receives     from   does
//	Join, Leave  Peers  who is ticked
//	beat         itself ticks everybody and sets the next beat
type Ticker struct {
	system *actors.System
	peers  []*actor.PID
	cancel func()
}

type (
	// Join asks for Ticks.
	Join struct{ Peer *actor.PID }
	// Leave ends them.
	Leave struct{ Peer *actor.PID }
	beat  struct{}
)

// NewTicker makes the node's Ticker; it is spawned once per node.
func NewTicker(system *actors.System) *Ticker { return &Ticker{system: system} }

func (t *Ticker) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *actor.Started:
		t.next(ctx.Self())
	case *actor.Stopping, *actor.Restarting:
		t.cancel()
	case Join:
		t.leave(m.Peer)
		t.peers = append(t.peers, m.Peer)
	case Leave:
		t.leave(m.Peer)
	case beat:
		for _, peer := range t.peers {
			t.system.Root.Send(peer, Tick{})
		}
		t.next(ctx.Self())
	}
}

func (t *Ticker) next(self *actor.PID) {
	t.cancel = t.system.Clock.After(TickInterval, func() { t.system.Root.Send(self, beat{}) })
}

func (t *Ticker) leave(peer *actor.PID) {
	for i, p := range t.peers {
		if p.Id == peer.Id {
			t.peers = append(t.peers[:i], t.peers[i+1:]...)
			return
		}
	}
}
