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
// Batches are written in the order they come, and synced only if one asks for it: the logs are durable, and repeat
// what the engine forgets in a crash. It is spawned batching and durable. A write that fails stops the node.
type StateWriter struct {
	engine   Engine
	fatal    func(error)
	unsynced []*actor.PID // who wrote since the last sync
	failed   bool
}

// Store asks for one atomic write. Until Stored comes, the batch belongs to the StateWriter.
type Store struct {
	Batch   *Batch
	Sync    bool // everything up to this batch must be durable before the answer
	ReplyTo *actor.PID
}

// Stored answers one Store and gives its batch back.
type Stored struct{ *Store }

// Synced tells who wrote that everything is durable for which it has Stored: a sync serves all groups.
type Synced struct{}

// NewStateWriter makes a StateWriter; the node spawns it once.
func NewStateWriter(engine Engine, fatal func(error)) *StateWriter {
	return &StateWriter{engine: engine, fatal: fatal}
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
		if err := w.engine.Write(s.Batch, s.Sync); err != nil {
			w.failed = true
			w.fatal(fmt.Errorf("write state: %w", err))
			return
		}
		ctx.Send(s.ReplyTo, Stored{s})
		w.wrote(ctx, s)
	}
}

func (w *StateWriter) wrote(ctx actor.Context, s *Store) {
	if !slices.ContainsFunc(w.unsynced, s.ReplyTo.Equal) {
		w.unsynced = append(w.unsynced, s.ReplyTo)
	}
	if !s.Sync {
		return
	}
	for _, to := range w.unsynced {
		if !to.Equal(s.ReplyTo) {
			ctx.Send(to, Synced{})
		}
	}
	w.unsynced = w.unsynced[:0]
}
