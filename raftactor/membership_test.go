package raftactor

import (
	"fmt"
	"slices"
	"testing"
	"time"

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

func TestNextChange(t *testing.T) {
	for _, c := range []struct {
		voters, learners, wanted []uint64
		match                    uint64
		want                     string
	}{
		{[]uint64{1}, nil, []uint64{1, 2, 3}, 0, "ADD_LEARNER 2"},
		{[]uint64{1}, []uint64{2}, []uint64{1, 2}, 10, ""},
		{[]uint64{1}, []uint64{2}, []uint64{1, 2}, 100, "PROMOTE 2"},
		{[]uint64{1, 2, 3}, nil, []uint64{1, 2}, 100, "REMOVE 3"},
		{[]uint64{1, 2}, nil, []uint64{1, 2}, 100, ""},
		{[]uint64{1, 2}, []uint64{3}, []uint64{1, 3}, 10, ""},
		{[]uint64{1, 2}, []uint64{3}, []uint64{1, 3}, 100, "JOINT PROMOTE 3 REMOVE 2"},
		{[]uint64{1, 2, 3}, []uint64{4, 5}, []uint64{1, 4, 5}, 100, "JOINT PROMOTE 4 PROMOTE 5 REMOVE 2 REMOVE 3"},
		{[]uint64{1}, []uint64{2, 3}, []uint64{1, 2, 3}, 100, "JOINT PROMOTE 2 PROMOTE 3"},
		{[]uint64{1, 2, 3}, []uint64{4}, []uint64{4, 5, 6}, 100, "ADD_LEARNER 5"},
		{[]uint64{1, 2, 3}, []uint64{4}, []uint64{2, 3, 4}, 100, "PROMOTE 4"},
		{[]uint64{1, 2, 3, 4}, nil, []uint64{2, 3, 4}, 100, ""},
	} {
		status := statusOf(c.voters, c.learners, c.match)
		got := ""
		if change := NextChange(status, c.wanted); change != nil {
			got = change.Kind.String()
			for _, c := range change.Changes {
				got += fmt.Sprint(" ", c.Kind, " ", c.Node)
			}
			if len(change.Changes) == 0 {
				got += fmt.Sprint(" ", change.Node)
			}
		}
		require.Equal(t, c.want, got, "%+v", c)
	}
	status := statusOf([]uint64{1}, []uint64{2}, 100)
	status.Followers[0].Recovering = true
	require.Nil(t, NextChange(status, []uint64{1, 2}), "a voter that does not vote")
}

// A leader that is not wanted transfers its leadership to a wanted voter, as soon as one is up to date; one whose disk is full to a wanted
// voter whose disk is not.
func TestTransferee(t *testing.T) {
	transferee := func(status raft.Status, wanted ...uint64) uint64 {
		m := membership{target: ReplicaTarget{Nodes: wanted}}
		return m.transferee(status)
	}
	require.Zero(t, transferee(statusOf([]uint64{1, 2, 3}, nil, 100), 1, 2, 3))
	require.Equal(t, uint64(3), transferee(statusOf([]uint64{1, 2, 3}, []uint64{4}, 100), 4, 3))
	require.Zero(t, transferee(statusOf([]uint64{1, 2, 3}, []uint64{4}, 100), 4, 5, 6), "learners cannot lead")
	require.Zero(t, transferee(statusOf([]uint64{1, 2, 3}, nil, 10), 2, 3), "they are behind")
}

func TestFullDisks(t *testing.T) {
	status := raft.Status{ID: 1, Last: 100, Conf: &messages.ConfState{Voters: []uint64{1, 2, 3}}, Followers: []raft.FollowerStatus{
		{ID: 2, Active: true, Match: 100}, {ID: 3, Active: true, Match: 100},
	}}
	for _, c := range []struct {
		full       []uint64
		wanted     []uint64
		transferee uint64
		short      bool
	}{
		{nil, []uint64{1, 2, 3}, 0, false},
		{[]uint64{1}, []uint64{1, 2, 3}, 2, true},
		{[]uint64{1, 2}, []uint64{1, 2, 3}, 3, true},
		{[]uint64{1, 2, 3}, []uint64{1, 2, 3}, 0, true},
		{[]uint64{1}, []uint64{1, 3, 4}, 3, true}, // not to one that is about to be removed
		{[]uint64{2}, []uint64{1, 2, 3}, 0, false},
		{[]uint64{2, 3}, []uint64{1, 2, 3}, 0, true},
		{[]uint64{9, 8}, []uint64{1, 2, 3}, 0, false}, // of another group
	} {
		m := membership{target: ReplicaTarget{Nodes: c.wanted, FullNodes: c.full}}
		require.Equal(t, c.transferee, m.transferee(status), "full: %v", c.full)
		require.Equal(t, c.short, m.short(1, status.Conf.Voters), "full: %v", c.full)
	}
	late := status
	late.Followers = []raft.FollowerStatus{{ID: 2, Active: true, Match: 10}, {ID: 3, Match: 100}}
	m := membership{target: ReplicaTarget{Nodes: []uint64{1, 2, 3}, FullNodes: []uint64{1}}}
	require.Zero(t, m.transferee(late), "one is behind, the other silent")
}

// A leader takes one step after the other to its target, and then lets the group quiesce.
func TestMembershipSteps(t *testing.T) {
	var m membership
	m.set(ReplicaTarget{Nodes: []uint64{2, 1, 3}, Bootstrap: true})
	require.False(t, m.shouldCampaign(1, 1), "another one is the preferred leader")
	m.set(ReplicaTarget{Nodes: []uint64{2, 1, 3}, Bootstrap: true})
	m.set(ReplicaTarget{Nodes: []uint64{2, 1, 3}})
	require.True(t, m.shouldCampaign(2, 1), "a later target does not undo it")
	require.False(t, m.shouldCampaign(2, 1), "once")

	busy := statusOf([]uint64{1, 2}, nil, 100)
	busy.Transferring = 2
	require.Equal(t, membershipStep{}, m.step(busy, 0))
	step := m.step(statusOf([]uint64{1, 2}, nil, 100), 0)
	require.Equal(t, messages.ConfChange_ADD_LEARNER, step.change.GetKind())
	require.EqualValues(t, 3, step.change.GetNode())
	require.False(t, step.settled)

	all := statusOf([]uint64{1, 2, 3}, nil, 100)
	require.Equal(t, membershipStep{}, m.step(all, time.Second), "the preferred leader may take over soon")
	require.Equal(t, membershipStep{transferTo: 2}, m.step(all, time.Second+minBackoff))
	require.Equal(t, membershipStep{settled: true}, m.step(statusOf([]uint64{1, 2, 3}, nil, 10), time.Minute), "it is behind")
	m.set(ReplicaTarget{Nodes: []uint64{2, 1, 3}, StepAside: true})
	require.Equal(t, membershipStep{transferTo: 2}, m.step(all, time.Minute))
	m.set(ReplicaTarget{Nodes: []uint64{2, 1, 3}, FullNodes: []uint64{2}})
	require.Equal(t, membershipStep{settled: true}, m.step(all, time.Hour), "its disk is full")
	m.set(ReplicaTarget{Nodes: []uint64{1, 2, 3}})
	require.Equal(t, membershipStep{settled: true}, m.step(all, time.Hour))
}
