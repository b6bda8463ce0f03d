package clustertest_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/eraft-io/eraft/cluster"
	"github.com/eraft-io/eraft/cluster/clustertest"
	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/persistence"
)

func newestConfig(t *testing.T, c *clustertest.Client) *messages.Config {
	r, err := c.Do(&messages.MetaQuery{Op: &messages.MetaQuery_Show{}})
	require.NoError(t, err)
	return r.Meta.GetConfig()
}

// Two of three nodes are destroyed. The third is made the only voter of every group by hand, serves everything it had, and
// the config chain says what was done.
func TestForcedQuorum(t *testing.T) {
	s := startCluster(t, 5, clustertest.Options{Groups: 2})
	c := s.Client("c")
	for i := range 20 {
		_, err := c.Do(&messages.Put{Key: fmt.Appendf(nil, "k%d", i), Value: fmt.Append(nil, i)})
		require.NoError(t, err)
	}
	left := s.Nodes[slices.IndexFunc(s.Nodes, func(m *clustertest.SimNode) bool { return status(t, m).NodeID == 1 })]
	s.Advance(5 * time.Second) // everybody has everything
	for _, m := range s.Nodes {
		m.Kill()
	}
	log, _ := left.Disks()
	no := errors.New("no")
	require.ErrorContains(t, cluster.ForceNewQuorumOn(log, 9, nil), "has no replica of group 9")
	require.ErrorIs(t, cluster.ForceNewQuorumOn(log, 0, func(cluster.ForcePlan) error { return no }), no)
	for group := messages.GroupID(0); group <= 2; group++ {
		require.NoError(t, cluster.ForceNewQuorumOn(log, group, func(p cluster.ForcePlan) error {
			require.Equal(t, fmt.Sprintf("group %d loses nodes 2,3", group), p.Sentence())
			return nil
		}))
		require.ErrorContains(t, cluster.ForceNewQuorumOn(log, group, nil), "the only voter")
	}
	records, err := persistence.LoadForcedQuorums(log)
	require.NoError(t, err)
	require.Len(t, records, 3)

	left.Start()
	require.True(t, s.RunUntil(func() bool { return left.Node.Ready() }, time.Minute), "%v", left.Node.Failing())
	d := s.Client("d")
	for i := range 20 {
		require.Equal(t, fmt.Sprint(i), get(t, d, fmt.Sprintf("k%d", i)))
	}
	_, err = d.Do(&messages.Put{Key: []byte("new"), Value: []byte("1")})
	require.NoError(t, err)
	s.Advance(10 * time.Second)
	require.Len(t, newestConfig(t, d).ForcedQuorums, 3)
	require.Equal(t, []uint64{2, 3}, newestConfig(t, d).ForcedQuorums[0].Lost)
	require.Empty(t, s.Oracle.Violations)

	// After a restart it says so again, and nothing changes by that.
	version := newestConfig(t, d).Version
	left.Kill()
	left.Start()
	s.Advance(10 * time.Second)
	require.Len(t, newestConfig(t, s.Client("e")).ForcedQuorums, 3)
	require.Equal(t, version, newestConfig(t, s.Client("f")).Version)
}
