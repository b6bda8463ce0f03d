package loopback_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/eraft-io/eraft/cluster"
	"github.com/eraft-io/eraft/cluster/loopback"
)

// The tool works on the directory of a node that has stopped, and says what is wrong with any other.
func TestForceNeedsTheDataOfAStoppedNode(t *testing.T) {
	dir := ""
	c := loopback.Start(t, 1, func(_ int, c *cluster.Config) { dir = c.Dir })
	never := func(cluster.ForcePlan) error { return errors.New("asked") }
	require.ErrorContains(t, cluster.ForceNewQuorum(dir, 0, never), "is in use by process")
	require.NoError(t, c.Nodes[0].Close(t.Context()))
	require.ErrorContains(t, cluster.ForceNewQuorum(dir, 0, never), "node 1 is the only voter of the group")
	require.ErrorContains(t, cluster.ForceNewQuorum(dir, 77, never), "has no replica of group 77")
	require.ErrorContains(t, cluster.ForceNewQuorum(t.TempDir(), 0, never), "holds no data of a node")
}
