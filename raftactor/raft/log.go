package raft

import (
	"fmt"
	"slices"

	"github.com/eraft-io/eraft/messages"
)

// log is the retained part of a group's log: the entries that the disk has, or will have when what was handed out is written. The data
// of the oldest entries may be on the disk only: see dropData. Entries before start, if the disk has some, are kept for followers.
type log struct {
	start       *messages.SnapshotMeta // the state before the first entry
	entries     []*messages.Entry      // consecutive, from start.Index+1
	bytes       int                    // that entries take in memory
	dataOnDisk  uint64                 // the data of commands up to this index is on the disk only
	firstOnDisk uint64                 // index of the first entry that the disk has; entries up to start are on the disk only

	handedOut uint64 // entries up to this index were handed out to be written
	durable   uint64 // entries up to this index are durable on this replica's disk
}

// entryOverhead is what an entry costs beside its data.
const entryOverhead = 64

func entryBytes(e *messages.Entry) int {
	return entryOverhead + len(e.Data)
}

func (l *log) open(start *messages.SnapshotMeta, entries []*messages.Entry) error {
	if start == nil {
		start = &messages.SnapshotMeta{}
	}
	if start.Conf == nil {
		start = &messages.SnapshotMeta{Index: start.Index, Term: start.Term, TimeMs: start.TimeMs, Conf: &messages.ConfState{}}
	}
	l.start, l.firstOnDisk, l.dataOnDisk = start, start.Index+1, start.Index
	term := start.Term
	for i, e := range entries {
		if e.Index != start.Index+1+uint64(i) || e.Term < term {
			return fmt.Errorf("raft: entry %d of term %d does not follow entry %d of term %d", e.Index, e.Term, start.Index+uint64(i), term)
		}
		term = e.Term
	}
	l.append(entries)
	l.handedOut, l.durable = l.last(), l.last()
	return nil
}

func (l *log) first() uint64 { return l.start.Index + 1 }
func (l *log) last() uint64  { return l.start.Index + uint64(len(l.entries)) }

func (l *log) lastTerm() uint64 { return l.term(l.last()) }

// lastTime is the log time of the newest entry, in milliseconds.
func (l *log) lastTime() uint64 {
	if n := len(l.entries); n > 0 {
		return l.entries[n-1].TimeMs
	}
	return l.start.TimeMs
}

// term is that of the entry at index, or of the log's start; 0 where the log knows none.
func (l *log) term(index uint64) uint64 {
	switch {
	case index == l.start.Index:
		return l.start.Term
	case index < l.start.Index || index > l.last():
		return 0
	}
	return l.entries[index-l.first()].Term
}

func (l *log) has(index, term uint64) bool {
	return index >= l.start.Index && index <= l.last() && l.term(index) == term
}

// slice is the entries from and to inclusive, as far as they are there. It must not be changed.
func (l *log) slice(from, to uint64) []*messages.Entry {
	from, to = max(from, l.first()), min(to, l.last())
	if from > to {
		return nil
	}
	return l.entries[from-l.first() : to-l.first()+1 : to-l.first()+1]
}

// bounded is the longest prefix of all that takes at most limit bytes, but at least one entry, and the bytes that it takes.
func bounded(all []*messages.Entry, limit int) ([]*messages.Entry, int) {
	size := 0
	for i, e := range all {
		n := entryBytes(e)
		if i > 0 && size+n > limit {
			return all[:i], size
		}
		size += n
	}
	return all, size
}

func (l *log) append(entries []*messages.Entry) {
	for _, e := range entries {
		l.bytes += entryBytes(e)
	}
	l.entries = append(l.entries, entries...)
}

// truncate drops the entries from index on. They do not count as durable any more, though the disk may still have them.
func (l *log) truncate(index uint64) {
	kept := index - l.first()
	for _, e := range l.entries[kept:] {
		l.bytes -= entryBytes(e)
	}
	l.entries = l.entries[:kept:kept]
	l.handedOut, l.durable = min(l.handedOut, index-1), min(l.durable, index-1)
}

// compact drops the entries up to index, where the membership is conf. The disk keeps the entries from keep on. The other entries are
// copied to a slice of their own, so that the memory of those that were dropped can be freed.
func (l *log) compact(index, keep uint64, conf *messages.ConfState) *messages.SnapshotMeta {
	count := index - l.start.Index
	for _, e := range l.entries[:count] {
		l.bytes -= entryBytes(e)
	}
	cut := l.entries[count-1]
	l.firstOnDisk, l.dataOnDisk = min(max(l.firstOnDisk, keep), index+1), max(l.dataOnDisk, index)
	l.start = &messages.SnapshotMeta{Index: index, Term: cut.Term, TimeMs: cut.TimeMs, Conf: conf}
	l.entries = append([]*messages.Entry(nil), l.entries[count:]...)
	return l.start
}

// dropData drops the data of the oldest commands, up to index, when all entries take more than limit bytes, until they take a quarter
// less. Their data must be durable and is read from the disk when it is needed. Membership changes keep theirs. Messages that are
// on their way may share the entries, so entries are replaced and not changed.
func (l *log) dropData(index uint64, limit int) {
	if l.bytes <= limit || l.dataOnDisk >= index {
		return
	}
	l.entries = slices.Clone(l.entries)
	for l.bytes > limit-limit/4 && l.dataOnDisk < index {
		at := l.dataOnDisk + 1 - l.first()
		if e := l.entries[at]; e.Kind != messages.EntryKind_CONF_CHANGE {
			l.entries[at] = &messages.Entry{Index: e.Index, Term: e.Term, TimeMs: e.TimeMs, Kind: e.Kind}
			l.bytes -= len(e.Data)
		}
		l.dataOnDisk++
	}
}

// restore replaces the whole log by the state in a snapshot.
func (l *log) restore(meta *messages.SnapshotMeta) {
	*l = log{start: meta, firstOnDisk: meta.Index + 1, dataOnDisk: meta.Index, handedOut: meta.Index}
}

// findConflictByTerm is the last index at or below index whose term is at or below term: the highest index at which two logs may
// still agree, of which the other one has that term at that index (thesis 3.5, the optimization that skips whole terms).
func (l *log) findConflictByTerm(index, term uint64) uint64 {
	for index = min(index, l.last()); index > l.start.Index && l.term(index) > term; index-- {
	}
	return index
}
