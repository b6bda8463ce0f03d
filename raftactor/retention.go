package raftactor

import (
	"github.com/asynkron/protoactor-go/actor"

	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/persistence"
	"github.com/eraft-io/eraft/raftactor/raft"
)

// What stays of a log: in memory a tail that lets followers catch up that lag a little, and up to eight times as much that
// followers are being served from; on disk what comes behind a snapshot that is on its way, since a follower that installs it
// and finds the log cut beyond needs another one. When that has become as much as the snapshot, another one is
// as good.

// transfers are a leader's snapshots: for each follower the index of the one that it gets, or has got but not yet
// acknowledged by an append.
type transfers map[uint64]*transfer

type transfer struct {
	name    uint64
	index   uint64 // or a lower one, until it is known
	bytes   int    // of the snapshot, as far as it is sent
	running bool
}

// shelf is what has been cut from a log in memory and is still on disk, oldest first.
type shelf []piece

type piece struct {
	last  uint64
	bytes int
}

// mostShelved is how much the disk keeps at most, in times of what memory keeps for good.
const mostShelved = 1024

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
		name := transferID(p.o.Group, p.o.Node, messages.NodeID(id), p.core.Status().Applied, p.draws())
		s := &sender{
			o: p.o, store: p.store, node: messages.NodeID(id), peer: p.self, transfer: name,
			pace: throttle{rate: p.o.Limits.SnapshotRate},
		}
		path := SnapshotPath(p.o.Group) + "/" + messages.SessionID(name).String()
		if _, err := p.o.System.Spawn(path, func() actor.Actor { return s }); err != nil {
			p.core.SnapshotDone(id, 0, false)
			continue
		}
		p.transfers[id] = &transfer{name: name, index: p.core.Soft().First - 1, running: true}
	}
}

func (p *Peer) onSnapshotSending(m snapshotSending) {
	if t := p.transfers[m.to]; t != nil && t.name == m.transfer {
		t.index, t.bytes = m.index, m.bytes
	}
}

// load asks for pieces of the log that only the disk has.
func (p *Peer) load(loads []raft.Load) {
	for _, l := range loads {
		p.o.System.Root.Send(p.o.LogReader, &persistence.Read{
			Group: p.o.Group, For: messages.NodeID(l.For), From: l.From, To: l.To, Bytes: p.o.Limits.InflightBytes, ReplyTo: p.self,
		})
	}
}

func (p *Peer) onSnapshotSent(m snapshotSent) {
	p.o.System.Events(SnapshotSent{Group: p.o.Group, To: messages.NodeID(m.to), Index: m.index, OK: m.ok})
	t := p.transfers[m.to]
	if t == nil || t.name != m.transfer {
		return // of an earlier leadership
	}
	if t.running = false; !m.ok {
		delete(p.transfers, m.to)
	}
	p.core.SnapshotDone(m.to, m.index, m.ok)
	p.report() // the group may be at rest
}

// compact drops the applied part of a log that has grown. The data must be durable first: the Applier says so. It says so
// whenever the StateWriter has synced; only a log that outgrows the state must ask for it.
func (p *Peer) compact() {
	if p.flushing || p.core.LogBytes() < p.o.Limits.CompactBytes() {
		return
	}
	p.flushing = true
	p.o.System.Root.Send(p.apply, flush{})
}

// onFlushed compacts what is durable, if it is worth a write. It comes to all groups of a node together, so they share
// their syncs.
func (p *Peer) onFlushed(m flushed) {
	p.flushing = false
	if 2*p.core.LogBytes() < 3*p.o.Limits.RetainBytes {
		return
	}
	cut, bytes := min(m.index, p.core.TailStart(p.o.Limits.RetainBytes)), p.core.LogBytes()
	followers, first := p.core.Status().Followers, p.core.Soft().First
	if bytes < 8*p.o.Limits.RetainBytes {
		cut = min(cut, served(followers, first))
	}
	if cut < first {
		return
	}
	if err := p.core.Compact(cut, p.transfers.keep(followers, first, p.shelf, p.o.Limits.RetainBytes)); err != nil {
		p.fail(err)
		return
	}
	p.shelf = append(p.shelf, piece{cut, bytes - p.core.LogBytes()}).from(p.core.FirstOnDisk())
	p.report() // the group may be at rest
}

// release lets the disk go of what was kept for followers, when none of them needs it any more.
func (p *Peer) release() {
	if first := p.core.Soft().First; p.core.FirstOnDisk() < first {
		if p.transfers.keep(p.core.Status().Followers, first, p.shelf, p.o.Limits.RetainBytes) < first {
			return
		}
		p.core.ReleaseDisk()
	}
	p.shelf = nil
}

// from is what is left when all before index is deleted.
func (s shelf) from(index uint64) shelf {
	for len(s) > 0 && s[0].last < index {
		s = s[1:]
	}
	return s
}

// bytes is how much there is; of the oldest piece, part may have been deleted.
func (s shelf) bytes() (sum int) {
	for _, p := range s {
		sum += p.bytes
	}
	return sum
}

// running is how many snapshots are on their way.
func (t transfers) running() int {
	count := 0
	for _, it := range t {
		if it.running {
			count++
		}
	}
	return count
}

// served is the index behind which followers are being served from memory, where the log begins with first.
func served(followers []raft.FollowerStatus, first uint64) uint64 {
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
func (t transfers) keep(followers []raft.FollowerStatus, first uint64, on shelf, retain int) uint64 {
	index := ^uint64(0)
	for _, f := range followers {
		it := t[f.ID]
		if it == nil {
			continue
		}
		from := max(it.index, f.Match)
		if !it.running && f.Match >= it.index && f.Match+1 >= first {
			delete(t, f.ID)
		} else if on.from(from).bytes() <= min(max(it.bytes, 8*retain), mostShelved*retain) {
			index = min(index, from)
		}
	}
	return index
}
