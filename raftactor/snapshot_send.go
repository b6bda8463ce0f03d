package raftactor

import (
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/persistence"
)

const (
	chunkBytes   = 256 << 10 // keys and values of one chunk; a single larger pair still travels
	chunkWindow  = 2         // chunks on the way
	transferIdle = 3 * time.Second
)

// sender streams a group's data to one follower, from an unchanging view of the engine. Writes go on meanwhile.
//
//	receives               from      does
//	*messages.SnapshotAck  receiver  sends the next chunks, or ends
//	idle                   itself    gives up when the follower has been silent
//
// It reads the engine in its Receive: it is a persistence actor, and nobody waits for it but its follower.
type sender struct {
	o        *Options
	store    store
	to       *actor.PID // the follower's receiver
	node     messages.NodeID
	peer     *actor.PID
	transfer uint64
	view     persistence.Snapshot
	meta     *messages.SnapshotMeta
	cursor   []byte // next key to read
	number   uint64 // next chunk to send
	acked    uint64
	all      bool // the last chunk is sent
	heard    time.Duration
	ended    bool
}

type (
	idle         struct{}
	snapshotSent struct {
		to, index uint64
		ok        bool
	}
)

// sendSnapshots starts a transfer to each follower that raft cannot serve from the log.
func (p *Peer) sendSnapshots(to []uint64) {
	for _, id := range to {
		address := p.o.Address(messages.NodeID(id))
		if address == "" || p.sending[id] {
			if address == "" {
				p.core.SnapshotDone(id, 0, false)
			}
			continue
		}
		transfer := transferID(p.o.Group, p.o.Node, messages.NodeID(id), p.core.Status().Applied, p.draws())
		s := &sender{
			o: p.o, store: p.store, node: messages.NodeID(id), peer: p.self, transfer: transfer,
			to: actor.NewPID(address, SnapshotPath(p.o.Group)),
		}
		path := SnapshotPath(p.o.Group) + "/" + messages.SessionID(transfer).String()
		if _, err := p.o.System.Spawn(path, func() actor.Actor { return s }); err != nil {
			p.core.SnapshotDone(id, 0, false)
			continue
		}
		p.sending[id] = true
	}
}

func (p *Peer) onSnapshotSent(m snapshotSent) {
	delete(p.sending, m.to)
	p.core.SnapshotDone(m.to, m.index, m.ok)
	p.o.System.Events(SnapshotSent{Group: p.o.Group, To: messages.NodeID(m.to), Index: m.index, OK: m.ok})
}

func (s *sender) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *actor.Started:
		s.start(ctx)
	case *messages.SnapshotAck:
		s.onAck(ctx, m)
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
		s.end(ctx, false)
		return
	}
	s.heard = s.o.System.Clock.Now()
	s.watch(ctx.Self())
	s.fill(ctx)
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
	case m.Number > s.acked:
		s.acked = m.Number
		s.fill(ctx)
	}
}

// fill sends chunks until the window is full.
func (s *sender) fill(ctx actor.Context) {
	for !s.all && s.number < s.acked+chunkWindow {
		chunk, err := s.next()
		if err != nil {
			s.end(ctx, false)
			return
		}
		ctx.Send(s.to, chunk)
	}
}

func (s *sender) next() (*messages.SnapshotChunk, error) {
	chunk := &messages.SnapshotChunk{
		Group: uint64(s.o.Group), From: uint64(s.o.Node), Transfer: s.transfer, Meta: s.meta, Number: s.number,
		Last: true, ReplyAddress: s.o.System.Address(),
		ReplyId: SnapshotPath(s.o.Group) + "/" + messages.SessionID(s.transfer).String(),
	}
	size := 0
	err := persistence.Scope(s.view, s.store.dataPrefix()).Scan(s.cursor, nil, func(key, value []byte) bool {
		if size > 0 && size+len(key)+len(value) > chunkBytes {
			chunk.Last = false
			s.cursor = append([]byte(nil), key...)
			return false
		}
		size += len(key) + len(value)
		chunk.Pairs = append(chunk.Pairs, &messages.Pair{
			Key: append([]byte(nil), key...), Value: append([]byte(nil), value...),
		})
		return true
	})
	chunk.Checksum = checksum(chunk.Pairs)
	s.number++
	s.all = chunk.Last
	return chunk, err
}

func (s *sender) watch(self *actor.PID) {
	s.o.System.Clock.After(transferIdle, func() { s.o.System.Root.Send(self, idle{}) })
}

func (s *sender) onIdle(ctx actor.Context) {
	if s.ended {
		return
	}
	if s.o.System.Clock.Now()-s.heard >= transferIdle {
		s.end(ctx, false)
		return
	}
	s.watch(ctx.Self())
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
	ctx.Send(s.peer, snapshotSent{to: uint64(s.node), index: s.meta.GetIndex(), ok: ok})
	ctx.Stop(ctx.Self())
}
