package router

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// Sequence numbers are given out once, and acked is below every request without a reply.
func TestRequestTable(t *testing.T) {
	table := newRequestTable(7)
	add := func() *request {
		r := &request{}
		r.seq = table.nextSeq()
		table.add(r)
		return r
	}
	first, second, third := add(), add(), add()
	require.EqualValues(t, 1, table.acked())
	require.Same(t, second, table.get(2))
	require.True(t, table.remove(second))
	require.False(t, table.remove(second), "it is not there any more")
	require.False(t, table.remove(&request{}), "it was never added")
	require.EqualValues(t, 1, table.acked())
	require.True(t, table.remove(first))
	require.EqualValues(t, 3, table.acked())
	fourth := add()
	require.Equal(t, []*request{third, fourth}, slices.Collect(table.all()))
	for r := range table.all() {
		require.True(t, table.remove(r), "the loop may remove what it is given")
	}
	require.Zero(t, table.len())
	require.EqualValues(t, 4, table.acked(), "the last may still come back as a request that was not added")
	require.EqualValues(t, 5, table.nextSeq())
}
