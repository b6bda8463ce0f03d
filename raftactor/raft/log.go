package raft

import (
	"fmt"
	"slices"

	"github.com/eraft-io/eraft/messages"
)

// log is the retained part of a group's log: the same entries that the disk has or will have. What the disk has beside them, for
// followers that need it, is committed and older than the start. All of it is in memory, but for the data of the oldest commands,
// if it would be too much: those are durable and committed, and read back when they are needed.
type log struct {
	start   *messages.SnapshotMeta // the state before the first entry
	kept    uint64                 // the first entry that the disk has; those up to start only the disk has
	entries []*messages.Entry      // contiguous from start.Index+1
	hollow  uint64                 // the data of the commands up to here is only on the disk
	bytes   int                    // in memory

	handed  uint64 // entries up to here were handed out to be persisted
	durable uint64 // entries up to here are on this replica's disk
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
	l.start, l.kept, l.hollow = start, start.Index+1, start.Index
	term := start.Term
	for i, e := range entries {
		if e.Index != start.Index+1+uint64(i) || e.Term < term {
			return fmt.Errorf("raft: entry %d of term %d does not follow entry %d of term %d", e.Index, e.Term, start.Index+uint64(i), term)
		}
		term = e.Term
	}
	l.append(entries)
	l.handed, l.durable = l.last(), l.last()
	return nil
}

func (l *log) first() uint64 { return l.start.Index + 1 }
func (l *log) last() uint64  { return l.start.Index + uint64(len(l.entries)) }

func (l *log) lastTerm() uint64 { return l.term(l.last()) }

// lastTime is the stamp of the newest entry.
func (l *log) lastTime() uint64 {
	if n := len(l.entries); n > 0 {
		return l.entries[n-1].TimeMs
	}
	return l.start.TimeMs
}

// term of the entry at index, or of the log's start; 0 where the log knows nothing.
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

// slice is the entries from..to, both included, as far as they are there. It must not be changed.
func (l *log) slice(from, to uint64) []*messages.Entry {
	from, to = max(from, l.first()), min(to, l.last())
	if from > to {
		return nil
	}
	return l.entries[from-l.first() : to-l.first()+1 : to-l.first()+1]
}

// bounded is the first of all entries, no more than limit bytes of them unless the first alone is larger, and their size.
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

// truncate drops entries from index on. What was durable of them is not any more, whatever the disk still says.
func (l *log) truncate(index uint64) {
	kept := index - l.first()
	for _, e := range l.entries[kept:] {
		l.bytes -= entryBytes(e)
	}
	l.entries = l.entries[:kept:kept]
	l.handed, l.durable = min(l.handed, index-1), min(l.durable, index-1)
}

// compact drops entries up to index; conf is the membership there. The disk keeps those from keep on. The rest moves to
// memory of its own, so that what was dropped can be freed.
func (l *log) compact(index, keep uint64, conf *messages.ConfState) *messages.SnapshotMeta {
	count := index - l.start.Index
	for _, e := range l.entries[:count] {
		l.bytes -= entryBytes(e)
	}
	cut := l.entries[count-1]
	l.kept, l.hollow = min(max(l.kept, keep), index+1), max(l.hollow, index)
	l.start = &messages.SnapshotMeta{Index: index, Term: cut.Term, TimeMs: cut.TimeMs, Conf: conf}
	l.entries = append([]*messages.Entry(nil), l.entries[count:]...)
	return l.start
}

// shed drops the data of the oldest commands up to index, when all entries take more than limit, until it is a quarter less. Changes
// of the membership stay whole. Others may still hold the entries as they are, so they are replaced and not changed.
func (l *log) shed(index uint64, limit int) {
	if l.bytes <= limit || l.hollow >= index {
		return
	}
	l.entries = slices.Clone(l.entries)
	for l.bytes > limit-limit/4 && l.hollow < index {
		at := l.hollow + 1 - l.first()
		if e := l.entries[at]; e.Kind != messages.EntryKind_CONF_CHANGE {
			l.entries[at] = &messages.Entry{Index: e.Index, Term: e.Term, TimeMs: e.TimeMs, Kind: e.Kind}
			l.bytes -= len(e.Data)
		}
		l.hollow++
	}
}

// restore replaces the whole log by its start behind a snapshot.
func (l *log) restore(meta *messages.SnapshotMeta) {
	*l = log{start: meta, kept: meta.Index + 1, hollow: meta.Index, handed: meta.Index}
}

// before finds the last index at or below index whose term is at or below term: where two logs may still agree
// (thesis 3.5, the optimization that skips whole terms).
func (l *log) before(index, term uint64) uint64 {
	for index = min(index, l.last()); index > l.start.Index && l.term(index) > term; index-- {
	}
	return index
}
