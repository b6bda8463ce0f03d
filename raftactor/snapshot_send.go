package raftactor

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/persistence"
)

const (
	chunkWindow     = 2                // chunks on the way
	resendAfter     = time.Second      // without an answer
	transferTimeout = 30 * time.Second // with a follower that does not answer; it may be starting again
)

// sender streams a group's data to one follower, from an unchanging view of the engine. Writes go on meanwhile, and the
// Peer keeps the log behind the view. A chunk that was lost is sent again; a follower that was started again goes on where
// its disk says.
//
//	receives               from      does
//	*messages.SnapshotAck  receiver  sends the next chunks, or some again, or ends
//	rested                 itself    goes on after a pause that its rate asked for
//	idle                   itself    sends again when the follower was silent, and gives up in the end
//
// It reads the engine in its Receive: it is a persistence actor, and nobody waits for it but its follower.
type sender struct {
	o        *Options
	store    store
	node     messages.NodeID // the follower
	peer     *actor.PID
	transfer uint64
	view     persistence.Snapshot
	meta     *messages.SnapshotMeta
	starts   []chunkStart // of the chunks, as far as they are known
	number   uint64       // next chunk to send
	acked    uint64       // chunks that the follower has
	sent     int          // bytes
	told     int          // of them, to the Peer
	pace     throttle
	resting  bool
	heard    time.Duration
	ended    bool
}

// begin is where a chunk begins: with a record, or with what comes at an offset of its value.
type chunkStart struct {
	key    []byte
	offset int
}

// wholeRecord is how large a record's value may be to travel as a whole.
const wholeRecord = 2 << 20

type (
	idle            struct{}
	rested          struct{}
	snapshotSending struct {
		to, transfer, index uint64
		bytes               int
	}
	snapshotSent struct {
		to, transfer, index uint64
		ok                  bool
	}
)

func (s *sender) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *actor.Started:
		s.start(ctx)
	case *messages.SnapshotAck:
		s.onAck(ctx, m)
	case rested:
		s.resting = false
		s.fill(ctx)
	case idle:
		s.onIdle(ctx)
	case *actor.Stopping, *actor.Restarting:
		s.end(ctx, false)
	}
}

func (s *sender) start(ctx actor.Context) {
	if s.ended {
		return
	}
	view, err := s.store.engine.Snapshot()
	if err == nil {
		s.view = view
		s.meta, err = s.store.applied(view)
	}
	if err != nil {
		s.fail(ctx, err)
		return
	}
	s.tell(ctx)
	s.starts = []chunkStart{{}}
	s.heard = s.o.System.Clock.Now()
	s.watch(ctx.Self())
	s.fill(ctx)
}

// tell lets the Peer know how much is sent.
func (s *sender) tell(ctx actor.Context) {
	s.told = s.sent
	ctx.Send(s.peer, snapshotSending{to: uint64(s.node), transfer: s.transfer, index: s.meta.Index, bytes: s.sent})
}

func (s *sender) onAck(ctx actor.Context, m *messages.SnapshotAck) {
	if m.Transfer != s.transfer || s.ended {
		return
	}
	s.heard = s.o.System.Clock.Now()
	switch {
	case m.Done:
		s.end(ctx, true)
	case m.Refused:
		s.end(ctx, false)
	case m.Rewind && m.Number < uint64(len(s.starts)):
		s.goBack(ctx, m.Number)
	case m.Number > s.acked && m.Number < uint64(len(s.starts)): // also beyond s.number, if it went back for nothing
		s.acked, s.number = m.Number, max(s.number, m.Number)
		s.fill(ctx)
	}
}

// goBack sends from a chunk on again.
func (s *sender) goBack(ctx actor.Context, number uint64) {
	s.acked, s.number = number, number
	s.fill(ctx)
}

