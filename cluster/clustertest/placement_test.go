package clustertest_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/eraft-io/eraft/cluster"
	"github.com/eraft-io/eraft/cluster/clustertest"
	"github.com/eraft-io/eraft/messages"
)

// Nodes come, go, drain and die while clients work.

func setNode(node uint64, state messages.NodeState) *messages.MetaCommand {
	return &messages.MetaCommand{Op: &messages.MetaCommand_SetNode{SetNode: &messages.SetNode{Node: node, State: state}}}
}

func remove(node uint64) *messages.MetaCommand {
	return &messages.MetaCommand{Op: &messages.MetaCommand_RemoveNode{RemoveNode: &messages.RemoveNode{Node: node}}}
}

// placed runs until everything is where it should be.
func placed(t *testing.T, s *clustertest.Simulation) {
	t.Helper()
	require.True(t, s.RunUntil(func() bool {
		return s.Steps()%64 == 0 && s.Ready() && !slices.ContainsFunc(s.Nodes, func(m *clustertest.SimNode) bool { return !m.Node.Placed() })
	}, 2*time.Minute), "not placed: %s", s.Nodes[0].Node.Status())
}

// even tells how many nodes have replicas, and checks that buckets and replicas are spread evenly.
func even(t *testing.T, s *clustertest.Simulation) (nodes int) {
	t.Helper()
	d := status(t, s.Nodes[0])
	load, owned := map[uint64]int{}, map[uint64]int{}
	for _, g := range d.Groups {
		for _, n := range g.Replicas {
			load[n]++
		}
	}
	for _, owner := range d.Buckets.Owners {
		owned[owner]++
	}
	for what, counts := range map[string]map[uint64]int{"replicas": load, "buckets": owned} {
		low, high := 1<<30, 0
		for _, n := range counts {
			low, high = min(low, n), max(high, n)
		}
		require.LessOrEqual(t, high-low, 1, "%s: %v", what, counts)
	}
	return len(load)
}

// judged ends the work and checks what clients saw.
func judged(t *testing.T, s *clustertest.Simulation, work *clustertest.Workload) {
	t.Helper()
	require.True(t, s.RunUntil(work.Over, 2*time.Minute))
	done, tangled, violation := work.Judge(20 * time.Second)
	require.Empty(t, violation)
	require.Empty(t, s.Oracle.Violations)
	require.False(t, tangled)
	require.Greater(t, done, 100)
}

// holds counts the records on the disks of a node that belong to groups, but for what they promised as voters.
func holds(t *testing.T, m *clustertest.SimNode) (records int) {
	log, state := m.Disks()
	count := func(key, _ []byte) bool {
		if strings.IndexByte("esdai", key[0]) >= 0 && len(key) >= 9 {
			records++
		}
		return true
	}
	require.NoError(t, log.Scan(nil, nil, count))
	require.NoError(t, state.Scan(nil, nil, count))
	return records
}

