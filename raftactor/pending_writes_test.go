package raftactor

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/eraft-io/eraft/messages"
)

// What waits for the disk goes on in order, and not before the write that it waits for is durable.
func TestPendingWrites(t *testing.T) {
	var w pendingWrites
	vote, meta := &messages.RaftMessage{Kind: messages.RaftKind_VOTE}, &messages.SnapshotMeta{Index: 9}
	w.add(1, []*messages.RaftMessage{vote}, nil)
	w.add(2, nil, nil)
	w.add(3, nil, meta)
	w.add(4, []*messages.RaftMessage{vote, vote}, nil)
	require.Len(t, w, 3, "nothing waits for the second")
	require.Empty(t, w.complete(0))
	require.Equal(t, []pendingWrite{{1, []*messages.RaftMessage{vote}, nil}}, w.complete(2))
	require.Empty(t, w.complete(2))
	require.Equal(t, []pendingWrite{{3, nil, meta}, {4, []*messages.RaftMessage{vote, vote}, nil}}, w.complete(10))
	require.Empty(t, w)
}
