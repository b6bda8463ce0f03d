package raftactor

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/raftactor/raft"
	"github.com/eraft-io/eraft/raftactor/raft/progress"
)

// TestNextChangeLooksWhoIsThere: no change leaves a group without a majority that can go on now, and those go first that cannot.
func TestNextChangeLooksWhoIsThere(t *testing.T) {
	removes := func(ids ...uint64) (all []*messages.ConfChange) {
		for _, id := range ids {
			all = append(all, &messages.ConfChange{Kind: messages.ConfChange_REMOVE, Node: id})
		}
		return all
	}
	joint := func(changes ...*messages.ConfChange) *messages.ConfChange {
		return &messages.ConfChange{Kind: messages.ConfChange_JOINT, Changes: changes}
	}
	promote := &messages.ConfChange{Kind: messages.ConfChange_PROMOTE, Node: 4}
	for _, c := range []struct {
		name                     string
		voters, learners, wanted []uint64
		dead                     []uint64
		want                     *messages.ConfChange
	}{
		{"all are there", []uint64{1, 2, 3, 4, 5}, nil, []uint64{1, 2, 3}, nil, joint(removes(4, 5)...)},
		{"one that stays is dead", []uint64{1, 2, 3, 4, 5}, nil, []uint64{1, 2, 3}, []uint64{2}, joint(removes(4, 5)...)},
		{"two that stay are dead", []uint64{1, 2, 3, 4, 5}, nil, []uint64{1, 2, 3}, []uint64{2, 3}, nil},
		{"one of each is dead: that one can go", []uint64{1, 2, 3, 4, 5}, nil, []uint64{1, 2, 3}, []uint64{2, 5}, joint(removes(5, 4)...)},
		{"two that go are dead", []uint64{1, 2, 3, 4, 5}, nil, []uint64{1, 2, 3}, []uint64{4, 5}, joint(removes(5, 4)...)},
		{"the dead one goes first", []uint64{1, 2, 3}, []uint64{4, 5}, []uint64{1, 4, 5}, []uint64{3, 5}, joint(append([]*messages.ConfChange{promote}, removes(3)...)...)},
		{"a dead one is replaced", []uint64{1, 2, 3}, []uint64{4}, []uint64{1, 2, 4}, []uint64{3}, joint(append([]*messages.ConfChange{promote}, removes(3)...)...)},
		{"only part of it can be done", []uint64{1, 2, 3, 4}, nil, []uint64{1, 2}, []uint64{2}, joint(removes(3)...)},
		{"a majority is not there", []uint64{1, 2, 3}, nil, []uint64{1, 2}, []uint64{2, 3}, nil},
	} {
		status := statusOf(c.voters, c.learners, 100)
		for i := range status.Followers {
			status.Followers[i].Active = !slices.Contains(c.dead, status.Followers[i].ID)
		}
		got := NextChange(status, c.wanted)
		if c.want != nil && len(c.want.Changes) == 1 {
			c.want = c.want.Changes[0]
		}
		require.True(t, proto.Equal(c.want, got), "%s: %v", c.name, got)
	}
	for name, ails := range map[string]func(*raft.FollowerStatus){
		"emptied": func(f *raft.FollowerStatus) { f.Recovering = true }, "gets a snapshot": func(f *raft.FollowerStatus) { f.State = progress.Snapshot },
		"its disk does not answer": func(f *raft.FollowerStatus) { f.Stalled = true },
	} {
		status := statusOf([]uint64{1, 2, 3}, nil, 100)
		ails(&status.Followers[0])
		require.Nil(t, NextChange(status, []uint64{1, 2}), name)
	}
}
