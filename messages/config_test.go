package messages_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/eraft-io/eraft/messages"
)

func TestFindNode(t *testing.T) {
	config := &messages.Config{Nodes: []*messages.Node{{Id: 1, Name: "n1"}, {Id: 4, Name: "n4", Removed: true}}}
	require.Equal(t, "n4", config.FindNode(4).GetName())
	require.Nil(t, config.FindNode(2))
	require.Nil(t, (*messages.Config)(nil).FindNode(1))
}

func TestFindGroup(t *testing.T) {
	config := &messages.Config{Groups: []*messages.Group{{}, {Id: 7, Left: true}}}
	require.True(t, config.FindGroup(7).GetLeft())
	require.NotNil(t, config.FindGroup(uint64(messages.Meta)))
	require.Nil(t, config.FindGroup(2))
	require.Nil(t, (*messages.Config)(nil).FindGroup(1))
}

func TestSameNodes(t *testing.T) {
	for _, c := range []struct {
		a, b []uint64
		same bool
	}{
		{nil, []uint64{}, true}, {[]uint64{1, 2}, []uint64{2, 1}, true}, {[]uint64{1}, []uint64{2}, false},
		{[]uint64{1, 1, 2}, []uint64{1, 2}, false}, {[]uint64{1}, nil, false},
	} {
		require.Equal(t, c.same, messages.SameNodes(c.a, c.b), "%v %v", c.a, c.b)
	}
	unsorted := []uint64{3, 1}
	messages.SameNodes(unsorted, unsorted)
	require.Equal(t, []uint64{3, 1}, unsorted, "the lists are not changed")
}
