package raftactor

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/eraft-io/eraft/raftactor/raft"
)

// Memory keeps what followers are served from, and no more for those that are served from the disk.
func TestMemoryKeepsWhatFollowersAreServedFrom(t *testing.T) {
	all := []raft.FollowerStatus{{ID: 2, Match: 7, Active: true}, {ID: 3, Match: 52}, {ID: 4, Match: 60, Active: true}}
	require.EqualValues(t, 60, servedUpTo(all, 50))
	require.EqualValues(t, 7, servedUpTo(all, 8))
	require.Equal(t, ^uint64(0), servedUpTo(all, 62))
}

// The disk keeps what is behind a snapshot until its follower is served from memory.
func TestLogIsKeptForSnapshots(t *testing.T) {
	all, lags := snapshotTransfers{2: {index: 50, running: true}}, raft.FollowerStatus{ID: 2, Match: 7}
	r := logRetention{retainBytes: 1, transfers: all}
	keep := func(first uint64) uint64 {
		return r.firstNeeded([]raft.FollowerStatus{lags, {ID: 4, Match: 40, Active: true}}, first)
	}
	require.EqualValues(t, 50, keep(45))
	all[2].running = false
	require.EqualValues(t, 50, keep(45), "it has the snapshot, but has not installed it")
	lags.Match = 50
	require.EqualValues(t, 50, keep(60), "what comes next is on disk only")
	lags.Match = 59
	require.Equal(t, ^uint64(0), keep(60))
	require.Empty(t, all)
}

// The disk keeps as much behind a snapshot as was sent of it, or as memory may hold.
func TestDiskKeepsNoMoreThanTheSnapshotTakes(t *testing.T) {
	all, followers := snapshotTransfers{2: {index: 50, running: true}, 3: {index: 70, running: true}}, []raft.FollowerStatus{{ID: 2}, {ID: 3}, {ID: 4, Match: 1}}
	r := logRetention{retainBytes: 125, transfers: all, segments: retainedSegments{{60, 500}, {75, 500}}}
	require.EqualValues(t, 50, r.firstNeeded(followers, 76))
	r.segments = append(r.segments, segment{90, 300})
	require.EqualValues(t, 70, r.firstNeeded(followers, 91), "the other one needs another snapshot")
	all[2].bytes = 1300
	require.EqualValues(t, 50, r.firstNeeded(followers, 91))
	followers[0].Match, all[2].bytes = 61, 900
	require.EqualValues(t, 61, r.firstNeeded(followers, 91), "what it has got needs not be kept")
	require.Equal(t, r.segments[1:], r.segments.since(61))
	r.retainBytes = 0
	require.Equal(t, ^uint64(0), r.firstNeeded(followers, 91))
}

// heldLog is a log of entries of one byte each.
type heldLog struct {
	first, last, onDisk uint64
	followers           []raft.FollowerStatus
	released            bool
}

func (l *heldLog) LogBytes() int              { return int(l.last + 1 - l.first) }
func (l *heldLog) TailStart(bytes int) uint64 { return l.last - uint64(bytes) }
func (l *heldLog) Soft() raft.Soft            { return raft.Soft{First: l.first} }
func (l *heldLog) Status() raft.Status        { return raft.Status{Followers: l.followers} }
func (l *heldLog) FirstOnDisk() uint64        { return l.onDisk }
func (l *heldLog) ReleaseDisk()               { l.onDisk, l.released = l.first, true }
func (l *heldLog) Compact(index, keep uint64) error {
	l.first, l.onDisk = index+1, min(index+1, keep)
	return nil
}

// A log is cut when it has grown and the data is durable, and the disk lets go of what a snapshot needed when the follower has it.
func TestLogIsCut(t *testing.T) {
	log := &heldLog{first: 1, last: 40, onDisk: 1, followers: []raft.FollowerStatus{{ID: 2, Match: 3}}}
	r := logRetention{retainBytes: 10, transfers: snapshotTransfers{2: {id: 7, index: 5, running: true, bytes: 100}}}
	require.False(t, r.flush(log, 41), "it is short enough")
	require.True(t, r.flush(log, 40))
	require.False(t, r.flush(log, 40), "it has been asked for")

	cut, err := r.flushed(log, 35)
	require.NoError(t, err)
	require.True(t, cut)
	require.EqualValues(t, 31, log.first, "ten bytes stay")
	require.EqualValues(t, 5, log.onDisk, "what follows the snapshot, and its last entry")
	require.Equal(t, retainedSegments{{30, 30}}, r.segments)
	cut, err = r.flushed(log, 40)
	require.NoError(t, err)
	require.False(t, cut, "it is not worth a write")

	r.release(log)
	require.False(t, log.released)
	r.transfers.progress(snapshotProgress{to: 2, transfer: 8, index: 9, bytes: 9})
	require.EqualValues(t, 5, r.transfers[2].index, "another transfer")
	r.transfers.progress(snapshotProgress{to: 2, transfer: 7, index: 20, bytes: 200})
	require.Equal(t, 1, r.transfers.running())
	require.False(t, r.transfers.ended(snapshotEnded{to: 2, transfer: 8, ok: true}))
	require.True(t, r.transfers.ended(snapshotEnded{to: 2, transfer: 7, ok: true}))
	require.Zero(t, r.transfers.running())
	log.followers[0].Match = 35
	r.release(log)
	require.True(t, log.released)
	require.Empty(t, r.segments)
	require.Empty(t, r.transfers)

	r.transfers[2] = &snapshotTransfer{id: 9, running: true}
	require.True(t, r.transfers.ended(snapshotEnded{to: 2, transfer: 9}))
	require.Empty(t, r.transfers, "one that failed is begun anew")
}
