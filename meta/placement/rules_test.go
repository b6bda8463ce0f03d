package placement_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/meta/placement"
)

// even is a cluster of four nodes in which no rule has anything to do: every rule's case below changes one thing in it.
func even() (*messages.Config, placement.ClusterState) {
	config := &messages.Config{
		Version: 9, Replicas: 3, BootstrapExpect: 3, Owners: []uint64{1, 2, 3, 4, 1, 2, 3, 4}, PreviousOwners: make([]uint64, 8), MovedVersions: make([]uint64, 8),
		Groups: []*messages.Group{
			{Id: 0, Nodes: []uint64{1, 2, 3}}, {Id: 1, Nodes: []uint64{1, 2, 4}}, {Id: 2, Nodes: []uint64{2, 3, 4}},
			{Id: 3, Nodes: []uint64{3, 4, 1}}, {Id: 4, Nodes: []uint64{4, 1, 2}},
		},
	}
	for id := uint64(1); id <= 4; id++ {
		config.Nodes = append(config.Nodes, &messages.Node{Id: id, Name: "n" + string('0'+rune(id))})
	}
	return config, placement.ClusterState{Alive: func(uint64) bool { return true }}
}

// Each rule sees its own difference, says why, and names the config that it was derived from.
func TestRules(t *testing.T) {
	config, state := even()
	require.Empty(t, placement.Plan(config, state))
	for _, c := range []struct {
		name   string
		change func(config *messages.Config, state *placement.ClusterState)
		reason string
	}{
		{"markLostNodes", func(_ *messages.Config, s *placement.ClusterState) { s.Lost = func(id uint64) bool { return id == 4 } }, "it is silent for too long"},
		{"markLostNodes, back", func(c *messages.Config, _ *placement.ClusterState) { c.Nodes[3].State = messages.NodeState_LOST }, "it is heard again"},
		{"repairMeta", func(c *messages.Config, _ *placement.ClusterState) { c.Groups[0].Nodes = []uint64{1, 2} }, "3 replicas are wanted"},
		{"createFirstGroups", func(c *messages.Config, _ *placement.ClusterState) {
			c.Groups, c.Owners = c.Groups[:1], make([]uint64, 8)
		}, "all awaited nodes are in"},
		{"repair, leader first", func(c *messages.Config, _ *placement.ClusterState) { c.Nodes[3].State = messages.NodeState_DRAINING }, "node 4 (n4) is drained"},
		{"repair, replicas", func(c *messages.Config, _ *placement.ClusterState) { c.Groups[2].Nodes = []uint64{2, 3} }, "3 replicas are wanted"},
		{"releaseGroups", func(c *messages.Config, _ *placement.ClusterState) {
			c.Groups = append(c.Groups, &messages.Group{Id: 5, Left: true, Nodes: []uint64{1, 2, 3}})
		}, "its buckets have arrived elsewhere"},
		{"adjustGroups, one is missing", func(c *messages.Config, _ *placement.ClusterState) { c.TargetGroups = 5 }, "5 groups for 4 nodes"},
		{"adjustGroups, one is too many", func(c *messages.Config, _ *placement.ClusterState) {
			c.TargetGroups, c.Owners = 3, []uint64{1, 2, 3, 1, 2, 3, 1, 2}
		}, "3 groups for 4 nodes"},
		{"spreadZones", func(c *messages.Config, _ *placement.ClusterState) {
			for i, zone := range []string{"a", "a", "b", "c"} {
				c.Nodes[i].Labels = []string{"zone=" + zone}
			}
		}, "its replicas share a zone"},
		{"spreadReplicas", func(c *messages.Config, _ *placement.ClusterState) {
			c.Groups[2].Nodes, c.Groups[3].Nodes, c.Groups[4].Nodes = []uint64{2, 1, 4}, []uint64{3, 2, 1}, []uint64{4, 1, 2}
		}, "nodes have unequal numbers of replicas"},
		{"spreadLeaders", func(c *messages.Config, _ *placement.ClusterState) { c.Groups[4].Nodes = []uint64{1, 4, 2} }, "nodes lead unequal numbers of groups"},
		{"balanceBuckets", func(c *messages.Config, _ *placement.ClusterState) { c.Owners[1], c.Owners[5] = 1, 1 }, "groups have unequal numbers of buckets"},
		{"balanceBuckets, bytes", func(_ *messages.Config, s *placement.ClusterState) {
			s.BucketBytes = []uint64{1 << 30, 1, 1, 1, 1 << 30, 1, 1, 1}
		}, "groups have unequal numbers of bytes"},
		{"finishOnce", func(c *messages.Config, _ *placement.ClusterState) { c.Placement = messages.Placement_ONCE }, "nothing is left to do"},
	} {
		config, state := even()
		c.change(config, &state)
		commands := placement.Plan(config, state)
		require.NotEmpty(t, commands, c.name)
		require.Equal(t, c.reason, commands[0].Reason, c.name)
		require.EqualValues(t, 9, commands[0].IfVersion, c.name)

		config.Placement = messages.Placement_PAUSED
		require.Empty(t, placement.Plan(config, state), c.name)
	}
}
