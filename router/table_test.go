package router

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/eraft-io/eraft/messages"
)

// A removed node is listed in its groups until it is replaced there. No request may be sent to it.
func TestRemovedNodesAreNoRoute(t *testing.T) {
	table := NewTable()
	table.Update(&messages.Config{
		Version: 1, Owners: []uint64{1},
		Nodes:  []*messages.Node{{Id: 1, Address: "a:1", Removed: true}, {Id: 2, Address: "b:1"}, {Id: 3, Address: "c:1"}},
		Groups: []*messages.Group{{Id: 0, Nodes: []uint64{1, 2, 3}}, {Id: 1, Nodes: []uint64{2, 1, 3}}, {Id: 2, Nodes: []uint64{1}}},
	})
	for group, want := range map[uint64][]string{0: {"b:1", "c:1"}, 1: {"b:1", "c:1"}} {
		var asked []string
		for range 2 {
			node, address := table.Leader(group)
			asked = append(asked, address)
			table.LeaderFailed(group, node)
		}
		require.Equal(t, want, asked)
		_, address := table.Replica(group, "elsewhere:1", 1)
		require.NotEmpty(t, address)
	}
	node, address := table.Leader(2)
	require.Zero(t, node)
	require.Empty(t, address)
}
