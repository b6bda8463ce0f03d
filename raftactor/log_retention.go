package raftactor

import (
	"github.com/eraft-io/eraft/raftactor/raft"
)

// logRetention decides which part of a group's log is kept, and where. In memory: the newest entries, from which followers catch up that
// lag a little, and up to eight times as much while followers are being sent it. On the disk: the entries behind a snapshot that is on
// its way, since a follower that installs the snapshot and finds the log cut beyond it needs another snapshot. When these entries have
// become as large as the snapshot, another snapshot is as good. It is pure.
type logRetention struct {
	retainBytes int // Limits.RetainBytes, the unit of all bounds here
	transfers   snapshotTransfers
	segments    retainedSegments
	flushing    bool // the Applier has been asked to make the data durable, so that the log can be cut
}

// retainedLog is what a logRetention needs of a raft.Core.
type retainedLog interface {
	LogBytes() int
	TailStart(bytes int) uint64
	Soft() raft.Soft
	Status() raft.Status
	FirstOnDisk() uint64
	Compact(index, keep uint64) error
	ReleaseDisk()
}

// snapshotTransfers are the snapshots that a leader sends, by follower: those on their way, and those that have arrived and that the
// follower has not acknowledged by an append.
type snapshotTransfers map[uint64]*snapshotTransfer

type snapshotTransfer struct {
	id      uint64 // names the transfer in messages between the two nodes
	index   uint64 // of the snapshot, or a lower one until it is known
	bytes   int    // sent so far
	running bool   // false: the follower has all of it
}

// retainedSegments are the parts of a log that are on the disk only, oldest first.
type retainedSegments []segment

type segment struct {
	last  uint64 // index of its last entry
	bytes int    // that it took in memory
}

// maxRetained bounds what the disk keeps, in multiples of Limits.RetainBytes.
const maxRetained = 1024

// flush tells whether the Applier should be asked to make the data durable: a log that outgrows the data must ask for it. Otherwise the
// StateWriter syncs often enough.
func (r *logRetention) flush(log retainedLog, compactBytes int) bool {
	if r.flushing || log.LogBytes() < compactBytes {
		return false
	}
	r.flushing = true
	return true
}

// flushed cuts the log up to an index that the data has durably, if it is worth a write. It comes to all groups of a node together, so
// they share their syncs. It reports whether it has cut anything.
func (r *logRetention) flushed(log retainedLog, index uint64) (cut bool, err error) {
	r.flushing = false
	if 2*log.LogBytes() < 3*r.retainBytes {
		return false, nil
	}
	to, bytes := min(index, log.TailStart(r.retainBytes)), log.LogBytes()
	followers, first := log.Status().Followers, log.Soft().First
	if bytes < 8*r.retainBytes {
		to = min(to, servedUpTo(followers, first))
	}
	if to < first {
		return false, nil
	}
	if err := log.Compact(to, r.firstNeeded(followers, first)); err != nil {
		return false, err
	}
	r.segments = append(r.segments, segment{to, bytes - log.LogBytes()}).since(log.FirstOnDisk())
	return true, nil
}

// release lets the disk delete what was kept for followers, when none of them needs it any more.
func (r *logRetention) release(log retainedLog) {
	if first := log.Soft().First; log.FirstOnDisk() < first {
		if r.firstNeeded(log.Status().Followers, first) < first {
			return
		}
		log.ReleaseDisk()
	}
	r.segments = nil
}

// firstNeeded is the index of the first entry that the disk must keep: with it ends what a follower has, or gets as a snapshot. It forgets
// transfers that have served their purpose, where the rest of the log is in memory.
func (r *logRetention) firstNeeded(followers []raft.FollowerStatus, first uint64) uint64 {
	index := ^uint64(0)
	for _, f := range followers {
		t := r.transfers[f.ID]
		if t == nil {
			continue
		}
		from := max(t.index, f.Match)
		if !t.running && f.Match >= t.index && f.Match+1 >= first {
			delete(r.transfers, f.ID)
		} else if r.segments.since(from).bytes() <= min(max(t.bytes, 8*r.retainBytes), maxRetained*r.retainBytes) {
			index = min(index, from)
		}
	}
	return index
}

// since is what is left when all entries before an index are deleted.
func (s retainedSegments) since(index uint64) retainedSegments {
	for len(s) > 0 && s[0].last < index {
		s = s[1:]
	}
	return s
}

// bytes is how much there is; part of the oldest segment may have been deleted.
func (s retainedSegments) bytes() (sum int) {
	for _, part := range s {
		sum += part.bytes
	}
	return sum
}

// running is how many snapshots are on their way.
func (t snapshotTransfers) running() int {
	count := 0
	for _, transfer := range t {
		if transfer.running {
			count++
		}
	}
	return count
}

// progress notes how much of a transfer has been sent; one of an earlier leadership is unknown.
func (t snapshotTransfers) progress(m snapshotProgress) {
	if transfer := t[m.to]; transfer != nil && transfer.id == m.transfer {
		transfer.index, transfer.bytes = m.index, m.bytes
	}
}

// ended notes the end of a transfer. It reports whether the transfer is known: one of an earlier leadership is not.
func (t snapshotTransfers) ended(m snapshotEnded) bool {
	transfer := t[m.to]
	if transfer == nil || transfer.id != m.transfer {
		return false
	}
	if transfer.running = false; !m.ok {
		delete(t, m.to)
	}
	return true
}

// servedUpTo is the index up to which followers are being served from memory, where the log begins with first.
func servedUpTo(followers []raft.FollowerStatus, first uint64) uint64 {
	index := ^uint64(0)
	for _, f := range followers {
		if f.Active && f.Match+1 >= first {
			index = min(index, f.Match)
		}
	}
	return index
}

// compact asks for what must be durable before the log can be cut.
func (p *Peer) compact() {
	if p.retention.flush(p.core, p.o.Limits.CompactBytes()) {
		p.o.System.Root.Send(p.pids.applier, flush{})
	}
}

// onFlushed cuts the log as far as the data is durable. A replica that quiesced while the flush was under way asks again for what it has
// applied since: no tick will.
func (p *Peer) onFlushed(m flushed) {
	cut, err := p.retention.flushed(p.core, m.index)
	if err != nil {
		p.fail(err)
		return
	}
	if cut {
		p.report() // the group may be quiesced
	}
	if p.core.Quiesced() && m.index < p.core.Status().Applied {
		p.compact()
	}
}
