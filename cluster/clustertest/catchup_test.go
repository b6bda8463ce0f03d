package clustertest_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/eraft-io/eraft/cluster/clustertest"
	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/persistence"
	"github.com/eraft-io/eraft/raftactor"
)

// lagging is a group that is written to faster than memory can hold what is written while a snapshot is on its way, and a
// replica of it that has just come back and needs one.
func lagging(t *testing.T, seed uint64) (s *clustertest.Simulation, behind *clustertest.SimNode, rest func()) {
	s = clustertest.Sim(t, seed, clustertest.Options{
		Groups: 1, Limits: raftactor.Limits{RetainBytes: 2 << 10, ChunkBytes: 1 << 10, SnapshotRate: 32 << 10},
	})
	require.True(t, s.RunUntil(s.Ready, time.Minute))
	c, written, over, value := s.Client("c"), 0, false, strings.Repeat("x", 800)
	var write func()
	write = func() {
		if over {
			return
		}
		key := fmt.Sprint("k", written%128)
		written++
		c.Ask(put(key, value), time.Minute, func(r *messages.Reply) {
			require.Equal(t, messages.Code_OK, r.Code, r.Text)
			s.At(s.Now()+40*time.Millisecond, write)
		})
	}
	write()
	require.True(t, s.RunUntil(func() bool { return written > 128 }, time.Minute))
	if behind = s.Nodes[0]; behind == shardLeader(s) {
		behind = s.Nodes[1]
	}
	behind.Kill()
	s.Advance(2 * time.Second)
	behind.Start()
	return s, behind, func() { over = true }
}

// keeps tells whether the disk of a leader has entries before the start of its log.
func keeps(m *clustertest.SimNode) func() bool {
	disk, _ := m.Disks()
	log := persistence.RecordReader{Reader: disk, Group: 1}
	return func() bool { return log.Entry(log.Start().Index-2) != nil }
}

// shardLeader is who leads the only shard group.
func shardLeader(s *clustertest.Simulation) *clustertest.SimNode {
	for _, m := range s.Nodes {
		if replica(m).Role == "leader" {
			return m
		}
	}
	return nil
}

// replica is what a node says of the only shard group.
func replica(m *clustertest.SimNode) *messages.ReplicaStatus {
	if m.Node != nil {
		for _, r := range m.Node.Replicas() {
			if r.Group != uint64(messages.Meta) {
				return r
			}
		}
	}
	return new(messages.ReplicaStatus)
}

// level tells when a replica has all but what is on its way.
func level(s *clustertest.Simulation, m *clustertest.SimNode) func() bool {
	return func() bool { l := shardLeader(s); return l != nil && replica(m).Applied+2 >= replica(l).Last }
}

// A replica that needs a snapshot catches up while its group is written to: by one snapshot, and the log behind it, most of
// which only the disk of the leader has.
func TestReplicasCatchUpUnderLoad(t *testing.T) {
	for seed := uint64(1); seed <= 5; seed++ {
		s, behind, _ := lagging(t, seed)
		before := s.Oracle.Snapshots
		require.True(t, s.RunUntil(func() bool { return s.Oracle.Snapshots > before && level(s, behind)() }, 30*time.Second))
		require.Equal(t, before+1, s.Oracle.Snapshots, "one snapshot is enough")
		require.Empty(t, s.Oracle.Violations)
	}
}

// What is kept on disk for a replica is deleted when it has caught up, also if nothing more is written.
func TestTheDiskLetsGoOfTheLog(t *testing.T) {
	s, behind, rest := lagging(t, 1)
	kept := keeps(shardLeader(s))
	require.True(t, s.RunUntil(kept, 30*time.Second))
	rest()
	require.True(t, s.RunUntil(level(s, behind), 30*time.Second))
	s.Advance(10 * time.Second)
	require.False(t, kept())
}

// The leader loses its power while its disk has entries before the start of its log. It begins with what is behind, and whoever
// leads then begins a snapshot anew.
func TestLeadersRestartWhileTheyKeepTheLog(t *testing.T) {
	for seed := uint64(1); seed <= 5; seed++ {
		s, behind, _ := lagging(t, seed)
		old := shardLeader(s)
		require.True(t, s.RunUntil(keeps(old), 30*time.Second))
		old.Crash()
		s.Advance(time.Second)
		old.Start()
		s.Advance(time.Second)
		require.True(t, s.RunUntil(func() bool { return s.Ready() && level(s, behind)() && level(s, old)() }, time.Minute))
		require.Empty(t, s.Oracle.Violations)
	}
}
