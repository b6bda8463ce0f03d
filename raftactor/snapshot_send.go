package raftactor

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/eraft-io/eraft/actors"
	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/persistence"
)

const (
	chunkWindow     = 2                // chunks sent and not acknowledged
	resendAfter     = time.Second      // without an acknowledgement
	transferTimeout = 30 * time.Second // without one; the follower may be restarting
)

// snapshotSender sends a group's data to one follower, from a snapshot of the engine that later writes do not change. The Peer keeps the
// log behind it meanwhile. A chunk that was lost is sent again; a follower that has restarted goes on with the chunk that its disk
// lacks.
//
//	receives               from              does
//	*messages.SnapshotAck  snapshotReceiver  sends the next chunks, or some again, or ends
//	limitPassed            itself            goes on after a pause that the rate limiter asked for
//	resendTimer            itself            sends again when the follower was silent, and gives up in the end
//
// It reads the engine in its Receive: it is a persistence actor, and only its follower waits for it.
type snapshotSender struct {
	o             *Options
	store         store
	node          messages.NodeID // the follower
	peer          *actor.PID
	transfer      uint64                 // names this transfer in all messages of it
	data          persistence.Snapshot   // nil: it could not be taken
	meta          *messages.SnapshotMeta // what data is at
	chunks        []chunkStart           // of chunks 0, 1, ..., as far as they are known: one more than have been read
	next          uint64                 // number of the next chunk to send
	acked         uint64                 // chunks that the follower has; acked <= next
	sentBytes     int                    // of keys and values
	reportedBytes int                    // sentBytes, as last told to the Peer
	limiter       *actors.RateLimiter    // Limits.SnapshotRate
	limited       bool                   // a limitPassed is on its way
	answeredAt    time.Duration          // when the follower was last heard
	ended         bool
}

// chunkStart is where a chunk begins: with a record, or with what comes at an offset of its value.
type chunkStart struct {
	key    []byte
	offset int
}

// maxWholeValue is how large a record's value may be, in bytes, to be sent in one chunk. A larger one is sent in several.
const maxWholeValue = 2 << 20

type (
	resendTimer      struct{}
	limitPassed      struct{}
	snapshotProgress struct {
		to, transfer, index uint64
		bytes               int
	}
	snapshotEnded struct {
		to, transfer, index uint64
		ok                  bool
	}
)

func (s *snapshotSender) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *actor.Started:
		s.start(ctx)
	case *messages.SnapshotAck:
		s.onAck(ctx, m)
	case limitPassed:
		s.limited = false
		s.fill(ctx)
	case resendTimer:
		s.onResendTimer(ctx)
	case *actor.Stopping, *actor.Restarting:
		s.end(ctx, false)
	}
}

func (s *snapshotSender) start(ctx actor.Context) {
	if s.ended {
		return
	}
	view, err := s.store.engine.Snapshot()
	if err == nil {
		s.data = view
		s.meta, err = s.store.applied(view)
	}
	if err != nil {
		s.fail(ctx, err)
		return
	}
	s.reportProgress(ctx)
	s.chunks = []chunkStart{{}}
	s.answeredAt = s.o.System.Clock.Now()
	s.startResendTimer(ctx.Self())
	s.fill(ctx)
}

// reportProgress tells the Peer how much has been sent.
func (s *snapshotSender) reportProgress(ctx actor.Context) {
	s.reportedBytes = s.sentBytes
	ctx.Send(s.peer, snapshotProgress{to: uint64(s.node), transfer: s.transfer, index: s.meta.Index, bytes: s.sentBytes})
}

func (s *snapshotSender) onAck(ctx actor.Context, m *messages.SnapshotAck) {
	if m.Transfer != s.transfer || s.ended {
		return
	}
	s.answeredAt = s.o.System.Clock.Now()
	switch {
	case m.Done:
		s.end(ctx, true)
	case m.Refused:
		s.end(ctx, false)
	case m.Rewind && m.Number < uint64(len(s.chunks)):
		s.goBack(ctx, m.Number)
	case m.Number > s.acked && m.Number < uint64(len(s.chunks)): // also beyond s.number, if it went back for nothing
		s.acked, s.next = m.Number, max(s.next, m.Number)
		s.fill(ctx)
	}
}

// goBack sends all chunks from a number on again.
func (s *snapshotSender) goBack(ctx actor.Context, number uint64) {
	s.acked, s.next = number, number
	s.fill(ctx)
}

