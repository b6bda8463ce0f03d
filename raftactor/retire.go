package raftactor

import (
	"math"

	"github.com/eraft-io/eraft/actors"
	"github.com/eraft-io/eraft/persistence"
)

// Retire ends a replica that is no member any more, and deletes its log and data. Somebody who knows, the group's
// leader, said that at Index this replica was none; OverAt tells that the whole group is over. What it promised as
// a voter stays on disk: should it become a member again, it starts empty, does not vote twice in a term, and takes part in no
// election until it has what it had.
type Retire struct{ Index uint64 }

// OverAt is the Index of a Retire for a group that nobody needs any more.
const OverAt = math.MaxUint64

// onRetire takes the word that this replica is no member, if it has heard nothing later. A replica that was made a member
// again since has entries behind that index.
func (p *Peer) onRetire(m Retire) {
	if m.Index != OverAt && p.core.MemberAfter(m.Index) {
		return
	}
	p.retiring, p.retireAt = true, m.Index
}

// retire runs at the end of a turn, behind everything that the turn has written.
func (p *Peer) retire() {
	p.failed = true
	for _, w := range p.waiting.drop() {
		w.refuse(p.answers, p.notLeader(0))
	}
	p.answers.flush()
	p.o.System.Root.Send(p.o.Writer, &persistence.Persist{
		Save: persistence.Save{Group: p.o.Group, HardState: p.core.HardStateOnRemoval(p.retireAt), Remove: true}, Seq: math.MaxUint64, ReplyTo: p.self,
	})
}

// retired has the Applier delete the data, now that nothing will ask for it after a restart.
func (p *Peer) retired(batch []any) {
	for _, element := range batch {
		message, _ := actors.Unwrap(element)
		if done, ok := message.(*persistence.Persisted); ok && done.Seq == math.MaxUint64 {
			p.o.System.Root.Send(p.apply, retire{})
		}
	}
}

// retire is the last word of a Peer.
type retire struct{}

// retire deletes the data. Nothing is applied or answered from here on.
func (a *Applier) retire() {
	a.failed, a.retiring = true, true
	batch := new(persistence.Batch)
	a.store.wipe(batch)
	a.o.System.Root.Send(a.o.StateWriter, &persistence.Store{Batch: batch, ReplyTo: a.self})
}

func (a *Applier) retired() {
	a.o.System.Events(ReplicaRetired{a.o.Group})
	if a.o.OnRetired != nil {
		a.o.OnRetired(a.o.Group)
	}
}
