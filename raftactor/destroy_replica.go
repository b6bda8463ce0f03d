package raftactor

import (
	"math"

	"github.com/eraft-io/eraft/actors"
	"github.com/eraft-io/eraft/persistence"
)

// DestroyReplica destroys a replica that is no member any more: its log and data are deleted. The group's leader has said that this replica
// is no member as of Index; GroupDeleted says that nobody needs the group any more. Term and vote stay on the disk: should the replica
// become a member again, it starts empty, does not vote twice in a term, and takes part in no election until it has what it had.
type DestroyReplica struct{ Index uint64 }

// GroupDeleted is the Index of a DestroyReplica for a group that nobody needs any more.
const GroupDeleted = math.MaxUint64

// onDestroyReplica destroys this replica, unless it has heard that it is a member as of a later index.
func (p *Peer) onDestroyReplica(m DestroyReplica) {
	if m.Index != GroupDeleted && p.core.MemberAfter(m.Index) {
		return
	}
	p.end.destroying, p.end.removedAt = true, m.Index
}

// destroy runs at the end of a mailbox drain, behind everything that was written in it.
func (p *Peer) destroy() {
	p.end.failed = true
	for _, dropped := range p.proposer.pending.drop() {
		dropped.refuse(p.replies, p.notLeader(0))
	}
	p.replies.flush()
	p.o.System.Root.Send(p.o.Writer, &persistence.Persist{
		Update: persistence.LogUpdate{Group: p.o.Group, HardState: p.core.HardStateOnRemoval(p.end.removedAt), Remove: true}, Seq: math.MaxUint64, ReplyTo: p.pids.peer,
	})
}

// onDestroying has the Applier delete the data, when the log is deleted: then nothing asks for the data after a restart.
func (p *Peer) onDestroying(batch []any) {
	for _, element := range batch {
		message, _ := actors.Unwrap(element)
		if done, ok := message.(*persistence.Persisted); ok && done.Seq == math.MaxUint64 {
			p.o.System.Root.Send(p.pids.applier, deleteData{})
		}
	}
}

// deleteData is the last message of a Peer to its Applier.
type deleteData struct{}

// destroy deletes the data. Nothing is applied or answered from here on.
func (a *Applier) destroy() {
	a.failed, a.destroying = true, true
	batch := new(persistence.Batch)
	a.store.wipe(batch)
	a.options.System.Root.Send(a.options.StateWriter, &persistence.WriteState{Batch: batch, ReplyTo: a.self})
}

// dataDeleted tells the node that nothing is left of the replica.
func (a *Applier) dataDeleted() {
	a.options.System.Events(ReplicaDestroyed{a.options.Group})
	if a.options.OnDestroyed != nil {
		a.options.OnDestroyed(a.options.Group)
	}
}
