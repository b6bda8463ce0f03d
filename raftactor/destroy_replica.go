package raftactor

import (
	"math"

	"github.com/eraft-io/eraft/actors"
	"github.com/eraft-io/eraft/persistence"
)

// Retire destroys a replica that is no member any more: its log and data are deleted. The group's leader said that at Index this replica
// was no member; GroupDeleted tells that the whole group is over. What it has voted stays on its disk: should it become a member again,
// it starts empty, does not vote twice in a term, and takes part in no election until it has what it had.
type DestroyReplica struct{ Index uint64 }

// GroupDeleted is the Index of a Retire for a group that nobody needs any more.
const GroupDeleted = math.MaxUint64

// onRetire destroys this replica unless it has heard later than at that index that it is a member.
func (p *Peer) onRetire(m DestroyReplica) {
	if m.Index != GroupDeleted && p.core.MemberAfter(m.Index) {
		return
	}
	p.destroying, p.removedAt = true, m.Index
}

// destroy runs at the end of a mailbox drain, behind everything that was written in it.
func (p *Peer) destroy() {
	p.failed = true
	for _, w := range p.proposals.drop() {
		w.refuse(p.replies, p.notLeader(0))
	}
	p.replies.flush()
	p.o.System.Root.Send(p.o.Writer, &persistence.Persist{
		Update: persistence.LogUpdate{Group: p.o.Group, HardState: p.core.HardStateOnRemoval(p.removedAt), Remove: true}, Seq: math.MaxUint64, ReplyTo: p.self,
	})
}

// logDeleted has the Applier delete the data, when the log is deleted: then nothing asks for the data after a restart.
func (p *Peer) logDeleted(batch []any) {
	for _, element := range batch {
		message, _ := actors.Unwrap(element)
		if done, ok := message.(*persistence.Persisted); ok && done.Seq == math.MaxUint64 {
			p.o.System.Root.Send(p.applier, deleteData{})
		}
	}
}

// retire is the last message of a Peer to its Applier.
type deleteData struct{}

// destroy deletes the data. Nothing is applied or answered from here on.
func (a *Applier) destroy() {
	a.failed, a.destroying = true, true
	batch := new(persistence.Batch)
	a.store.wipe(batch)
	a.options.System.Root.Send(a.options.StateWriter, &persistence.WriteState{Batch: batch, ReplyTo: a.self})
}

// destroyed tells the node that nothing is left of the replica.
func (a *Applier) dataDeleted() {
	a.options.System.Events(ReplicaDestroyed{a.options.Group})
	if a.options.OnDestroyed != nil {
		a.options.OnDestroyed(a.options.Group)
	}
}
