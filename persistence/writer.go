package persistence

import (
	"fmt"
	"slices"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/eraft-io/eraft/messages"
)

// Writer is the persistence actor of the Raft logs of a node: whatever all groups asked for while it was writing
// becomes one synced engine write. That is the group commit.
//
//	receives  from   does
//	*Persist  Peers  makes the Save durable, then answers *Persisted
//
// It is spawned batching and durable. A write or sync that fails stops the node: what is on disk then is unknown,
// so nothing is answered any more.
type Writer struct {
	log    *Log
	o      WriterOptions
	batch  Batch
	failed bool
}

// WriterOptions connect a Writer with its node.
type WriterOptions struct {
	Fatal   func(error)
	Now     func() time.Duration                                    // monotonic
	Observe func(bytes, saves int, synced bool, took time.Duration) // optional; after each engine write
}

// NewWriter makes a Writer; the node spawns it once.
func NewWriter(log *Log, o WriterOptions) *Writer { return &Writer{log: log, o: o} }

// writeBytes bounds one engine write, and so the memory that a sync needs.
const writeBytes = 16 << 20

func (w *Writer) Receive(ctx actor.Context) {
	batch, ok := ctx.Message().([]any)
	if !ok || w.failed {
		return
	}
	var step []*Persist
	for _, element := range batch {
		if e, ok := element.(*actor.MessageEnvelope); ok {
			element = e.Message
		}
		p, ok := element.(*Persist)
		if !ok {
			continue
		}
		if err := w.log.Add(&w.batch, p.Save); err != nil {
			w.fail(err)
			return
		}
		if step = append(step, p); w.batch.Bytes() >= writeBytes {
			w.write(ctx, step)
			step = nil
		}
		if w.failed {
			return
		}
	}
	w.write(ctx, step)
}

func (w *Writer) fail(err error) {
	w.failed = true
	w.o.Fatal(fmt.Errorf("write the log: %w", err))
}

// write makes a step durable and answers it, one message per group.
func (w *Writer) write(ctx actor.Context, step []*Persist) {
	if len(step) == 0 {
		return
	}
	sync := slices.ContainsFunc(step, func(p *Persist) bool { return !p.NoSync })
	began := w.o.Now()
	if err := w.log.engine.Write(&w.batch, sync); err != nil {
		w.fail(err)
		return
	}
	if w.o.Observe != nil {
		w.o.Observe(w.batch.Bytes(), len(step), sync, w.o.Now()-began)
	}
	w.batch.Reset()
	if cap(w.batch.data) > writeBytes/4 {
		w.batch = Batch{}
	}
	newest := make(map[messages.GroupID]*Persist)
	var order []messages.GroupID
	for _, p := range step {
		if newest[p.Save.Group] == nil {
			order = append(order, p.Save.Group)
		}
		newest[p.Save.Group] = p
	}
	for _, group := range order {
		p := newest[group]
		ctx.Send(p.ReplyTo, &Persisted{Group: group, Seq: p.Seq})
	}
}
