package raftactor

import (
	"github.com/asynkron/protoactor-go/actor"

	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/persistence"
	"github.com/eraft-io/eraft/raftactor/raft"
)

// What is kept of a log. In memory: a tail, from which followers catch up that lag a little, and up to eight times as much while followers
// are being sent it. On the disk: the entries behind a snapshot that is on its way, since a follower that installs it and finds the
// log cut beyond needs another snapshot. When these entries have become as large as the snapshot, another one is as good.

// snapshotTransfers are the snapshots that a leader sends, by follower: those on their way, and those that have arrived and that the
// follower has not acknowledged by an append.
type snapshotTransfers map[uint64]*snapshotTransfer

type snapshotTransfer struct {
	id      uint64
	index   uint64 // of the snapshot, or a lower one until it is known
	bytes   int    // sent so far
	running bool
}

// retainedSegments are the parts of a log that are on the disk only, oldest first.
type retainedSegments []segment

type segment struct {
	last  uint64 // index of its last entry
	bytes int
}

// maxRetained bounds what the disk keeps, in multiples of Limits.RetainBytes.
const maxRetained = 1024

// sendSnapshots starts a transfer to each follower that raft cannot serve from the log.
func (p *Peer) sendSnapshots(to []uint64) {
	for _, id := range to {
		if t := p.transfers[id]; t != nil && t.running {
			continue
		}
		if p.o.Address(messages.NodeID(id)) == "" {
			p.core.SnapshotDone(id, 0, false)
			continue
		}
		name := transferID(p.o.Group, p.o.Node, messages.NodeID(id), p.core.Status().Applied, p.draw())
		s := &snapshotSender{
			o: p.o, store: p.store, node: messages.NodeID(id), peer: p.self, transfer: name,
			limiter: rateLimiter{rate: p.o.Limits.SnapshotRate},
		}
		path := SnapshotPath(p.o.Group) + "/" + messages.SessionID(name).String()
		if _, err := p.o.System.Spawn(path, func() actor.Actor { return s }); err != nil {
			p.core.SnapshotDone(id, 0, false)
			continue
		}
		p.transfers[id] = &snapshotTransfer{id: name, index: p.core.Soft().First - 1, running: true}
	}
}

func (p *Peer) onSnapshotSending(m snapshotProgress) {
	if t := p.transfers[m.to]; t != nil && t.id == m.transfer {
		t.index, t.bytes = m.index, m.bytes
	}
}

// load asks for pieces of the log that only the disk has.
func (p *Peer) load(loads []raft.Load) {
	for _, l := range loads {
		p.o.System.Root.Send(p.o.LogReader, &persistence.ReadEntries{
			Group: p.o.Group, For: messages.NodeID(l.For), From: l.From, To: l.To, Bytes: p.o.Limits.InflightBytes, ReplyTo: p.self,
		})
	}
}

func (p *Peer) onSnapshotSent(m snapshotEnded) {
	p.o.System.Events(SnapshotSent{Group: p.o.Group, To: messages.NodeID(m.to), Index: m.index, OK: m.ok})
	t := p.transfers[m.to]
	if t == nil || t.id != m.transfer {
		return // of an earlier leadership
	}
	if t.running = false; !m.ok {
		delete(p.transfers, m.to)
	}
	p.core.SnapshotDone(m.to, m.index, m.ok)
	p.report() // the group may be quiesced
}

// compact drops the applied part of a log that has grown. The data must be durable first: the Applier says so. It says so
// whenever the StateWriter has synced; only a log that outgrows the state must ask for it.
func (p *Peer) compact() {
	if p.flushing || p.core.LogBytes() < p.o.Limits.CompactBytes() {
		return
	}
	p.flushing = true
	p.o.System.Root.Send(p.applier, flush{})
}

// onFlushed compacts what is durable. A replica that quiesced while the flush was under way asks again for what it has applied
// since: no tick will.
func (p *Peer) onFlushed(m flushed) {
	p.flushing = false
	p.compactTo(m.index)
	if p.core.Quiesced() && m.index < p.core.Status().Applied {
		p.compact()
	}
}

// compactTo drops the log up to a durable index, if it is worth a write. All groups of a node do so together, so that they
// share their syncs.
func (p *Peer) compactTo(durable uint64) {
	if 2*p.core.LogBytes() < 3*p.o.Limits.RetainBytes {
		return
	}
	cut, bytes := min(durable, p.core.TailStart(p.o.Limits.RetainBytes)), p.core.LogBytes()
	followers, first := p.core.Status().Followers, p.core.Soft().First
	if bytes < 8*p.o.Limits.RetainBytes {
		cut = min(cut, servedUpTo(followers, first))
	}
	if cut < first {
		return
	}
	if err := p.core.Compact(cut, p.transfers.firstNeeded(followers, first, p.retained, p.o.Limits.RetainBytes)); err != nil {
		p.fail(err)
		return
	}
	p.retained = append(p.retained, segment{cut, bytes - p.core.LogBytes()}).since(p.core.FirstOnDisk())
	p.report() // the group may be quiesced
}

// release lets the disk go of what was kept for followers, when none of them needs it any more.
func (p *Peer) release() {
	if first := p.core.Soft().First; p.core.FirstOnDisk() < first {
		if p.transfers.firstNeeded(p.core.Status().Followers, first, p.retained, p.o.Limits.RetainBytes) < first {
			return
		}
		p.core.ReleaseDisk()
	}
	p.retained = nil
}

// from is what is left when all before index is deleted.
func (s retainedSegments) since(index uint64) retainedSegments {
	for len(s) > 0 && s[0].last < index {
		s = s[1:]
	}
	return s
}

// bytes is how much there is; part of the oldest segment may have been deleted.
func (s retainedSegments) bytes() (sum int) {
	for _, p := range s {
		sum += p.bytes
	}
	return sum
}

// running is how many snapshots are on their way.
func (t snapshotTransfers) running() int {
	count := 0
	for _, it := range t {
		if it.running {
			count++
		}
	}
	return count
}

// served is the index behind which followers are being served from memory, where the log begins with first.
func servedUpTo(followers []raft.FollowerStatus, first uint64) uint64 {
	index := ^uint64(0)
	for _, f := range followers {
		if f.Active && f.Match+1 >= first {
			index = min(index, f.Match)
		}
	}
	return index
}

// keep is the first entry that the disk must keep, since with it ends what a follower has, or gets as a snapshot. It
// forgets transfers that have served their purpose: the rest is in memory.
func (t snapshotTransfers) firstNeeded(followers []raft.FollowerStatus, first uint64, on retainedSegments, retain int) uint64 {
	index := ^uint64(0)
	for _, f := range followers {
		it := t[f.ID]
		if it == nil {
			continue
		}
		from := max(it.index, f.Match)
		if !it.running && f.Match >= it.index && f.Match+1 >= first {
			delete(t, f.ID)
		} else if on.since(from).bytes() <= min(max(it.bytes, 8*retain), maxRetained*retain) {
			index = min(index, from)
		}
	}
	return index
}
