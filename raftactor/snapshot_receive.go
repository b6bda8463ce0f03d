package raftactor

import (
	"fmt"

	"github.com/asynkron/protoactor-go/actor"
	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/persistence"
)

// snapshotReceiver stages the chunks of a snapshot beside the group's data. When all are there and durable it tells the Peer; the data
// itself is not touched before the core has accepted the snapshot and the log starts behind it. After a restart it goes on where the
// staged records end.
//
//	receives                 from            does
//	*messages.SnapshotChunk  snapshotSender  stages it and acknowledges
//	snapshotConsumed         Peer, Applier   the staged snapshot is not needed any more: accepts a transfer again
//	outOfSpace               Peer            the disk has no space for chunks, or has it again
//
// It writes the engine in its Receive: it is a persistence actor, and only the sender waits for it.
type snapshotReceiver struct {
	o              *Options
	store          store
	peer           *actor.PID
	transfer       uint64 // the transfer under way; 0: none
	nextChunk      uint64
	stagedTransfer uint64 // the transfer that was staged last
	occupied       bool   // a complete snapshot is staged and not consumed: other transfers are refused
	outOfSpace     bool   // chunks are dropped: the sender sends them again
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

// resume goes on after a restart: with a snapshot that is complete, or with the chunks that are on the disk.
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
		return // the sender will send it again
	case m.Transfer == r.stagedTransfer:
		ack.Number, ack.Done = m.Number+1, true
	case r.occupied || m.Transfer != r.transfer && m.Number != 0 && r.transfer != 0:
		ack.Refused = true // another transfer is under way
	case m.Transfer != r.transfer && m.Number != 0:
		ack.Rewind = true // nothing of it got to the disk before the restart
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

// stage writes a chunk, and which chunk is next. The first chunk deletes what an earlier transfer left; the last one makes all chunks
// durable. Writes reach the disk in order, so all chunks before the next one are there.
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
