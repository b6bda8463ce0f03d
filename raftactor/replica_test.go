package raftactor

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/persistence"
	"github.com/eraft-io/eraft/persistence/memory"
)

// A replica whose data is ahead of its log, or behind what the log still has, does not start, and says what to do.
func TestLogAndDataThatDoNotFit(t *testing.T) {
	start := func(applied, first, last uint64) error {
		s := store{memory.New(), 1}
		batch := new(persistence.Batch)
		require.NoError(t, s.putMeta(batch, s.key(kindApplied), &messages.SnapshotMeta{Index: applied, Term: 1, Conf: &messages.ConfState{}}))
		require.NoError(t, s.engine.Write(batch, true))
		log := persistence.LoadedLog{Snapshot: &messages.SnapshotMeta{Index: first - 1, Term: 1, Conf: &messages.ConfState{}}}
		for i := first; i <= last; i++ {
			log.Entries = append(log.Entries, &messages.Entry{Index: i, Term: 1})
		}
		return Start(Options{Group: 1, Node: 1, State: s.engine, Log: log})
	}
	for _, c := range []struct {
		applied, first, last uint64
		says                 string
	}{
		{9, 3, 8, "log of group 1: it ends at index 8, but the data is at 9 already"},
		{1, 3, 8, "state of group 1: it is at index 1 but its log starts after 2"},
	} {
		err := start(c.applied, c.first, c.last)
		require.ErrorContains(t, err, c.says)
		require.ErrorContains(t, err, "let it join")
		corrupt := new(persistence.CorruptError)
		require.ErrorAs(t, err, &corrupt)
	}
}
