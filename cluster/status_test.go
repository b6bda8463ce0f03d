package cluster

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/persistence"
)

func voters(group, leader, term, applied uint64, nodes ...uint64) *messages.ReplicaStatus {
	return &messages.ReplicaStatus{Group: group, Leader: leader, Term: term, Applied: applied, Conf: &messages.ConfState{Voters: nodes}}
}

// Who is in a group is what its leader says, not a replica that lags or has been left out.
func TestStatusTellsTheLeadersMembers(t *testing.T) {
	b := newBoard(func() time.Duration { return 0 })
	b.setIdentity(persistence.Identity{Node: 1})
	g := &messages.Group{Id: 7, Nodes: []uint64{1, 2, 4}}
	b.setConfig(&messages.Config{Groups: []*messages.Group{g}})
	require.Equal(t, []uint64{1, 2, 4}, b.snapshot().group(g).Replicas, "nobody is heard yet")
	b.setReplica(voters(7, 2, 3, 10, 1, 2, 3))
	require.Equal(t, []uint64{1, 2, 3}, b.snapshot().group(g).Replicas, "all that is known")
	b.setOther(&messages.NodeStatus{Node: 3, Replicas: []*messages.ReplicaStatus{voters(7, 0, 2, 5, 2, 3, 5)}})
	require.Equal(t, []uint64{1, 2, 3}, b.snapshot().group(g).Replicas)
	b.setOther(&messages.NodeStatus{Node: 2, Replicas: []*messages.ReplicaStatus{voters(7, 2, 3, 20, 1, 2, 4)}})
	doc := b.snapshot().group(g)
	require.Equal(t, []uint64{1, 2, 4}, doc.Replicas, "the leader knows better")
	require.EqualValues(t, 10, doc.Applied, "how far this node is")

	over := &messages.Group{Id: 7, Left: true}
	b.setOther(&messages.NodeStatus{Node: 2})
	require.Empty(t, b.snapshot().group(over).Replicas, "one that is over has none, whatever is still to be deleted")
}

// Who was never heard is unknown for as long as it may just not have had the time to speak, and down after that.
func TestStatusOfNodesThatWereNeverHeard(t *testing.T) {
	now := time.Hour
	b := newBoard(func() time.Duration { return now })
	b.setIdentity(persistence.Identity{Node: 1})
	two, three := &messages.Node{Id: 2}, &messages.Node{Id: 3}
	b.setConfig(&messages.Config{Nodes: []*messages.Node{{Id: 1}, two}})
	require.Equal(t, "unknown", b.snapshot().state(two))
	require.Equal(t, "up", b.snapshot().state(&messages.Node{Id: 1}))
	b.setOther(&messages.NodeStatus{Node: 2})
	require.Equal(t, "up", b.snapshot().state(two))
	now += silence
	require.Equal(t, "down", b.snapshot().state(two), "it was heard and is not any more")
	b.setConfig(&messages.Config{Nodes: []*messages.Node{{Id: 1}, two, three}})
	require.Equal(t, "unknown", b.snapshot().state(three), "it has just joined")
	now += silence
	require.Equal(t, "down", b.snapshot().state(three))
	require.Equal(t, "removed", b.snapshot().state(&messages.Node{Id: 3, Removed: true}))
}