// fill sends chunks until the window is full, the rate says to wait, or there are no more.
func (s *sender) fill(ctx actor.Context) {
	for !s.ended && !s.resting && s.number < min(s.acked+chunkWindow, uint64(len(s.starts))) {
		now := s.o.System.Clock.Now()
		if wait := s.pace.wait(now); wait > 0 {
			s.resting = true
			self := ctx.Self()
			s.o.System.Clock.After(wait, func() { s.o.System.Root.Send(self, rested{}) })
			return
		}
		chunk, size, err := s.read(s.number)
		if err != nil {
			s.fail(ctx, err)
			return
		}
		s.pace.spent(now, size)
		s.number++
		s.send(ctx, chunk)
		if s.sent += size; chunk.Last || s.sent-s.told >= s.o.Limits.RetainBytes {
			s.tell(ctx)
		}
	}
}

// send sends a chunk to where the follower is now: it may have been started again somewhere else.
func (s *sender) send(ctx actor.Context, chunk *messages.SnapshotChunk) {
	if address := s.o.Address(s.node); address != "" {
		ctx.Send(actor.NewPID(address, SnapshotPath(s.o.Group)), chunk)
	}
}

// read makes a chunk, and learns where the next one begins.
func (s *sender) read(number uint64) (*messages.SnapshotChunk, int, error) {
	at := s.starts[number]
	chunk := &messages.SnapshotChunk{
		Group: uint64(s.o.Group), From: uint64(s.o.Node), Transfer: s.transfer, Meta: s.meta, Number: number,
		Last: true, ReplyAddress: s.o.System.Address(), Offset: uint64(at.offset),
		ReplyId: SnapshotPath(s.o.Group) + "/" + messages.SessionID(s.transfer).String(),
	}
	ends := func(next chunkStart) bool {
		chunk.Last = false
		if number+1 == uint64(len(s.starts)) {
			s.starts = append(s.starts, chunkStart{bytes.Clone(next.key), next.offset})
		}
		return false
	}
	size := 0
	err := persistence.Scope(s.view, s.store.dataPrefix()).Scan(at.key, nil, func(key, value []byte) bool {
		offset := 0
		if len(chunk.Pairs) == 0 {
			offset = at.offset
			value = value[offset:]
		}
		piece := value[:min(len(value), wholeRecord)]
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

func (s *sender) watch(self *actor.PID) {
	s.o.System.Clock.After(resendAfter, func() { s.o.System.Root.Send(self, idle{}) })
}

func (s *sender) onIdle(ctx actor.Context) {
	if s.ended {
		return
	}
	silent := s.o.System.Clock.Now() - s.heard
	if silent >= transferTimeout {
		s.end(ctx, false)
		return
	}
	s.watch(ctx.Self())
	if silent >= resendAfter && !s.resting {
		s.goBack(ctx, s.acked)
	}
}

// fail ends a transfer whose data cannot be read. Unless that is because the node stops, the disk is damaged: then the node
// must go, or it would begin the same transfer for ever.
func (s *sender) fail(ctx actor.Context, err error) {
	if !errors.Is(err, persistence.ErrClosed) {
		s.o.System.Fatal(fmt.Errorf("group %d: read a snapshot: %w", s.o.Group, err))
	}
	s.end(ctx, false)
}

// end tells the Peer once how it went and gives the view back.
func (s *sender) end(ctx actor.Context, ok bool) {
	if s.ended {
		return
	}
	s.ended = true
	if s.view != nil {
		s.view.Close()
	}
	ctx.Send(s.peer, snapshotSent{to: uint64(s.node), transfer: s.transfer, index: s.meta.GetIndex(), ok: ok})
	ctx.Stop(ctx.Self())
}

// throttle lets bytes go at a rate. It is pure.
type throttle struct {
	rate int           // bytes per second
	free time.Duration // when the next may go
}

// wait is how long nothing may go.
func (t *throttle) wait(now time.Duration) time.Duration { return max(0, t.free-now) }

// spent notes bytes that have gone.
func (t *throttle) spent(now time.Duration, bytes int) {
	t.free = max(t.free, now) + time.Duration(float64(bytes)/float64(t.rate)*float64(time.Second))
}
