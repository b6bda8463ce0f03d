package persistence_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/persistence"
	"github.com/eraft-io/eraft/persistence/memory"
)

func entries(term, from, to uint64) []*messages.Entry {
	var all []*messages.Entry
	for i := from; i <= to; i++ {
		all = append(all, &messages.Entry{Index: i, Term: term, Data: fmt.Appendf(nil, "%d/%d", term, i)})
	}
	return all
}

func save(t *testing.T, e persistence.Engine, s persistence.LogUpdate) {
	t.Helper()
	batch := new(persistence.Batch)
	require.NoError(t, persistence.OpenLog(e).Add(batch, s))
	require.NoError(t, e.Write(batch, true))
}

func load(t *testing.T, e persistence.Engine, group messages.GroupID) (first, last uint64, loaded persistence.LoadedLog) {
	t.Helper()
	loaded, err := persistence.OpenLog(e).Load(group)
	require.NoError(t, err)
	first = loaded.Snapshot.Index + 1
	return first, first + uint64(len(loaded.Entries)) - 1, loaded
}

func start(index, term uint64) *messages.SnapshotMeta {
	return &messages.SnapshotMeta{Index: index, Term: term, Conf: &messages.ConfState{Voters: []uint64{1, 2, 3}}}
}

// Nothing is wiped by a restart, and a vote is as durable as its term.
func TestLogSurvivesRestarts(t *testing.T) {
	e := memory.New()
	save(t, e, persistence.LogUpdate{Group: 7, HardState: &messages.HardState{Term: 3, Vote: 2, Commit: 1}, Snapshot: start(1, 1), Entries: entries(3, 2, 50)})
	save(t, e, persistence.LogUpdate{Group: 8, HardState: &messages.HardState{Term: 1}, Snapshot: start(1, 1), Entries: entries(1, 2, 4)})
	for range 3 {
		e = e.Kill()
		first, last, loaded := load(t, e, 7)
		require.EqualValues(t, 2, first)
		require.EqualValues(t, 50, last)
		require.EqualValues(t, 3, loaded.HardState.Term)
		require.EqualValues(t, 2, loaded.HardState.Vote)
		require.Equal(t, []uint64{1, 2, 3}, loaded.Snapshot.Conf.Voters)
		groups, err := persistence.OpenLog(e).Groups()
		require.NoError(t, err)
		require.Equal(t, []messages.GroupID{7, 8}, groups)
	}
}

func TestLogTruncatesCompactsAndIsReplaced(t *testing.T) {
	e := memory.New()
	save(t, e, persistence.LogUpdate{Group: 1, HardState: &messages.HardState{Term: 1}, Snapshot: start(1, 1), Entries: entries(1, 2, 300)})
	save(t, e, persistence.LogUpdate{Group: 2, HardState: &messages.HardState{Term: 1}, Snapshot: start(1, 1), Entries: entries(1, 2, 9)})
	save(t, e, persistence.LogUpdate{Group: 1, Truncate: 250, Entries: entries(2, 250, 260)})
	save(t, e, persistence.LogUpdate{Group: 1, Compact: start(255, 2)})
	first, last, loaded := load(t, e, 1)
	require.EqualValues(t, 256, first)
	require.EqualValues(t, 260, last)
	require.Equal(t, "2/256", string(loaded.Entries[0].Data))
	save(t, e, persistence.LogUpdate{Group: 1, Snapshot: start(65535, 4), Entries: entries(4, 65536, 65540)})
	first, last, _ = load(t, e, 1)
	require.EqualValues(t, 65536, first)
	require.EqualValues(t, 65540, last)
	save(t, e, persistence.LogUpdate{Group: 1, Remove: true})
	_, _, loaded = load(t, e, 1)
	require.Empty(t, loaded.Entries)
	require.EqualValues(t, 1, loaded.HardState.Term, "a removed replica remembers how it voted")
	groups, err := persistence.OpenLog(e).Groups()
	require.NoError(t, err)
	require.Equal(t, []messages.GroupID{2}, groups, "and has no log")
	_, last, _ = load(t, e, 2)
	require.EqualValues(t, 9, last, "the neighbour keeps its log")
}

// What a compaction leaves on disk can be read piece by piece, and is nothing to a replica that starts.
func TestLogKeepsEntriesBeforeItsStart(t *testing.T) {
	e := memory.New()
	save(t, e, persistence.LogUpdate{Group: 1, HardState: &messages.HardState{Term: 2}, Snapshot: start(1, 1), Entries: append(entries(1, 2, 20), entries(2, 21, 60)...)})
	save(t, e, persistence.LogUpdate{Group: 1, Compact: start(40, 2), Keep: 15})
	first, last, loaded := load(t, e, 1)
	require.EqualValues(t, 41, first)
	require.EqualValues(t, 60, last)
	require.EqualValues(t, 15, loaded.FirstOnDisk)
	piece := func(from, to uint64, bytes int) (indexes []uint64) {
		all, err := persistence.OpenLog(e).ReadRange(1, from, to, bytes)
		require.NoError(t, err)
		for _, entry := range all {
			indexes = append(indexes, entry.Index)
		}
		return indexes
	}
	require.Equal(t, []uint64{15, 16}, piece(15, 40, 1), "two at least")
	require.Len(t, piece(15, 40, 1<<20), 26)
	require.Equal(t, []uint64{38, 39, 40}, piece(38, 40, 1<<20))
	require.Less(t, len(piece(15, 40, 100)), 10)
	require.Empty(t, piece(14, 40, 1<<20), "its beginning has been deleted")

	gap := new(persistence.Batch)
	gap.Delete([]byte("e\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x12"))
	require.NoError(t, e.Write(gap, true))
	_, err := persistence.OpenLog(e).ReadRange(1, 15, 40, 1<<20)
	require.ErrorContains(t, err, "should be here")

	save(t, e, persistence.LogUpdate{Group: 1, Compact: start(40, 2), Keep: 41})
	require.Empty(t, piece(15, 40, 1<<20))
	first, _, _ = load(t, e, 1)
	require.EqualValues(t, 41, first)
}

