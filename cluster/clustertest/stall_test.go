package clustertest_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/eraft-io/eraft/cluster/clustertest"
	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/raftactor"
)

// A leader whose disk hangs still sends heartbeats. It must not keep its group to itself: clients go on after the time
// that it takes to notice, whatever group they use, and nobody hears a lie.
func TestLeaderWithAHungDiskGivesItsGroupsAway(t *testing.T) {
	s := startCluster(t, 3, clustertest.Options{Groups: 2})
	sick := leader(t, s, 1)
	sick.Machine().Slow("persistence/log", func() time.Duration { return time.Hour })
	c, began := s.Client("c"), s.Now()
	for i := range 20 {
		_, err := c.Do(&messages.Put{Key: fmt.Appendf(nil, "k%d", i), Value: []byte("1")})
		require.NoError(t, err)
	}
	require.Less(t, s.Now()-began, 5*time.Second)
	require.NotSame(t, sick, leader(t, s, 1))
	require.Contains(t, groupOf(t, sick, 1).Stalled, status(t, sick).NodeID)
	require.True(t, s.RunUntil(func() bool {
		return slices.Contains(groupOf(t, leader(t, s, 1), 1).Stalled, status(t, sick).NodeID)
	}, 5*time.Second), "everybody can see it")

	// The node is started again on a disk that works, and takes part as before.
	sick.Crash()
	sick.Machine().Slow("persistence/log", nil)
	sick.Start()
	settled(t, s)
	require.True(t, s.RunUntil(func() bool { return len(groupOf(t, sick, 1).Stalled) == 0 }, 10*time.Second))
	require.Empty(t, s.Oracle.Violations)
}

// The same for the disk of the data: a leader that cannot read it, or whose turns are full and cannot be written, answers nobody.
func TestLeaderWithAHungStateGivesItsGroupsAway(t *testing.T) {
	for path, size := range map[string]int{raftactor.ApplierPath(1): 1, "persistence/state": 400 << 10} {
		s := startCluster(t, 3, clustertest.Options{Groups: 1})
		sick := leader(t, s, 1)
		sick.Machine().Slow(path, func() time.Duration { return time.Hour })
		c := s.Client("c")
		for i := range 40 {
			began := s.Now()
			_, err := c.Do(&messages.Put{Key: fmt.Appendf(nil, "k%d", i), Value: make([]byte, size)})
			require.NoError(t, err)
			require.Less(t, s.Now()-began, 7*time.Second, "%s, put %d", path, i)
		}
		require.NotSame(t, sick, leader(t, s, 1), path)
		require.Contains(t, groupOf(t, sick, 1).Stalled, status(t, sick).NodeID)
		require.True(t, s.RunUntil(func() bool {
			return slices.Contains(groupOf(t, leader(t, s, 1), 1).Stalled, status(t, sick).NodeID)
		}, 5*time.Second), "everybody can see it")

		// The leadership is not given back, nor is anybody kept waiting for that, as long as the disk hangs.
		for range 40 {
			s.RunUntil(func() bool { return false }, time.Second)
			require.NotSame(t, sick, leader(t, s, 1), path)
			began := s.Now()
			_, err := c.Do(&messages.Put{Key: []byte("k"), Value: []byte("1")})
			require.NoError(t, err)
			require.Less(t, s.Now()-began, 200*time.Millisecond, path)
		}

		sick.Crash()
		sick.Machine().Slow(path, nil)
		sick.Start()
		settled(t, s)
		require.True(t, s.RunUntil(func() bool { return len(groupOf(t, sick, 1).Stalled) == 0 }, 10*time.Second))
		require.Empty(t, s.Oracle.Violations)
	}
}

// When a leader dies its group goes on within seconds, also if a write of the log takes longer than an election timeout.
func TestPutsGoOnWhereLogsAreSlow(t *testing.T) {
	for _, usual := range []time.Duration{20, 400, 700, 1000} {
		for seed := uint64(1); seed <= 3; seed++ {
			s := startCluster(t, seed, clustertest.Options{Groups: 1})
			rng := rand.New(rand.NewPCG(seed, uint64(usual)))
			for _, m := range s.Nodes {
				m.Machine().Slow("persistence/log", func() time.Duration {
					return (usual*3/4 + time.Duration(rng.Int64N(int64(usual/2)))) * time.Millisecond
				})
			}
			c := s.Client("c")
			for i := range 3 {
				_, err := c.Do(&messages.Put{Key: fmt.Appendf(nil, "k%d", i), Value: []byte("1")})
				require.NoError(t, err)
			}
			leader(t, s, 1).Kill()
			began := s.Now()
			_, err := c.Do(&messages.Put{Key: []byte("k"), Value: []byte("2")})
			require.NoError(t, err, "%d ms, seed %d", usual, seed)
			t.Logf("%d ms a write, seed %d: %v", usual, seed, s.Now()-began)
			require.Less(t, s.Now()-began, 2*time.Second+10*usual*time.Millisecond, "%d ms, seed %d", usual, seed)
			require.Empty(t, s.Oracle.Violations)
		}
	}
}

