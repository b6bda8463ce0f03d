package raftactor

import (
	"errors"
	"fmt"
	"hash/fnv"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/eraft-io/eraft/actors"
	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/persistence"
)

// Applier owns a group's data on this node: it runs the Machine over committed entries, and replies to proposals and reads. What the
// Machine writes is gathered in a state batch in memory. A state batch goes to the engine as one atomic write: data, applied index and
// the Machine's own records together.
//
//	receives            from         does
//	apply               Peer         runs committed entries in log order, replies to the sessions that proposed them
//	readRequest         Peer         answers reads as soon as the data is at their index, a bounded number of bytes per mailbox drain
//	continueReads       itself       answers more of them
//	restore             Peer         replaces the data by the staged snapshot
//	deleteData          Peer         deletes the data: the replica is destroyed
//	flush               Peer         makes everything applied durable and says up to where
//	probe               Peer         replies probed: the Applier makes progress
//	Digest              anybody      reports the index that the data is at, and a checksum of it
//	persistence.StateWritten  StateWriter  the state batch that it was given is in the engine
//	persistence.StateSynced  StateWriter  the data up to an index is durable, whichever group of the node asked for it
//
// # From a committed entry to its replies
//
//	on each mailbox drain:
//	    for each committed entry, in log order:
//	        for each command of it:
//	            reply = Machine.Apply(state batch, position, command)
//	            keep the reply for the session that sent the command to this node's Peer, if one did
//	        applied = index of the entry
//	    if the batch policy says so, and the StateWriter has written the state batch before this one:
//	        give it, with applied and what the Machine flushes, to the StateWriter as one atomic write
//	        begin the next state batch, which reads through this one
//	    for each read whose index is at most applied:
//	        reply = Machine.Query(state batches over the engine, query)
//	    send the replies, one message for each session
//	    tell the Peer what is applied
//
// Replies do not wait for the engine: what is committed is durable in the logs of a quorum, and here.
//
// # What a crash leaves
//
// A state batch grows until the batch policy says that it is written, so a record that changes often is written once. A crash loses
// the state batches that were not written, and those that were not synced, but nothing that was acknowledged: the log is kept beyond
// the last sync of the data, and after a crash it is replayed from the applied index that the engine has. That index and the data are
// one atomic write, so no command is applied to data that has it already, and none is left out. The log is cut only up to an index
// that the StateWriter has reported as synced.
type Applier struct {
	options      *Options
	store        store
	self         *actor.PID
	peer         *actor.PID
	state        *messages.SnapshotMeta // what the data is at, state batches included
	batch        *stateBatch            // grows; reads see it over writing
	writing      *stateBatch            // the StateWriter is writing it; nil: none
	writtenIndex uint64                 // index that the data in the engine is at when writing is written
	spare        *stateBatch            // written; its memory is used again
	policy       batchPolicy
	engineBatch  *persistence.Batch // for the next write; the StateWriter owns it while writing is not nil
	flushing     bool               // the next write asks for a sync, and is due at once
	deferred     []any              // messages that came while nothing may be applied, in order
	reads        waitingReads
	view         any // newest View of the Machine, as last published
	replies      *outbox
	failed       bool // nothing is applied or answered any more
	destroying   bool // because the replica is being destroyed
}

type (
	apply struct {
		entries   []*messages.Entry
		proposals []*proposal // one per entry; nil: no session waits on this node
	}
	readRequest struct {
		index    uint64
		sessions []*messages.SessionRequests
	}
	restore struct{ meta *messages.SnapshotMeta }
	flush   struct{}

	// Digest asks for the index that a replica's data is at, and a checksum over all of it: replicas at the same index have the same
	// checksum. Each is optional; it sees every record, in order, and then Done is called once. Both are called on the Applier's
	// goroutine, unless the node stops, and must not block.
	Digest struct {
		Each func(key, value []byte) // valid only during the call
		Done func(index, sum uint64)
	}

	applied     struct{ index uint64 }
	flushed     struct{ index uint64 }
	viewChanged struct{ view any }
)

func newApplier(o *Options, s store, at *messages.SnapshotMeta, peer *actor.PID) *Applier {
	a := &Applier{
		options: o, store: s, state: at, writtenIndex: at.Index, batch: newStateBatch(s.data()), spare: newStateBatch(nil), engineBatch: new(persistence.Batch),
		policy: batchPolicy{draw: o.System.Rand("state batch/" + o.Group.String()).IntN},
		self:   actor.NewPID(peer.Address, ApplierPath(o.Group)), peer: peer, replies: newOutbox(o), reads: waitingReads{sessionBytes: map[recipient]int{}},
	}
	a.policy.begin(o.System.Clock.Now())
	return a
}

func (a *Applier) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *actor.Started:
		a.open()
		a.writeBatch()
	case []any:
		a.drain(m)
	}
}

func (a *Applier) drain(batch []any) {
	before := a.state.Index
	for _, element := range batch {
		message, _ := actors.Unwrap(element)
		a.on(message)
	}
	if a.flushing || a.policy.due(a.options.System.Clock.Now(), a.batch) {
		a.writeBatch()
	}
	a.answerReady()
	if a.failed {
		return
	}
	a.replies.flush()
	if a.state.Index != before {
		a.publishView()
		a.options.System.Root.Send(a.peer, applied{a.state.Index})
	}
}

