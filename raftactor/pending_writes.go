package raftactor

import (
	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/persistence"
	"github.com/eraft-io/eraft/raftactor/raft"
)

// pendingWrites are the writes of a group's log that the Writer was given and has not answered, and what waits for them, oldest first.
type pendingWrites []pendingWrite

// pendingWrite is what may go on when the Writer has made everything up to seq durable.
type pendingWrite struct {
	seq     uint64
	after   []*messages.RaftMessage // to be sent then; in order
	restore *messages.SnapshotMeta  // the snapshot that the Applier installs then; nil: none
}

// add notes a write, unless nothing waits for it. seq is larger than that of every write before.
func (w *pendingWrites) add(seq uint64, after []*messages.RaftMessage, restore *messages.SnapshotMeta) {
	if len(after) > 0 || restore != nil {
		*w = append(*w, pendingWrite{seq, after, restore})
	}
}

// complete returns, in order, what waited for writes up to seq.
func (w *pendingWrites) complete(seq uint64) (done []pendingWrite) {
	n := 0
	for n < len(*w) && (*w)[n].seq <= seq {
		n++
	}
	done, *w = (*w)[:n:n], (*w)[n:]
	return done
}

// persist gives a write of the core to the Writer. What must wait for the disk is held until its answer.
func (p *Peer) persist(step *raft.Persist, snapshot *messages.SnapshotMeta) {
	p.writes.add(step.Seq, step.After, snapshot)
	p.disks.logSubmitted(step.Seq)
	if step.Compact != nil {
		p.o.System.Events(LogCompacted{Group: p.o.Group, Index: step.Compact.Index})
	}
	p.o.System.Root.Send(p.o.Writer, &persistence.Persist{
		Update: persistence.LogUpdate{
			Group: p.o.Group, HardState: step.HardState, Snapshot: step.Snapshot, Truncate: step.Truncate,
			Entries: step.Entries, Compact: step.Compact, Keep: step.Keep,
		},
		Seq: step.Seq, ReplyTo: p.pids.peer,
	})
}

func (p *Peer) onPersisted(m *persistence.Persisted) {
	p.disks.logCompleted(m.Seq)
	p.core.Persisted(m.Seq)
	p.onDiskAnswer()
	for _, w := range p.writes.complete(m.Seq) {
		p.transport.send(w.after)
		if w.restore != nil {
			p.o.System.Root.Send(p.pids.applier, restore{w.restore})
		}
	}
}
