package raftactor

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/raftactor/raft"
)

func TestRoom(t *testing.T) {
	status := raft.Status{ID: 1, Last: 100, Conf: &messages.ConfState{Voters: []uint64{1, 2, 3}}, Followers: []raft.FollowerStatus{
		{ID: 2, Active: true, Match: 100}, {ID: 3, Active: true, Match: 100},
	}}
	for _, c := range []struct {
		full    []uint64
		wanted  []uint64
		roomier uint64
		crowded bool
	}{
		{nil, []uint64{1, 2, 3}, 0, false},
		{[]uint64{1}, []uint64{1, 2, 3}, 2, true},
		{[]uint64{1, 2}, []uint64{1, 2, 3}, 3, true},
		{[]uint64{1, 2, 3}, []uint64{1, 2, 3}, 0, true},
		{[]uint64{1}, []uint64{1, 3, 4}, 3, true}, // not to one that is about to go
		{[]uint64{2}, []uint64{1, 2, 3}, 0, false},
		{[]uint64{2, 3}, []uint64{1, 2, 3}, 0, true},
		{[]uint64{9, 8}, []uint64{1, 2, 3}, 0, false}, // of another group
	} {
		d := replicaTarget{nodes: c.wanted, fullNodes: c.full}
		require.Equal(t, c.roomier, d.voterWithSpace(status), "full: %v", c.full)
		require.Equal(t, c.crowded, d.shortOfSpace(1, status.Conf.Voters), "full: %v", c.full)
	}
	late := status
	late.Followers = []raft.FollowerStatus{{ID: 2, Active: true, Match: 10}, {ID: 3, Match: 100}}
	d := replicaTarget{nodes: []uint64{1, 2, 3}, fullNodes: []uint64{1}}
	require.Zero(t, d.voterWithSpace(late), "one is behind, the other silent")
}