func (a *Applier) on(message any) {
	if a.failed {
		if _, ok := message.(persistence.StateWritten); ok && a.destroying {
			a.dataDeleted()
		}
		return
	}
	switch m := message.(type) {
	case persistence.StateWritten:
		a.onStored(m)
		return
	case persistence.StateSynced:
		a.options.System.Root.Send(a.peer, flushed{m.Index})
		return
	case continueReads:
		a.reads.scheduled = false
		return
	}
	if a.mustDefer(message) {
		a.deferred = append(a.deferred, message)
		return
	}
	switch m := message.(type) {
	case apply:
		a.apply(m)
	case readRequest:
		a.addReads(m)
	case restore:
		a.restore(m.meta)
	case flush:
		a.flushing = true
	case probe:
		a.options.System.Root.Send(a.peer, probed{})
	case Digest:
		a.digest(m)
	case deleteData:
		a.destroy()
	}
}

// mustDefer tells whether a message must wait for the StateWriter: a snapshot replaces the data only when no older
// write can follow, and a full state batch takes no more before the one before it is written. What is not applied counts
// against Limits.PendingBytes, so clients that are too fast for the disk are slowed down, and then refused.
func (a *Applier) mustDefer(message any) bool {
	if len(a.deferred) > 0 {
		return true
	}
	switch message.(type) {
	case apply:
		return a.writing != nil && a.batch.bytes >= a.policy.maxBytes()
	case restore, deleteData:
		return a.writing != nil
	}
	return false
}

// fail stops the node: nothing that this replica would do from here on can be trusted, so it does nothing.
func (a *Applier) fail(err error) {
	a.failed = true
	a.options.System.Fatal(fmt.Errorf("group %d: %w", a.options.Group, err))
}

func (a *Applier) open() {
	if err := a.options.Machine.Open(a.store.data()); err != nil {
		a.fail(fmt.Errorf("open state machine: %w", err))
		return
	}
	if !a.endBatch() {
		return
	}
	// What Open leaves to be written replaces records of an older version: snapshots are read from the engine, so it gets there now.
	a.flushing = a.flushing || a.batch.bytes > 0
	a.publishView()
}

// writeBatch sends the state batch to the StateWriter, if none is being written, and begins the next one over it.
func (a *Applier) writeBatch() {
	if a.failed || a.writing != nil || a.state.Index == a.writtenIndex && !a.flushing {
		return
	}
	if !a.endBatch() {
		return
	}
	a.engineBatch.Reset()
	a.batch.commit(a.engineBatch, a.store.dataPrefix())
	if err := a.store.putMeta(a.engineBatch, a.store.key(kindApplied), a.state); err != nil {
		a.fail(err)
		return
	}
	a.options.System.Root.Send(a.options.StateWriter, &persistence.WriteState{Batch: a.engineBatch, Index: a.state.Index, Sync: a.flushing, ReplyTo: a.self})
	a.writing, a.batch, a.writtenIndex = a.batch, a.spare, a.state.Index
	a.batch.base, a.spare, a.engineBatch, a.flushing = a.writing, nil, nil, false
	a.policy.begin(a.options.System.Clock.Now())
}

// endBatch has the Machine write what it writes once per state batch. It reports whether that succeeded.
func (a *Applier) endBatch() bool {
	if f, ok := a.options.Machine.(Flusher); ok {
		if err := f.Flush(a.batch); err != nil {
			a.fail(err)
		}
	}
	return !a.failed
}

// onStored takes back the memory of a batch that is written, and handles the messages that had to wait for it.
func (a *Applier) onStored(done persistence.StateWritten) {
	a.policy.written(a.options.System.Clock.Now(), done.Batch.Bytes())
	a.engineBatch, a.spare, a.writing = done.Batch, a.writing, nil
	if a.engineBatch.Bytes() > 2*fullBatchBytes {
		a.engineBatch = new(persistence.Batch) // a huge one is not worth keeping its memory
	}
	a.spare.reset()
	a.batch.base = a.store.data()
	deferred := a.deferred
	a.deferred = nil
	for _, message := range deferred {
		a.on(message)
	}
}

// stateReader is the data as queries see it. What the Machine writes once per state batch is only seen by scans.
type stateReader struct{ a *Applier }

func (r stateReader) Get(key []byte) ([]byte, bool, error) { return r.a.batch.Get(key) }

func (r stateReader) Scan(low, high []byte, visit func(key, value []byte) bool) error {
	if !r.a.endBatch() {
		return errStopped
	}
	return r.a.batch.Scan(low, high, visit)
}

var errStopped = errors.New("the replica has stopped")

func (a *Applier) restore(meta *messages.SnapshotMeta) {
	if meta.Index > a.state.Index {
		if err := a.store.install(meta); err != nil {
			a.fail(err)
			return
		}
		a.state, a.writtenIndex = meta, meta.Index
		a.batch.reset()
		a.options.System.Events(SnapshotInstalled{Group: a.options.Group, Index: meta.Index})
		a.open()
	}
	a.options.System.Root.Send(a.peer, applied{a.state.Index})
	a.options.System.Root.Send(actor.NewPID(a.peer.Address, SnapshotPath(a.options.Group)), snapshotConsumed{})
}

func (a *Applier) digest(m Digest) {
	sum := fnv.New64a()
	err := stateReader{a}.Scan(nil, nil, func(key, value []byte) bool {
		fmt.Fprint(sum, len(key), " ", len(value), " ")
		sum.Write(key)
		sum.Write(value)
		if m.Each != nil {
			m.Each(key, value)
		}
		return true
	})
	if err != nil {
		a.fail(fmt.Errorf("sum up the data: %w", err))
		return
	}
	m.Done(a.state.Index, sum.Sum64())
}

// publishView tells the Peer and the node of a new View of the Machine.
func (a *Applier) publishView() {
	viewer, ok := a.options.Machine.(Viewer)
	if !ok {
		return
	}
	view := viewer.View()
	if view == nil || view == a.view {
		return
	}
	a.view = view
	a.options.System.Root.Send(a.peer, viewChanged{view})
	if a.options.OnView != nil {
		a.options.OnView(a.options.Group, view)
	}
}
