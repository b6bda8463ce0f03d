package raftactor

import (
	"fmt"

	"github.com/asynkron/protoactor-go/actor"
	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/persistence"
)

// receiver stages the chunks of an arriving snapshot beside the group's data. When all are there and durable it
// tells the Peer; the data itself is not touched before raft has agreed and the log starts behind the snapshot. A life that
// was cut off is taken up by the next one: what is staged says how far it came.
//
//	receives                 from           does
//	*messages.SnapshotChunk  sender         stages it and acknowledges
//	installed                Peer, Applier  the staged snapshot is used up: takes a transfer again
//	starved                  Peer           the disk has no room for chunks, or has it again
//
// It writes the engine in its Receive: it is a persistence actor, and nobody waits for it but the sender.
type snapshotReceiver struct {
	o              *Options
	store          store
	peer           *actor.PID
	transfer       uint64 // the one under way, 0: none
	nextChunk      uint64
	stagedTransfer uint64 // the one that was staged last
	occupied       bool   // a complete snapshot is staged and not yet installed
	outOfSpace     bool   // what comes is dropped: the sender says it again
}

type (
	snapshotConsumed struct{}
	outOfSpace       struct{ now bool }
	snapshotStaged   struct{ meta *messages.SnapshotMeta }
)

func newSnapshotReceiver(o *Options, s store, peer *actor.PID) *snapshotReceiver {
	return &snapshotReceiver{o: o, store: s, peer: peer}
}

func (r *snapshotReceiver) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *actor.Started:
		if err := r.resume(ctx); err != nil {
			r.o.System.Fatal(fmt.Errorf("group %d: staged snapshot: %w", r.o.Group, err))
		}
	case *messages.SnapshotChunk:
		r.onChunk(ctx, m)
	case snapshotConsumed:
		r.occupied = false
	case outOfSpace:
		r.outOfSpace = m.now
	}
}

// resume goes on where the life before stopped: with a snapshot that is complete, or with the chunks that got to the disk.
func (r *snapshotReceiver) resume(ctx actor.Context) error {
	progress, err := r.store.progress()
	if err != nil {
		return err
	}
	meta, err := r.store.meta(r.store.engine, r.store.stagedKey())
	if err != nil {
		return err
	}
	if meta != nil {
		r.occupied, r.stagedTransfer = true, progress.Transfer
		ctx.Send(r.peer, snapshotStaged{meta})
		return nil
	}
	r.transfer, r.nextChunk = progress.Transfer, progress.Number
	return nil
}

func (r *snapshotReceiver) onChunk(ctx actor.Context, m *messages.SnapshotChunk) {
	ack := &messages.SnapshotAck{Group: m.Group, From: uint64(r.o.Node), Transfer: m.Transfer}
	switch {
	case r.outOfSpace, m.Group != uint64(r.o.Group) || m.Meta == nil || m.Meta.Conf == nil || m.Transfer == 0 || checksum(m) != m.Checksum:
		return // the sender will say it again
	case m.Transfer == r.stagedTransfer:
		ack.Number, ack.Done = m.Number+1, true
	case r.occupied || m.Transfer != r.transfer && m.Number != 0 && r.transfer != 0:
		ack.Refused = true // there is another one
	case m.Transfer != r.transfer && m.Number != 0:
		ack.Rewind = true // nothing of it got to the disk before this life
	case m.Transfer == r.transfer && m.Number > r.nextChunk:
		ack.Number, ack.Rewind = r.nextChunk, true // a chunk before it was lost
	case m.Transfer == r.transfer && m.Number < r.nextChunk:
		ack.Number = r.nextChunk // came twice
	default:
		if err := r.stage(m); err != nil {
			r.o.System.Fatal(fmt.Errorf("group %d: stage snapshot: %w", r.o.Group, err))
			return
		}
		r.transfer, r.nextChunk = m.Transfer, m.Number+1
		ack.Number, ack.Done = r.nextChunk, m.Last
		if m.Last {
			r.occupied, r.transfer, r.stagedTransfer = true, 0, m.Transfer
			ctx.Send(r.peer, snapshotStaged{m.Meta})
		}
	}
	ctx.Send(actor.NewPID(m.ReplyAddress, m.ReplyId), ack)
}

// stage writes one chunk and how far this is; the first clears what an earlier transfer left, the last makes all of it
// durable. Writes get to the disk in order, so what it says is there.
func (r *snapshotReceiver) stage(m *messages.SnapshotChunk) error {
	batch := new(persistence.Batch)
	if m.Number == 0 {
		batch.DeleteRange(r.store.stagingPrefix(), persistence.PrefixEnd(r.store.stagingPrefix()))
	}
	body, err := proto.Marshal(&messages.SnapshotChunk{Pairs: m.Pairs, Offset: m.Offset})
	if err != nil {
		return err
	}
	batch.Put(r.store.chunkKey(m.Number), body)
	if body, err = proto.Marshal(&messages.SnapshotAck{Transfer: m.Transfer, Number: m.Number + 1}); err != nil {
		return err
	}
	batch.Put(r.store.progressKey(), body)
	if m.Last {
		if err := r.store.putMeta(batch, r.store.stagedKey(), m.Meta); err != nil {
			return err
		}
	}
	return r.store.engine.Write(batch, m.Last)
}