// A follower whose state disk hangs acknowledges what its log has, but does not keep all of that in memory. When its disk answers
// it gets to where the others are.
func TestLogOfASlowStateStaysOnDisk(t *testing.T) {
	limits := raftactor.Limits{RetainBytes: 256 << 10, PendingBytes: 4 << 20}
	s := startCluster(t, 5, clustertest.Options{Groups: 1, Limits: limits})
	c := s.Client("c")
	led := leader(t, s, 1)
	slow := s.Nodes[slices.IndexFunc(s.Nodes, func(m *clustertest.SimNode) bool { return m != led })]
	slow.Machine().Slow("persistence/state", func() time.Duration { return time.Hour })
	replica := func(m *clustertest.SimNode) *messages.ReplicaStatus {
		all := m.Node.Replicas()
		return all[slices.IndexFunc(all, func(r *messages.ReplicaStatus) bool { return r.Group == 1 })]
	}
	most, value := uint64(0), make([]byte, 400<<10)
	for i := range 50 {
		_, err := c.Do(&messages.Put{Key: fmt.Appendf(nil, "k%d", i), Value: value})
		require.NoError(t, err)
		most = max(most, replica(slow).LogBytes)
	}
	s.RunUntil(func() bool { return false }, time.Second)
	t.Logf("the follower is at %d of %d, and held at most %d bytes of its log", replica(slow).Applied, replica(slow).Commit, most)
	require.Less(t, most, uint64(limits.LogBytes()+limits.PendingBytes))
	require.Greater(t, replica(slow).Commit, replica(slow).Applied+10)

	slow.Crash()
	slow.Machine().Slow("persistence/state", nil)
	slow.Start()
	settled(t, s)
	require.True(t, s.RunUntil(func() bool { return replica(slow).Applied == replica(led).Applied }, time.Minute))
	require.Empty(t, s.Oracle.Violations)
}

// stale lets clients read and write one key while its leader is cut off from all but the readers, with a clock that runs
// at less than half the speed of the others. It tells whether a read missed a write that was acknowledged before.
func stale(t *testing.T, seed uint64, ratio float64) bool {
	s := startCluster(t, seed, clustertest.Options{Groups: 1, Limits: raftactor.Limits{LeaseReads: true, ClockRatio: ratio}})
	writer, reader := s.Client("writer"), s.Client("reader")
	acknowledged := int64(0)
	var write func()
	write = func() {
		writer.Ask(&messages.Incr{Key: []byte("k"), By: 1}, 5*time.Second, func(r *messages.Reply) {
			if acknowledged = max(acknowledged, r.Number); r.Number < 2000 {
				write()
			}
		})
	}
	write()
	require.True(t, s.RunUntil(func() bool { return acknowledged > 5 }, time.Minute))
	_, err := reader.Do(&messages.Get{Key: []byte("k")})
	require.NoError(t, err)

	old := leader(t, s, 1)
	for _, m := range s.Nodes {
		if m != old {
			m.Machine().Clock().Skew(1.2)
			s.Network().Cut(old.Machine().Address(), m.Machine().Address())
			s.Network().Cut(m.Machine().Address(), old.Machine().Address())
		}
	}
	s.Network().Cut("writer:1", old.Machine().Address())
	old.Machine().Clock().Skew(0.45)
	missed, reads := false, 0
	for until := s.Now() + 2*time.Second; s.Now() < until; {
		before := acknowledged
		var answer *messages.Reply
		reader.Ask(&messages.Get{Key: []byte("k")}, 5*time.Second, func(r *messages.Reply) { answer = r })
		require.True(t, s.RunUntil(func() bool { return answer != nil }, 10*time.Second))
		if answer.Code == messages.Code_OK {
			reads++
			n, err := strconv.ParseInt(string(answer.Value), 10, 64)
			require.NoError(t, err)
			missed = missed || n < before
		}
	}
	require.Greater(t, reads, 20)
	require.Greater(t, acknowledged, int64(10), "the others have gone on")
	return missed
}

// Leases count on clocks that differ by no more than they are told. When that is so no read is stale; and that this test
// would see one shows when they are told too little.
func TestLeasesHoldUnderSkew(t *testing.T) {
	lies := 0
	for seed := uint64(1); seed <= 4; seed++ {
		require.False(t, stale(t, seed, 3), "seed %d", seed)
		if stale(t, seed, 1.01) {
			lies++
		}
	}
	require.Positive(t, lies)
}
