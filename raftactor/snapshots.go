package raftactor

import (
	"fmt"
	"hash/fnv"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/eraft-io/eraft/actors"
	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/persistence"
	"github.com/eraft-io/eraft/raftactor/raft"
)

// snapshots is the part of a Peer in the transfer of snapshots: it starts a sender for each follower that needs one, and offers to the core
// what the receiver has staged.
type snapshots struct {
	o       *Options
	store   store
	draw    func() uint64 // random, so that no two transfers have the same id
	offered bool          // a staged snapshot waits for the core's decision
}

// start starts a transfer to a follower, of data at an index of at least applied; ok is false if the follower's address is not known.
func (s *snapshots) start(to messages.NodeID, applied uint64, peer *actor.PID) (id uint64, ok bool) {
	if s.o.Address(to) == "" {
		return 0, false
	}
	id = transferID(s.o.Group, s.o.Node, to, applied, s.draw())
	sender := &snapshotSender{
		o: s.o, store: s.store, node: to, peer: peer, transfer: id, limiter: actors.NewRateLimiter(s.o.Limits.SnapshotRate),
	}
	path := SnapshotPath(s.o.Group) + "/" + messages.SessionID(id).String()
	_, err := s.o.System.Spawn(path, func() actor.Actor { return sender })
	return id, err == nil
}

// transferID names one transfer of a snapshot: the same leader never sends two at once to one follower.
func transferID(group messages.GroupID, from, to messages.NodeID, index, draw uint64) uint64 {
	h := fnv.New64a()
	fmt.Fprint(h, group, from, to, index, draw)
	return h.Sum64()
}

// sendSnapshots starts a transfer to each follower that the core cannot serve from the log.
func (p *Peer) sendSnapshots(to []uint64) {
	for _, follower := range to {
		if t := p.retention.transfers[follower]; t != nil && t.running {
			continue
		}
		id, ok := p.snapshots.start(messages.NodeID(follower), p.core.Status().Applied, p.pids.peer)
		if !ok {
			p.core.SnapshotDone(follower, 0, false)
			continue
		}
		p.retention.transfers[follower] = &snapshotTransfer{id: id, index: p.core.Soft().First - 1, running: true}
	}
}

func (p *Peer) onSnapshotEnded(m snapshotEnded) {
	p.o.System.Events(SnapshotSent{Group: p.o.Group, To: messages.NodeID(m.to), Index: m.index, OK: m.ok})
	if !p.retention.transfers.ended(m) {
		return
	}
	p.core.SnapshotDone(m.to, m.index, m.ok)
	p.report() // the group may be quiesced
}

// onSnapshotStaged offers a complete snapshot to the core.
func (p *Peer) onSnapshotStaged(m snapshotStaged) {
	p.snapshots.offered = true
	if err := p.core.Restore(m.meta); err != nil {
		p.o.System.Events(MessageDropped{Group: p.o.Group, From: p.o.Node, Reason: err})
	}
}

// settleSnapshot runs when the core has said all it wants: if it has no use for a staged snapshot, the next one may come. Otherwise the
// Applier says so when it has installed the snapshot.
func (p *Peer) settleSnapshot() {
	if p.snapshots.offered {
		p.snapshots.offered = false
		p.o.System.Root.Send(p.pids.receiver, snapshotConsumed{})
	}
}

// load asks for parts of the log that only the disk has.
func (p *Peer) load(loads []raft.Load) {
	for _, l := range loads {
		p.o.System.Root.Send(p.o.LogReader, &persistence.ReadEntries{
			Group: p.o.Group, For: messages.NodeID(l.For), From: l.From, To: l.To, Bytes: p.o.Limits.InflightBytes, ReplyTo: p.pids.peer,
		})
	}
}