// A fourth node joins with one seed, gets its share, is drained while nodes are killed, and forgotten. Its old disk is
// of no use afterwards.
func TestNodeJoinsDrainsAndGoes(t *testing.T) {
	for seed := range uint64(*seeds) / 8 {
		s := startCluster(t, 300+seed, clustertest.Options{Groups: -1, Buckets: 24})
		admin := s.Client("admin")
		work := s.Work(4, s.Now()+60*time.Second, 100*time.Millisecond)
		s.RunUntil(func() bool { return false }, 5*time.Second)
		fourth := s.Join(s.Nodes[1])
		placed(t, s)
		require.Equal(t, 4, even(t, s), "the fourth has its share")
		require.Len(t, status(t, s.Nodes[0]).Groups, 5, "as many groups as nodes, and meta")
		require.Positive(t, holds(t, fourth))

		_, err := admin.Do(setNode(4, messages.NodeState_DRAINING))
		require.NoError(t, err)
		s.RunUntil(func() bool { return false }, time.Second)
		for _, m := range []*clustertest.SimNode{leader(t, s, 0), fourth} {
			m.Kill()
			s.RunUntil(func() bool { return false }, 2*time.Second)
			m.Start()
		}
		placed(t, s)
		require.True(t, s.RunUntil(func() bool { return holds(t, fourth) == 0 }, time.Minute), "what it had is deleted")
		require.Equal(t, 3, even(t, s))
		require.Contains(t, string(s.Nodes[0].Node.Status()), `"state":"draining"`)
		require.Contains(t, string(s.Nodes[0].Node.Status()), `"percent":100`)

		_, err = admin.Do(remove(4))
		require.ErrorContains(t, err, "is alive")
		fourth.Kill()
		s.RunUntil(func() bool { return false }, 5*time.Second)
		_, err = admin.Do(remove(4))
		require.NoError(t, err)
		s.Oracle.Expect(func(m *clustertest.SimNode, err error) bool { return m == fourth && errors.Is(err, cluster.ErrRemoved) })
		fourth.Start()
		require.True(t, s.RunUntil(func() bool { return fourth.Failure != nil }, 30*time.Second), "it learns that it was removed, and stops")
		s.Remove(fourth)
		judged(t, s, work)
	}
}

// A drain is taken back in the middle.
func TestUndrain(t *testing.T) {
	s := startCluster(t, 310, clustertest.Options{Nodes: 4, Groups: -1, Buckets: 24})
	placed(t, s)
	admin := s.Client("admin")
	_, err := admin.Do(setNode(2, messages.NodeState_DRAINING))
	require.NoError(t, err)
	s.RunUntil(func() bool { return false }, time.Second)
	_, err = admin.Do(setNode(2, messages.NodeState_ACTIVE))
	require.NoError(t, err)
	placed(t, s)
	require.Equal(t, 4, even(t, s))
	require.Empty(t, s.Oracle.Violations)
}

// A node whose disks were lost comes back under its name as a new one, and the old one is no member of anything.
func TestWipedNodeComesBackAsNew(t *testing.T) {
	for seed := range uint64(*seeds) / 8 {
		s := startCluster(t, 320+seed, clustertest.Options{})
		placed(t, s)
		work := s.Work(4, s.Now()+30*time.Second, 100*time.Millisecond)
		s.RunUntil(func() bool { return false }, 3*time.Second)
		wiped := s.Nodes[seed%3]
		old := status(t, wiped).NodeID
		wiped.Wipe()
		s.RunUntil(func() bool { return false }, time.Second)
		wiped.Start()
		require.True(t, s.RunUntil(func() bool { return status(t, wiped).NodeID == 4 }, 30*time.Second))
		placed(t, s)
		for _, g := range status(t, wiped).Groups {
			require.Len(t, g.Replicas, 3)
			require.Contains(t, g.Replicas, uint64(4))
			require.NotContains(t, g.Replicas, old)
		}
		judged(t, s, work)
	}
}

// Two of five nodes start while their volumes are not mounted. They must not take the places of the nodes that they were: with
// their disks the groups would lose their majorities for ever. They wait and say why, and all goes on when the volumes are back.
func TestNoPlaceIsTakenThatAGroupNeeds(t *testing.T) {
	for seed := range uint64(*seeds)/8 + 1 {
		s := startCluster(t, 360+seed, clustertest.Options{Nodes: 5, Groups: 5})
		placed(t, s)
		c := s.Client("c")
		for i := range 20 {
			_, err := c.Do(put(fmt.Sprint("k", i), "v"))
			require.NoError(t, err)
		}
		version := status(t, s.Nodes[0]).ConfigVersion
		away := s.Nodes[3:]
		var mounts []func()
		for _, m := range away {
			mounts = append(mounts, m.Unmount())
		}
		s.Advance(10 * time.Second)
		for _, m := range away {
			m.Start()
		}
		s.Advance(30 * time.Second)
		for i, m := range away {
			require.Zero(t, status(t, m).NodeID)
			require.Regexp(t, `is its volume mounted\?|group 0 does not answer`, fmt.Sprint(m.Node.Failing()))
			mounts[i]()
			m.Start()
		}
		settled(t, s)
		require.Equal(t, version, status(t, s.Nodes[0]).ConfigVersion)
		for i := range 20 {
			require.Equal(t, "v", get(t, c, fmt.Sprint("k", i)))
		}
		require.Empty(t, s.Oracle.Violations)
	}
}

