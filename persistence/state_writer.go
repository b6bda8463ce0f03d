package persistence

import (
	"fmt"
	"slices"

	"github.com/asynkron/protoactor-go/actor"
)

// StateWriter is the persistence actor of the data of a node's groups: it does the writes of the Appliers, which answer requests meanwhile.
//
//	receives     from         does
//	*WriteState  Appliers     writes the batch, then replies StateWritten
//	*syncDone    StateSyncer  tells each Applier up to which index its batches were written before the sync began: StateSynced
//
// Batches are written in the order in which they come. A sync is begun if a WriteState asks for it, or when so much has been written
// that the engine would soon make a table of it anyway: the logs are durable, and what the engine loses in a crash is applied again. Batches are written while a sync is under way, so no Applier waits for one. It is spawned batching and durable.
// A write that fails stops the node.
type StateWriter struct {
	engine        Engine
	options       StateWriterOptions
	written       writtenByApplier // newest batches written since the newest sync began
	covered       writtenByApplier // newest batches written before the sync under way began
	syncing       bool             // a sync is under way
	unsyncedBytes int              // in written
	syncWanted    bool             // a WriteState in written asks for a sync
	failed        bool
}

// StateWriterOptions connect a StateWriter with its node.
type StateWriterOptions struct {
	Fatal     func(error)
	Syncer    *actor.PID // the node's StateSyncer
	SyncBytes int        // written since a sync began, from which on another one is due; 0: only a WriteState asks for one
}

// WriteState asks for one atomic write. Until StateWritten comes, the batch belongs to the StateWriter.
type WriteState struct {
	Batch   *Batch
	Index   uint64 // log index that the data is at with this batch; StateSynced names it. 0: the batch deletes the data
	Sync    bool   // everything up to this batch is to become durable soon
	ReplyTo *actor.PID
}

// StateWritten is the reply to a WriteState, and gives its batch back. What was written can be read, but need not be durable.
type StateWritten struct{ *WriteState }

// StateSynced tells an Applier that its batches up to the one of Index are durable. A sync serves all groups.
type StateSynced struct{ Index uint64 }

// writtenUpTo is the index of the newest batch of one Applier.
type writtenUpTo struct {
	applier *actor.PID
	index   uint64
}

// writtenByApplier are in the order in which the Appliers first wrote.
type writtenByApplier []writtenUpTo

func (m writtenByApplier) with(by *actor.PID, index uint64) writtenByApplier {
	for i := range m {
		if m[i].applier.Equal(by) {
			m[i].index = index
			return m
		}
	}
	return append(m, writtenUpTo{by, index})
}

func (m writtenByApplier) without(by *actor.PID) writtenByApplier {
	return slices.DeleteFunc(m, func(it writtenUpTo) bool { return it.applier.Equal(by) })
}

// NewStateWriter makes a StateWriter; the node spawns it once.
func NewStateWriter(engine Engine, o StateWriterOptions) *StateWriter {
	return &StateWriter{engine: engine, options: o}
}

func (w *StateWriter) Receive(ctx actor.Context) {
	batch, ok := ctx.Message().([]any)
	if !ok {
		return
	}
	for _, element := range batch {
		if e, ok := element.(*actor.MessageEnvelope); ok {
			element = e.Message
		}
		if w.failed {
			return
		}
		switch m := element.(type) {
		case *WriteState:
			w.store(ctx, m)
		case *syncDone:
			w.synced(ctx)
		}
	}
}

func (w *StateWriter) store(ctx actor.Context, s *WriteState) {
	if err := w.engine.Write(s.Batch, false); err != nil {
		w.failed = true
		w.options.Fatal(fmt.Errorf("write state: %w", err))
		return
	}
	if w.unsyncedBytes += s.Batch.Bytes(); s.Index > 0 {
		w.written, w.syncWanted = w.written.with(s.ReplyTo, s.Index), w.syncWanted || s.Sync
	} else { // a later replica of the group has the same PID, and none of this data
		w.written, w.covered = w.written.without(s.ReplyTo), w.covered.without(s.ReplyTo)
	}
	ctx.Send(s.ReplyTo, StateWritten{s})
	w.sync(ctx)
}

// sync begins a sync if one is due and none is under way.
func (w *StateWriter) sync(ctx actor.Context) {
	if w.syncing || !w.syncWanted && (w.options.SyncBytes == 0 || w.unsyncedBytes < w.options.SyncBytes) {
		return
	}
	w.syncing, w.covered, w.written, w.unsyncedBytes, w.syncWanted = true, w.written, nil, 0, false
	ctx.Send(w.options.Syncer, &syncState{replyTo: ctx.Self()})
}

func (w *StateWriter) synced(ctx actor.Context) {
	for _, m := range w.covered {
		ctx.Send(m.applier, StateSynced{m.index})
	}
	w.syncing, w.covered = false, nil
	w.sync(ctx)
}

// StateSyncer is the persistence actor that makes the data of a node's groups durable. The engine may take long for that, above all while it
// compacts, and the StateWriter writes on meanwhile.
//
//	receives    from         does
//	*syncState  StateWriter  makes everything in the engine durable, then replies *syncDone
//
// It is spawned durable. A sync that fails stops the node.
type StateSyncer struct {
	engine Engine
	fatal  func(error)
}

type (
	syncState struct{ replyTo *actor.PID }
	syncDone  struct{}
)

// NewStateSyncer makes a StateSyncer; the node spawns it once.
func NewStateSyncer(engine Engine, fatal func(error)) *StateSyncer {
	return &StateSyncer{engine, fatal}
}

func (s *StateSyncer) Receive(ctx actor.Context) {
	m, ok := ctx.Message().(*syncState)
	if !ok {
		return
	}
	if err := s.engine.Write(new(Batch), true); err != nil {
		s.fatal(fmt.Errorf("sync state: %w", err))
		return
	}
	ctx.Send(m.replyTo, new(syncDone))
}
