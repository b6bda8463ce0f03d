package persistence

import (
	"fmt"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/eraft-io/eraft/messages"
)

// Writer is the persistence actor of the Raft logs of a node: everything that all groups have asked for while it was writing becomes one
// synced engine write (group commit).
//
//	receives  from   does
//	*Persist  Peers  makes the LogUpdate durable, then replies *Persisted
//
// It is spawned batching and durable. A write or sync that fails stops the node: what is on the disk then is unknown, so
// the Writer replies to nothing any more.
type Writer struct {
	log     *Log
	options WriterOptions
	batch   Batch
	failed  bool
}

// WriterOptions connect a Writer with its node.
type WriterOptions struct {
	Fatal   func(error)
	Now     func() time.Duration                       // monotonic
	Observe func(bytes, saves int, took time.Duration) // optional; after each engine write: its bytes, the number of LogUpdates in it, and how long it took
}

// NewWriter makes a Writer; the node spawns it once.
func NewWriter(log *Log, o WriterOptions) *Writer { return &Writer{log: log, options: o} }

// maxWriteBytes bounds one engine write, and so the memory that it needs.
const maxWriteBytes = 16 << 20

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
		if err := w.log.Add(&w.batch, p.Update); err != nil {
			w.fail(err)
			return
		}
		if step = append(step, p); w.batch.Bytes() >= maxWriteBytes {
			w.commit(ctx, step)
			step = nil
		}
		if w.failed {
			return
		}
	}
	w.commit(ctx, step)
}

func (w *Writer) fail(err error) {
	w.failed = true
	w.options.Fatal(fmt.Errorf("write the log: %w", err))
}

// commit makes a number of Persists durable and replies, with one message per group.
func (w *Writer) commit(ctx actor.Context, step []*Persist) {
	if len(step) == 0 {
		return
	}
	if w.batch.Len() > 0 && !w.writeBatch(len(step)) {
		return
	}
	newest := make(map[messages.GroupID]*Persist)
	var order []messages.GroupID
	for _, p := range step {
		if newest[p.Update.Group] == nil {
			order = append(order, p.Update.Group)
		}
		newest[p.Update.Group] = p
	}
	for _, group := range order {
		p := newest[group]
		ctx.Send(p.ReplyTo, &Persisted{Group: group, Seq: p.Seq})
	}
}

// writeBatch does one engine write. It is always synced, so that never more than one record of the engine's write-ahead log can be torn.
// It reports whether it succeeded.
func (w *Writer) writeBatch(steps int) bool {
	began := w.options.Now()
	if err := w.log.engine.Write(&w.batch, true); err != nil {
		w.fail(err)
		return false
	}
	if w.options.Observe != nil {
		w.options.Observe(w.batch.Bytes(), steps, w.options.Now()-began)
	}
	w.batch.Reset()
	if cap(w.batch.data) > maxWriteBytes/4 {
		w.batch = Batch{}
	}
	return true
}