// A dead node is replaced when it has been silent for long, and comes into its own again when it is back.
func TestDeadNodeIsReplaced(t *testing.T) {
	s := startCluster(t, 330, clustertest.Options{Nodes: 4, Buckets: 24, ReplaceAfter: 8 * time.Second})
	placed(t, s)
	work := s.Work(4, s.Now()+60*time.Second, 100*time.Millisecond)
	dead := s.Nodes[2]
	id := status(t, dead).NodeID
	dead.Crash()
	has := func() bool {
		return slices.ContainsFunc(status(t, s.Nodes[0]).Groups, func(g group) bool { return slices.Contains(g.Replicas, id) })
	}
	s.RunUntil(func() bool { return false }, 6*time.Second)
	require.True(t, has(), "not before its time")
	require.True(t, s.RunUntil(func() bool { return s.Steps()%64 == 0 && !has() }, time.Minute), "others have what it had")
	dead.Start()
	placed(t, s)
	require.True(t, has())
	require.Equal(t, 4, even(t, s))
	judged(t, s, work)
}

// Meta has five replicas from seven nodes on, and three again when one goes.
func TestMetaFollowsTheNodes(t *testing.T) {
	s := startCluster(t, 340, clustertest.Options{Nodes: 6, Groups: -1})
	placed(t, s)
	require.Len(t, groupOf(t, s.Nodes[0], 0).Replicas, 3)
	seventh := s.Join(s.Nodes[5])
	placed(t, s)
	require.Len(t, groupOf(t, s.Nodes[0], 0).Replicas, 5)
	seventh.Kill()
	s.RunUntil(func() bool { return false }, 5*time.Second)
	_, err := s.Client("admin").Do(remove(7))
	require.NoError(t, err)
	s.Remove(seventh)
	placed(t, s)
	require.Len(t, groupOf(t, s.Nodes[0], 0).Replicas, 3)
	require.Equal(t, 6, even(t, s))
	require.Empty(t, s.Oracle.Violations)
}

// What makes no sense is refused with the reason, and the config stays as it is.
func TestOperatorsAreToldWhatIsWrong(t *testing.T) {
	s := startCluster(t, 350, clustertest.Options{Labels: func(n int) []string { return []string{fmt.Sprintf("zone=z%d", n)} }})
	placed(t, s)
	admin := s.Client("admin")
	before := status(t, s.Nodes[0]).ConfigVersion
	stale := setNode(1, messages.NodeState_DRAINING)
	stale.IfVersion = before - 1
	for says, c := range map[string]*messages.MetaCommand{
		"drain it, stop it":         remove(2),
		"the nodes are [1 2 3]":     setNode(9, messages.NodeState_DRAINING),
		"by now, not at":            stale,
		"buckets are 0-15":          move(16, 16, 1),
		"group 9 is no shard group": move(1, 1, 9),
	} {
		_, err := admin.Do(c)
		require.ErrorContains(t, err, says)
	}
	require.Equal(t, before, status(t, s.Nodes[0]).ConfigVersion)

	// A namesake of a node that lives, and a node without a zone, wait and say why.
	for says, change := range map[string]func(*cluster.Config){
		"which is alive: choose another name": func(c *cluster.Config) { c.Name = "n2" },
		"start it with --labels zone=":        func(c *cluster.Config) { c.Labels = nil },
	} {
		waits := s.Join(s.Nodes[0], change)
		require.True(t, s.RunUntil(func() bool { return strings.Contains(fmt.Sprint(waits.Node.Failing()), says) }, 30*time.Second), says)
		s.Remove(waits)
	}
	require.Equal(t, before, status(t, s.Nodes[0]).ConfigVersion)
	require.Empty(t, s.Oracle.Violations)
}