func TestLogRefusesDamage(t *testing.T) {
	fresh := func() *memory.Engine {
		e := memory.New()
		save(t, e, persistence.LogUpdate{Group: 1, HardState: &messages.HardState{Term: 1}, Snapshot: start(1, 1), Entries: entries(1, 2, 5)})
		return e
	}
	var keys [][]byte
	require.NoError(t, fresh().Scan(nil, nil, func(k, _ []byte) bool {
		keys = append(keys, append([]byte(nil), k...))
		return true
	}))
	require.Len(t, keys, 6)
	for _, key := range keys {
		e := fresh()
		require.True(t, e.FlipBit(key, 11))
		_, err := persistence.OpenLog(e).Load(1)
		var corrupt *persistence.CorruptError
		require.True(t, errors.As(err, &corrupt), "flipped bit in %q: %v", key, err)
		require.ErrorContains(t, err, "empty data directory")
	}
	gap := fresh()
	batch := new(persistence.Batch)
	batch.Delete(keys[1])
	require.NoError(t, gap.Write(batch, true))
	_, err := persistence.OpenLog(gap).Load(1)
	require.ErrorContains(t, err, "should be here")
}

func TestConfigCopy(t *testing.T) {
	e := memory.New()
	none, err := persistence.LoadConfig(e)
	require.NoError(t, err)
	require.Nil(t, none)
	want := &messages.Config{Version: 7, ClusterId: 9, Owners: []uint64{1, 2}}
	require.NoError(t, persistence.SaveConfig(e, want))
	e = e.Kill()
	got, err := persistence.LoadConfig(e)
	require.NoError(t, err)
	require.True(t, proto.Equal(want, got))
	for bit := range 64 {
		require.True(t, e.FlipBit([]byte("c/config"), bit))
		_, err = persistence.LoadConfig(e)
		require.ErrorContains(t, err, "copy of the config")
		require.True(t, e.FlipBit([]byte("c/config"), bit))
	}
}

func TestLockDir(t *testing.T) {
	dir := t.TempDir()
	lock, err := persistence.LockDir(dir)
	require.NoError(t, err)
	_, err = persistence.LockDir(dir)
	require.ErrorContains(t, err, "in use by process")
	require.NoError(t, lock.Unlock())
	lock, err = persistence.LockDir(dir)
	require.NoError(t, err)
	require.NoError(t, lock.Unlock())
}

// What belongs to somebody else is refused and left alone; what a new file system or a node puts there is not foreign.
func TestLockDirRefusesForeignFiles(t *testing.T) {
	for _, c := range []struct {
		names   []string
		refused bool
	}{
		{nil, false},
		{[]string{"lost+found"}, false},
		{[]string{"log", "state"}, false},
		{[]string{"LOCK", "notes"}, false},
		{[]string{"log", "notes"}, false},
		{[]string{"notes"}, true},
		{[]string{"lost+found", "pg_wal"}, true},
		{[]string{".git"}, true},
	} {
		t.Run(strings.Join(c.names, " "), func(t *testing.T) {
			dir := t.TempDir()
			for _, name := range c.names {
				if name == "log" || name == "state" {
					require.NoError(t, os.Mkdir(filepath.Join(dir, name), 0o700))
					continue
				}
				require.NoError(t, os.WriteFile(filepath.Join(dir, name), nil, 0o600))
			}
			lock, err := persistence.LockDir(dir)
			if !c.refused {
				require.NoError(t, err)
				require.NoError(t, lock.Unlock())
				return
			}
			require.ErrorContains(t, err, "choose an empty directory")
			require.ErrorContains(t, err, c.names[len(c.names)-1])
			entries, err := os.ReadDir(dir)
			require.NoError(t, err)
			require.Len(t, entries, len(c.names), "nothing was left there")
		})
	}
}

// Who judges a log sees the same of an entry whichever way it asks, and nothing of one that is damaged.
func TestGlance(t *testing.T) {
	e := memory.New()
	all := entries(3, 2, 5)
	all[1].Kind, all[1].TimeMs, all[1].Level, all[1].Data = messages.EntryKind_CONF_CHANGE, 77, 2, nil
	save(t, e, persistence.LogUpdate{Group: 7, Snapshot: start(1, 1), Entries: all})
	for _, from := range []persistence.Reader{e, e.Synced()} {
		log := persistence.RecordReader{Reader: from, Group: 7}
		for index := range uint64(8) {
			require.Equal(t, log.Entry(index).GetTerm(), log.Term(index))
		}
		require.EqualValues(t, 3, log.Term(3))
		require.Zero(t, log.Term(6))
	}
	require.NoError(t, e.Scan(nil, nil, func(key, value []byte) bool {
		if key[0] != 'e' {
			return true
		}
		for _, broken := range [][]byte{nil, {1, 2, 3}, append([]byte{0xff}, value...), value[:len(value)-1]} {
			other, batch := memory.New(), new(persistence.Batch)
			batch.Put(key, broken)
			require.NoError(t, other.Write(batch, true))
			require.Zero(t, persistence.RecordReader{Reader: other.Synced(), Group: 7}.Term(2))
			require.Nil(t, persistence.RecordReader{Reader: other.Synced(), Group: 7}.Entry(2))
		}
		return false
	}))
}
