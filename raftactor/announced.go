package raftactor

import (
	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/raftactor/raft"
)

// announced is what a Peer has told others of its replica, so that it says only what has changed.
type announced struct {
	leader   raft.LeaderChange       // told as an event
	quiesced bool                    // told to the Ticker
	status   *messages.ReplicaStatus // told to the node; nil: nothing yet. It must not be changed
}

// update takes a new status. It reports whether the node must be told of it.
func (a *announced) update(s *messages.ReplicaStatus) bool {
	b := a.status
	if b != nil && b.Term == s.Term && b.Leader == s.Leader && b.Commit == s.Commit && b.Applied == s.Applied && b.Last == s.Last &&
		b.First == s.First && b.Role == s.Role && b.LeaseValid == s.LeaseValid && b.DiskStalled == s.DiskStalled && b.ConfDurable == s.ConfDurable &&
		b.LogBytes == s.LogBytes && b.PendingBytes == s.PendingBytes && b.PendingReads == s.PendingReads && b.SnapshotsSending == s.SnapshotsSending {
		return false
	}
	a.status = s
	return true
}

// report tells the node the status of this replica, if it has changed.
func (p *Peer) report() {
	if p.o.OnState == nil {
		return
	}
	s := p.core.Status()
	status := &messages.ReplicaStatus{
		Group: uint64(p.o.Group), Role: s.Role.String(), Term: s.Term, Leader: s.Leader, Commit: s.Commit,
		Applied: s.Applied, First: s.First, Last: s.Last, Conf: s.Conf, DiskStalled: p.disks.stalled, ConfDurable: s.ConfDurable,
		LeaseValid: s.Lease > 0 && !p.core.Quiesced(), // a quiesced group lets its lease run out
		LogBytes:   uint64(p.core.LogBytes()), PendingBytes: uint64(p.proposer.pending.bytes),
		PendingReads: uint64(p.reads.count), SnapshotsSending: uint64(p.retention.transfers.running()),
	}
	if p.announced.update(status) {
		p.o.OnState(status)
	}
}

// leaderChanged takes a new leader, term or role. When leadership is lost it refuses all commands that are in the log but not committed,
// with an unknown outcome: this replica will never know what becomes of them.
func (p *Peer) leaderChanged(now raft.LeaderChange) {
	before := p.announced.leader
	if before.Role == raft.Leader && now.Role != raft.Leader {
		why := messages.Errorf(messages.Code_UNCERTAIN, "node %d lost the leadership of group %d", p.o.Node, p.o.Group)
		if now.Leader != 0 {
			why.Hint = &messages.Hint{Leader: now.Leader}
		}
		for _, dropped := range p.proposer.pending.drop() {
			dropped.refuse(p.replies, why)
		}
		clear(p.retention.transfers)
	}
	if now.Leader != before.Leader {
		p.membership.preference.observe(p.o.System.Clock.Now(), now.Leader != 0 && now.Leader == p.membership.preferred())
	}
	if now != before {
		p.o.System.Events(LeaderChanged{
			Group: p.o.Group, Leader: messages.NodeID(now.Leader), Term: now.Term, Role: now.Role.String(),
		})
	}
	p.announced.leader = now
	p.report()
}
