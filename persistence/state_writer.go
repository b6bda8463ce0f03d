package persistence

import (
	"fmt"
	"slices"

	"github.com/asynkron/protoactor-go/actor"
)

// StateWriter is the persistence actor of the data of a node's groups: it takes the writes that would make everyone
// who waits for an answer wait off the Appliers.
//
//	receives  from      does
//	*Store    Appliers  writes the batch, then answers Stored; if that was synced, tells all others who wrote: Synced
//
// Batches are written in the order they come. They are synced if one asks for it, or when so much has been written that
// the engine would soon turn it into a table anyway: the logs are durable, and repeat what the engine forgets in a crash.
// It is spawned batching and durable. A write that fails stops the node.
type StateWriter struct {
	engine   Engine
	o        StateWriterOptions
	unsynced []*actor.PID // who wrote since the last sync
	bytes    int          // that they wrote
	failed   bool
}

// StateWriterOptions connect a StateWriter with its node.
type StateWriterOptions struct {
	Fatal     func(error)
	SyncBytes int // written since the last sync that call for one; 0: only who asks does
}

// Store asks for one atomic write. Until Stored comes, the batch belongs to the StateWriter.
type Store struct {
	Batch   *Batch
	Sync    bool // everything up to this batch must be durable before the answer
	ReplyTo *actor.PID
}

// Stored answers one Store and gives its batch back.
type Stored struct {
	*Store
	Durable bool // it is synced, because the Store or the StateWriter wanted it
}

// Synced tells who wrote that everything is durable for which it has Stored: a sync serves all groups.
type Synced struct{}

// NewStateWriter makes a StateWriter; the node spawns it once.
func NewStateWriter(engine Engine, o StateWriterOptions) *StateWriter {
	return &StateWriter{engine: engine, o: o}
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
		s, ok := element.(*Store)
		if !ok || w.failed {
			continue
		}
		w.bytes += s.Batch.Bytes()
		sync := s.Sync || w.o.SyncBytes > 0 && w.bytes >= w.o.SyncBytes
		if err := w.engine.Write(s.Batch, sync); err != nil {
			w.failed = true
			w.o.Fatal(fmt.Errorf("write state: %w", err))
			return
		}
		ctx.Send(s.ReplyTo, Stored{s, sync})
		w.wrote(ctx, s.ReplyTo, sync)
	}
}

func (w *StateWriter) wrote(ctx actor.Context, who *actor.PID, sync bool) {
	if !slices.ContainsFunc(w.unsynced, who.Equal) {
		w.unsynced = append(w.unsynced, who)
	}
	if !sync {
		return
	}
	for _, to := range w.unsynced {
		if !to.Equal(who) {
			ctx.Send(to, Synced{})
		}
	}
	w.unsynced, w.bytes = w.unsynced[:0], 0
}
