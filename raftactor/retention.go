package raftactor

import (
	"github.com/asynkron/protoactor-go/actor"

	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/raftactor/raft"
)

// What stays of a log: a tail that lets followers catch up that lag a little, what followers are being served from, and
// what comes behind a snapshot that is on its way, since a follower that installs it and finds the log cut beyond needs
// another one (pitfall 25). Only the tail is kept for good: the others may hold up to eight times as much.

// transfers are a leader's snapshots: for each follower the index of the one that it gets, or has got but not yet
// acknowledged by an append.
type transfers map[uint64]*transfer

type transfer struct {
	name    uint64
	index   uint64 // 0: not known yet
	running bool
}

// sendSnapshots starts a transfer to each follower that raft cannot serve from the log.
func (p *Peer) sendSnapshots(to []uint64) {
	for _, id := range to {
		address := p.o.Address(messages.NodeID(id))
		if t := p.transfers[id]; t != nil && t.running {
			continue
		}
		if address == "" {
			p.core.SnapshotDone(id, 0, false)
			continue
		}
		name := transferID(p.o.Group, p.o.Node, messages.NodeID(id), p.core.Status().Applied, p.draws())
		s := &sender{
			o: p.o, store: p.store, node: messages.NodeID(id), peer: p.self, transfer: name,
			to: actor.NewPID(address, SnapshotPath(p.o.Group)), pace: throttle{rate: p.o.Limits.SnapshotRate},
		}
		path := SnapshotPath(p.o.Group) + "/" + messages.SessionID(name).String()
		if _, err := p.o.System.Spawn(path, func() actor.Actor { return s }); err != nil {
			p.core.SnapshotDone(id, 0, false)
			continue
		}
		p.transfers[id] = &transfer{name: name, running: true}
	}
}

func (p *Peer) onSnapshotBegun(m snapshotBegun) {
	if t := p.transfers[m.to]; t != nil && t.name == m.transfer {
		t.index = m.index
	}
}

func (p *Peer) onSnapshotSent(m snapshotSent) {
	p.o.System.Events(SnapshotSent{Group: p.o.Group, To: messages.NodeID(m.to), Index: m.index, OK: m.ok})
	t := p.transfers[m.to]
	if t == nil || t.name != m.transfer {
		return // of an earlier leadership
	}
	if t.running = false; !m.ok {
		delete(p.transfers, m.to)
	}
	p.core.SnapshotDone(m.to, m.index, m.ok)
	p.report() // the group may be at rest
}

// compact drops the applied part of a log that has grown. The data must be durable first: the Applier says so. It says so
// whenever the StateWriter has synced; only a log that outgrows the state must ask for it.
func (p *Peer) compact() {
	if p.flushing || p.core.LogBytes() < p.o.Limits.CompactBytes() {
		return
	}
	p.flushing = true
	p.o.System.Root.Send(p.apply, flush{})
}

// onFlushed compacts what is durable, if it is worth a write. It comes to all groups of a node together, so they share
// their syncs.
func (p *Peer) onFlushed(m flushed) {
	p.flushing = false
	if 2*p.core.LogBytes() < 3*p.o.Limits.RetainBytes {
		return
	}
	cut := min(m.index, p.core.TailStart(p.o.Limits.RetainBytes))
	if p.core.LogBytes() < 8*p.o.Limits.RetainBytes {
		cut = min(cut, p.transfers.needed(p.core.Status().Followers))
	}
	if cut <= p.core.Soft().First {
		return
	}
	if err := p.core.Compact(cut); err != nil {
		p.fail(err)
		return
	}
	p.report() // the group may be at rest
}

// running is how many snapshots are on their way.
func (t transfers) running() int {
	count := 0
	for _, it := range t {
		if it.running {
			count++
		}
	}
	return count
}

// needed is the index behind which followers still need the log. It forgets transfers that have served their purpose.
func (t transfers) needed(followers []raft.FollowerStatus) uint64 {
	index := ^uint64(0)
	for _, f := range followers {
		switch it := t[f.ID]; {
		case it != nil && !it.running && f.Match >= it.index:
			delete(t, f.ID)
		case it != nil && it.index > 0:
			index = min(index, it.index)
		}
		if f.Active && f.Match > 0 {
			index = min(index, f.Match)
		}
	}
	return index
}
