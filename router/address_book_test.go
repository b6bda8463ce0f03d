package router

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/eraft-io/eraft/messages"
)

func nodeAt(node, token, epoch uint64, address string) *messages.NodeAddress {
	return &messages.NodeAddress{Node: node, DirectoryToken: token, Epoch: epoch, Address: address}
}

// The address of the highest boot epoch counts, before the config has it, and not after the config has a later one.
func TestAddressBook(t *testing.T) {
	config := func(version, epoch uint64, address string) *messages.Config {
		return &messages.Config{Version: version, Nodes: []*messages.Node{
			{Id: 1, DirectoryToken: 11, Epoch: epoch, Address: address}, {Id: 2, DirectoryToken: 22, Epoch: 1, Address: "b", Removed: true},
		}}
	}
	var b AddressBook
	require.Empty(t, b.Address(1))
	require.False(t, b.Learn(nodeAt(1, 11, 9, "x")), "nobody is known")
	b.Update(config(1, 3, "a"))
	require.Equal(t, "a", b.Address(1))
	require.Empty(t, b.Address(2), "it was removed")
	for _, a := range []*messages.NodeAddress{
		nodeAt(1, 11, 3, "x"), nodeAt(1, 11, 2, "x"), nodeAt(1, 12, 9, "x"), nodeAt(2, 22, 9, "x"), nodeAt(7, 7, 9, "x"),
		nodeAt(1, 11, 9, ""), nodeAt(1, 11, 9, strings.Repeat("x", 301)),
	} {
		require.False(t, b.Learn(a), "%v", a)
	}
	require.True(t, b.Learn(nodeAt(1, 11, 5, "e")))
	require.False(t, b.Learn(nodeAt(1, 11, 5, "e")), "no news")
	require.False(t, b.Learn(nodeAt(1, 11, 4, "d")), "a word of an older boot that comes late")
	b.Update(config(2, 4, "d"))
	require.Equal(t, "e", b.Address(1), "the config is behind")
	require.Len(t, b.Newer(), 1)
	b.Update(config(3, 6, "f"))
	require.Equal(t, "f", b.Address(1))
	require.Empty(t, b.Newer())
}

// Requests go to a node's newest address, not to that of the config.
func TestRoutesFollowNodes(t *testing.T) {
	table := NewTable()
	require.True(t, table.Update(&messages.Config{
		Version: 1, Owners: []uint64{1}, Groups: []*messages.Group{{Id: 1, Nodes: []uint64{1}}}, Nodes: []*messages.Node{{Id: 1, DirectoryToken: 11, Epoch: 1, Address: "a"}},
	}))
	table.SetAddress(nodeAt(1, 11, 2, "b"))
	_, address := table.Leader(1)
	require.Equal(t, "b", address)
	require.Equal(t, []string{"b"}, table.Addresses())
}
