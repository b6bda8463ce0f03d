package raftactor

import (
	"fmt"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/eraft-io/eraft/actors"
	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/persistence"
	"github.com/eraft-io/eraft/raftactor/raft"
)

// Applier owns a group's data on this node: it drives the Machine over committed entries, writes each turn as
// one atomic batch (data, applied index and the Machine's own records together), and answers who asked.
//
//	receives  from  does
//	apply     Peer  runs committed entries in log order, answers their waiters
//	query     Peer  answers reads as soon as the data is at their index
//	restore   Peer  replaces the data by the staged snapshot
//	flush     Peer  makes everything applied durable and says up to where
//
// It is batching: all that has arrived is one turn and one engine write. The write is not synced: the log is,
// and it is replayed from the applied index that the same write carries.
type Applier struct {
	o       *Options
	store   store
	peer    *actor.PID
	at      *messages.SnapshotMeta // what the data is at
	waiting []query                // reads for an index beyond at, ascending
	view    any
	answers *outbox
	failed  bool
}

type (
	apply struct {
		entries []*messages.Entry
		waiters []*waiter // one per entry; nil where nobody on this node waits
	}
	query struct {
		index  uint64
		askers []*messages.Asker
	}
	restore struct{ meta *messages.SnapshotMeta }
	flush   struct{}

	applied     struct{ index uint64 }
	flushed     struct{ index uint64 }
	viewChanged struct{ view any }
)

func newApplier(o *Options, s store, at *messages.SnapshotMeta, peer *actor.PID) *Applier {
	return &Applier{o: o, store: s, at: at, peer: peer, answers: newOutbox(o)}
}

func (a *Applier) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *actor.Started:
		a.open()
	case []any:
		a.drain(m)
	}
}

func (a *Applier) drain(batch []any) {
	if a.failed {
		return
	}
	work, before := newTurn(a.store.data()), a.at.Index
	for _, element := range batch {
		message, _ := actors.Unwrap(element)
		switch m := message.(type) {
		case apply:
			a.apply(work, m)
		case query:
			a.waiting = append(a.waiting, m)
		case restore:
			a.restore(m.meta)
			work, before = newTurn(a.store.data()), a.at.Index
		case flush:
			work, before = a.commit(work, before)
			a.flush()
		}
		if a.failed {
			return
		}
	}
	a.commit(work, before)
	a.query()
	if !a.failed {
		a.answers.flush()
	}
}

// fail stops the node: what this replica would do from here on cannot be trusted. Nothing is answered any more.
func (a *Applier) fail(err error) {
	a.failed = true
	a.o.System.Fatal(fmt.Errorf("group %d: %w", a.o.Group, err))
}

func (a *Applier) open() {
	if err := a.o.Machine.Open(a.store.data()); err != nil {
		a.fail(fmt.Errorf("open state machine: %w", err))
		return
	}
	a.publish()
}

func (a *Applier) apply(work *turn, m apply) {
	for i, entry := range m.entries {
		if entry.Index != a.at.Index+1 {
			a.fail(fmt.Errorf("entry %d came after entry %d", entry.Index, a.at.Index))
			return
		}
		conf := a.at.Conf
		if entry.Kind == messages.EntryKind_CONF_CHANGE {
			next, err := raft.ApplyConfEntry(conf, entry)
			if err != nil {
				a.fail(err)
				return
			}
			conf = next
		} else if !a.commands(work, entry, m.waiters[i]) {
			return
		}
		a.at = &messages.SnapshotMeta{Index: entry.Index, Term: entry.Term, TimeMs: entry.TimeMs, Conf: conf}
	}
}

func (a *Applier) commands(work *turn, entry *messages.Entry, w *waiter) bool {
	at := Position{Group: a.o.Group, Index: entry.Index, Term: entry.Term, TimeMs: entry.TimeMs}
	for i, command := range entry.Commands {
		reply, err := a.o.Machine.Apply(work, at, command)
		if err != nil {
			a.fail(fmt.Errorf("entry %d, command %d: %w", entry.Index, i, err))
			return false
		}
		if to, ok := w.recipient(i); ok {
			a.answers.add(to, reply)
		}
	}
	return true
}

// commit writes the turn so far and tells the Peer. It returns a fresh turn.
func (a *Applier) commit(work *turn, before uint64) (*turn, uint64) {
	if a.failed || a.at.Index == before {
		return work, before
	}
	if f, ok := a.o.Machine.(Flusher); ok {
		if err := f.Flush(work); err != nil {
			a.fail(err)
			return work, before
		}
	}
	batch := new(persistence.Batch)
	work.commit(batch, a.store.dataPrefix())
	err := a.store.putMeta(batch, a.store.key(kindApplied), a.at)
	if err == nil {
		err = a.store.engine.Write(batch, false)
	}
	if err != nil {
		a.fail(fmt.Errorf("write state: %w", err))
		return work, before
	}
	a.publish()
	a.o.System.Root.Send(a.peer, applied{a.at.Index})
	return newTurn(a.store.data()), a.at.Index
}

// query answers the reads whose index is reached.
func (a *Applier) query() {
	ready := 0
	for _, q := range a.waiting {
		if q.index > a.at.Index || a.failed {
			break
		}
		ready++
		for _, asker := range q.askers {
			for _, encoded := range asker.Queries {
				reply, err := a.o.Machine.Query(a.store.data(), encoded)
				if err != nil {
					a.fail(fmt.Errorf("query: %w", err))
					return
				}
				a.answers.add(askerOf(asker), reply)
			}
		}
	}
	a.waiting = a.waiting[ready:]
}

func (a *Applier) restore(meta *messages.SnapshotMeta) {
	if meta.Index > a.at.Index {
		if err := a.store.install(meta); err != nil {
			a.fail(err)
			return
		}
		a.at = meta
		a.o.System.Events(SnapshotInstalled{Group: a.o.Group, Index: meta.Index})
		a.open()
	}
	a.o.System.Root.Send(a.peer, applied{a.at.Index})
	a.o.System.Root.Send(actor.NewPID(a.peer.Address, SnapshotPath(a.o.Group)), installed{})
}

func (a *Applier) flush() {
	if a.failed {
		return
	}
	if err := a.store.engine.Write(new(persistence.Batch), true); err != nil {
		a.fail(fmt.Errorf("sync state: %w", err))
		return
	}
	a.o.System.Root.Send(a.peer, flushed{a.at.Index})
}

// publish tells the Peer and the node when the Machine shows something new.
func (a *Applier) publish() {
	viewer, ok := a.o.Machine.(Viewer)
	if !ok {
		return
	}
	view := viewer.View()
	if view == nil || view == a.view {
		return
	}
	a.view = view
	a.o.System.Root.Send(a.peer, viewChanged{view})
	if a.o.OnView != nil {
		a.o.OnView(a.o.Group, view)
	}
}
