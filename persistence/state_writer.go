package persistence

import (
	"fmt"

	"github.com/asynkron/protoactor-go/actor"
)

// StateWriter is the persistence actor of the data of a node's groups: it takes the writes that would make everyone
// who waits for an answer wait off the Appliers.
//
//	receives  from      does
//	*Store    Appliers  writes the batch, then answers *Stored
//
// Batches are written in the order they come, and synced only if one asks for it: the logs are durable, and repeat
// what the engine forgets in a crash. It is spawned batching and durable. A write that fails stops the node.
type StateWriter struct {
	engine Engine
	fatal  func(error)
	failed bool
}

// Store asks for one atomic write. Until Stored comes, the batch belongs to the StateWriter.
type Store struct {
	Batch   *Batch
	Sync    bool // everything up to this batch must be durable before the answer
	ReplyTo *actor.PID
}

// Stored answers one Store and gives its batch back.
type Stored struct{ *Store }

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
	}
}
