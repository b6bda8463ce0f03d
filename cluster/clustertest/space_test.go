package clustertest_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/eraft-io/eraft/cluster/clustertest"
	"github.com/eraft-io/eraft/messages"
)

const reserve = 1 << 30

func fill(c *clustertest.Client, key string) error {
	_, err := c.Do(&messages.Put{Key: []byte(key), Value: []byte("v")})
	return err
}

// A node whose disk fills up leads nothing, and clients hear nothing of it.
func TestLeaderWithAFullDiskGivesItsGroupsAway(t *testing.T) {
	s := startCluster(t, 3, clustertest.Options{Groups: 2})
	full, c := leader(t, s, 1), s.Client("c")
	full.SetFreeBytes(reserve - 1)
	require.True(t, s.RunUntil(func() bool { return leader(t, s, 1) != full && leader(t, s, 2) != full }, 5*time.Second))
	for i := range 20 {
		require.NoError(t, fill(c, fmt.Sprint("k", i)))
	}
	s.Advance(time.Minute)
	require.NotSame(t, full, leader(t, s, 1), "it does not come back to it")
	full.SetFreeBytes(0)
	require.True(t, s.RunUntil(func() bool { return leader(t, s, 1) == full }, time.Minute), "the preferred leader has room again")
	require.Empty(t, s.Oracle.Violations)
}

// Where all disks are full, writes are refused by name, and reads and deletes go on; when there is room, all is as before.
func TestFullDisksRefuseWritesOnly(t *testing.T) {
	s := startCluster(t, 3, clustertest.Options{Groups: 2})
	c := s.Client("c")
	for i := range 20 {
		require.NoError(t, fill(c, fmt.Sprint("k", i)))
	}
	for _, left := range []uint64{reserve - 1, reserve / 3} {
		for _, m := range s.Nodes {
			m.SetFreeBytes(left)
		}
		s.Advance(4 * time.Second)
		for i := range 20 {
			key := fmt.Appendf(nil, "k%d", i)
			for _, op := range []*messages.Batch{
				{Writes: []*messages.Write{{Op: &messages.Write_Put{Put: &messages.Put{Key: key, Value: []byte("w")}}}}},
			} {
				_, err := c.Do(op)
				require.ErrorContains(t, err, "OVERLOADED")
			}
			err := fill(c, string(key))
			require.ErrorContains(t, err, "OVERLOADED")
			require.ErrorContains(t, err, "are full: group")
			require.Equal(t, "v", get(t, c, string(key)))
		}
		_, err := c.Do(&messages.Delete{Key: []byte("k0")})
		require.NoError(t, err)
		require.Empty(t, get(t, c, "k0"))
		for _, m := range s.Nodes {
			m.SetFreeBytes(0)
		}
		s.Advance(4 * time.Second)
		require.NoError(t, fill(c, "k0"))
	}
	require.Empty(t, s.Oracle.Violations)
}

// A follower without any room takes nothing of the log, the others go on without it, and it catches up when there is room.
func TestFollowerWithoutRoom(t *testing.T) {
	s := startCluster(t, 3, clustertest.Options{Groups: 1})
	c := s.Client("c")
	var starved *clustertest.SimNode
	for _, m := range s.Nodes {
		if m != leader(t, s, 1) && m != leader(t, s, 0) {
			starved = m
		}
	}
	starved.SetFreeBytes(reserve / 5)
	s.Advance(3 * time.Second)
	before := lastOf(starved)
	for i := range 50 {
		require.NoError(t, fill(c, fmt.Sprint("k", i)))
	}
	require.Equal(t, before, lastOf(starved))
	require.Greater(t, lastOf(leader(t, s, 1)), before+20)
	starved.SetFreeBytes(0)
	require.True(t, s.RunUntil(func() bool {
		return lastOf(starved) == lastOf(leader(t, s, 1))
	}, 30*time.Second))
	require.Empty(t, s.Oracle.Violations)
}

// lastOf is the end of a node's log of group 1.
func lastOf(m *clustertest.SimNode) uint64 {
	for _, r := range m.Node.Replicas() {
		if r.Group == 1 {
			return r.Last
		}
	}
	return 0
}
