package clustertest_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/eraft-io/eraft/cluster/clustertest"
	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/raftactor"
)

// applied is how far a node's replica of each group is.
func applied(m *clustertest.SimNode) map[uint64]uint64 {
	all := map[uint64]uint64{}
	for _, r := range m.Node.Replicas() {
		all[r.Group] = r.Applied
	}
	return all
}

// The rolling restart of docs/OPERATIONS.md, under load: each node is down while much is written, comes back far behind, and
// when it says that it is ready the next one goes at once. All keys are writable all the time but for elections.
func TestRollingRestartFollowsReady(t *testing.T) {
	s := clustertest.Sim(t, 11, clustertest.Options{Groups: 2, Limits: raftactor.Limits{
		RetainBytes: 4 << 10, ChunkBytes: 1 << 10, SnapshotRate: 64 << 10, // who was away needs a snapshot, which takes seconds
	}})
	require.True(t, s.RunUntil(s.Ready, time.Minute))
	c := s.Client("c")
	keys := make([]string, 64)
	for i := range keys {
		keys[i] = fmt.Sprint("k", i)
	}
	value := string(make([]byte, 8<<10))
	write := func() {
		t.Helper()
		open := 0
		for _, key := range keys {
			open++
			c.Ask(put(key, value), 10*time.Second, func(r *messages.Reply) {
				require.NoError(t, r.Err(), "with two nodes up and ready every key is writable")
				open--
			})
		}
		require.True(t, s.RunUntil(func() bool { return open == 0 }, 20*time.Second))
	}
	write()
	for _, m := range s.Nodes {
		m.Kill()
		write()
		m.Start()
		goal := map[uint64]uint64{}
		for _, other := range s.Nodes {
			if other != m {
				for group, at := range applied(other) {
					goal[group] = max(goal[group], at)
				}
			}
		}
		early := false
		require.True(t, s.RunUntil(func() bool {
			if m.Node.Ready() {
				for group, at := range goal {
					early = early || applied(m)[group] < at
				}
				return true
			}
			return false
		}, 2*time.Minute), "%v", m.Node.Failing())
		require.False(t, early, "it says that it is ready at %v, but others had %v before it began", applied(m), goal)
	}
	write()
	require.Empty(t, s.Oracle.Violations)
}