// fill sends chunks until the window is full, the rate limiter says to wait, or there are no more.
func (s *snapshotSender) fill(ctx actor.Context) {
	for !s.ended && !s.limited && s.next < min(s.acked+chunkWindow, uint64(len(s.chunks))) {
		now := s.o.System.Clock.Now()
		if wait := s.limiter.Wait(now); wait > 0 {
			s.limited = true
			self := ctx.Self()
			s.o.System.Clock.After(wait, func() { s.o.System.Root.Send(self, limitPassed{}) })
			return
		}
		chunk, size, err := s.read(s.next)
		if err != nil {
			s.fail(ctx, err)
			return
		}
		s.limiter.Spend(now, s.limiter.Cost(size))
		s.next++
		s.send(ctx, chunk)
		if s.sentBytes += size; chunk.Last || s.sentBytes-s.reportedBytes >= s.o.Limits.RetainBytes {
			s.reportProgress(ctx)
		}
	}
}

// send sends a chunk to the address that the follower has now: it may have restarted at another one.
func (s *snapshotSender) send(ctx actor.Context, chunk *messages.SnapshotChunk) {
	if address := s.o.Address(s.node); address != "" {
		ctx.Send(actor.NewPID(address, SnapshotPath(s.o.Group)), chunk)
	}
}

// read reads a chunk from the engine, and notes where the next one begins.
func (s *snapshotSender) read(number uint64) (*messages.SnapshotChunk, int, error) {
	at := s.chunks[number]
	chunk := &messages.SnapshotChunk{
		Group: uint64(s.o.Group), From: uint64(s.o.Node), Transfer: s.transfer, Meta: s.meta, Number: number,
		Last: true, ReplyAddress: s.o.System.Address(), Offset: uint64(at.offset),
		ReplyId: SnapshotPath(s.o.Group) + "/" + messages.SessionID(s.transfer).String(),
	}
	ends := func(next chunkStart) bool {
		chunk.Last = false
		if number+1 == uint64(len(s.chunks)) {
			s.chunks = append(s.chunks, chunkStart{bytes.Clone(next.key), next.offset})
		}
		return false
	}
	size := 0
	err := persistence.Scope(s.data, s.store.dataPrefix()).Scan(at.key, nil, func(key, value []byte) bool {
		offset := 0
		if len(chunk.Pairs) == 0 {
			offset = at.offset
			value = value[offset:]
		}
		piece := value[:min(len(value), maxWholeValue)]
		if size > 0 && (size+len(key)+len(value) > s.o.Limits.ChunkBytes || len(piece) < len(value)) {
			return ends(chunkStart{key, 0})
		}
		size += len(key) + len(piece)
		chunk.Pairs = append(chunk.Pairs, &messages.Pair{Key: bytes.Clone(key), Value: bytes.Clone(piece)})
		return len(piece) == len(value) || ends(chunkStart{key, offset + len(piece)})
	})
	chunk.Checksum = checksum(chunk)
	return chunk, size, err
}

func (s *snapshotSender) startResendTimer(self *actor.PID) {
	s.o.System.Clock.After(resendAfter, func() { s.o.System.Root.Send(self, resendTimer{}) })
}

func (s *snapshotSender) onResendTimer(ctx actor.Context) {
	if s.ended {
		return
	}
	silent := s.o.System.Clock.Now() - s.answeredAt
	if silent >= transferTimeout {
		s.end(ctx, false)
		return
	}
	s.startResendTimer(ctx.Self())
	if silent >= resendAfter && !s.limited {
		s.goBack(ctx, s.acked)
	}
}

// fail ends a transfer whose data cannot be read. Unless the node is stopping, the disk is damaged: then the node must stop, or it would
// begin the same transfer for ever.
func (s *snapshotSender) fail(ctx actor.Context, err error) {
	if !errors.Is(err, persistence.ErrClosed) {
		s.o.System.Fatal(fmt.Errorf("group %d: read a snapshot: %w", s.o.Group, err))
	}
	s.end(ctx, false)
}

// end tells the Peer, once, whether the follower has everything, and closes the engine's snapshot.
func (s *snapshotSender) end(ctx actor.Context, ok bool) {
	if s.ended {
		return
	}
	s.ended = true
	if s.data != nil {
		s.data.Close()
	}
	ctx.Send(s.peer, snapshotEnded{to: uint64(s.node), transfer: s.transfer, index: s.meta.GetIndex(), ok: ok})
	ctx.Stop(ctx.Self())
}
