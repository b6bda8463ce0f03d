package cluster

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/persistence"
)

func voters(group, leader, term, applied uint64, nodes ...uint64) *messages.ReplicaStatus {
	return &messages.ReplicaStatus{Group: group, Leader: leader, Term: term, Applied: applied, Conf: &messages.ConfState{Voters: nodes}}
}

// Who is in a group is what its leader says, not a replica that lags or has been left out.
func TestStatusTellsTheLeadersMembers(t *testing.T) {
	b := newStatusBoard(func() time.Duration { return 0 })
	b.setIdentity(persistence.Identity{Node: 1})
	g := &messages.Group{Id: 7, Nodes: []uint64{1, 2, 4}}
	b.setConfig(&messages.Config{Groups: []*messages.Group{g}})
	require.Equal(t, []uint64{1, 2, 4}, b.snapshot().groupStatus(g).Replicas, "nobody is heard yet")
	b.setReplica(voters(7, 2, 3, 10, 1, 2, 3))
	require.Equal(t, []uint64{1, 2, 3}, b.snapshot().groupStatus(g).Replicas, "all that is known")
	b.setOther(&messages.NodeStatus{Node: 3, Replicas: []*messages.ReplicaStatus{voters(7, 0, 2, 5, 2, 3, 5)}})
	require.Equal(t, []uint64{1, 2, 3}, b.snapshot().groupStatus(g).Replicas)
	b.setOther(&messages.NodeStatus{Node: 2, Replicas: []*messages.ReplicaStatus{voters(7, 2, 3, 20, 1, 2, 4)}})
	doc := b.snapshot().groupStatus(g)
	require.Equal(t, []uint64{1, 2, 4}, doc.Replicas, "the leader knows better")
	require.EqualValues(t, 10, doc.Applied, "how far this node is")

	over := &messages.Group{Id: 7, Left: true}
	b.setOther(&messages.NodeStatus{Node: 2})
	require.Empty(t, b.snapshot().groupStatus(over).Replicas, "one that is over has none, whatever is still to be deleted")
}

// Who was never heard is unknown for as long as it may just not have had the time to speak, and down after that.
func TestStatusOfNodesThatWereNeverHeard(t *testing.T) {
	now := time.Hour
	b := newStatusBoard(func() time.Duration { return now })
	b.setIdentity(persistence.Identity{Node: 1})
	two, three := &messages.Node{Id: 2}, &messages.Node{Id: 3}
	b.setConfig(&messages.Config{Nodes: []*messages.Node{{Id: 1}, two}})
	require.Equal(t, "unknown", b.snapshot().state(two))
	require.Equal(t, "up", b.snapshot().state(&messages.Node{Id: 1}))
	b.setOther(&messages.NodeStatus{Node: 2})
	require.Equal(t, "up", b.snapshot().state(two))
	now += aliveTimeout
	require.Equal(t, "down", b.snapshot().state(two), "it was heard and is not any more")
	b.setConfig(&messages.Config{Nodes: []*messages.Node{{Id: 1}, two, three}})
	require.Equal(t, "unknown", b.snapshot().state(three), "it has just joined")
	now += aliveTimeout
	require.Equal(t, "down", b.snapshot().state(three))
	require.Equal(t, "removed", b.snapshot().state(&messages.Node{Id: 3, Removed: true}))
}

// draining is a board of node 1 that sees node 4 drain, and what its three groups tell.
type draining struct {
	b       *statusBoard
	now     time.Duration
	config  *messages.Config
	members [3][]uint64
}

func newDraining() *draining {
	d := &draining{now: time.Hour}
	d.b = newStatusBoard(func() time.Duration { return d.now })
	d.b.setIdentity(persistence.Identity{Node: 1})
	d.config = &messages.Config{Nodes: []*messages.Node{{Id: 4, State: messages.NodeState_DRAINING, StateSinceMs: 5, DrainReplicas: 3}}}
	for g := range d.members {
		d.members[g] = []uint64{1, 2, 4}
		d.config.Groups = append(d.config.Groups, &messages.Group{Id: uint64(g), Nodes: []uint64{1, 2, 3}})
	}
	d.b.setConfig(d.config)
	return d
}

// heard lets nodes tell of their replicas, node 2 being the leader of all.
func (d *draining) heard(nodes ...uint64) *draining {
	for _, node := range nodes {
		status := &messages.NodeStatus{Node: node}
		for g, members := range d.members {
			r := voters(uint64(g), 2, 1, 9, members...)
			r.ConfDurable = true
			if node == 1 {
				d.b.setReplica(r)
			}
			status.Replicas = append(status.Replicas, r)
		}
		if node != 1 {
			d.b.setOther(status)
		}
	}
	return d
}

func (d *draining) leaves(groups ...int) *draining {
	for _, g := range groups {
		d.members[g] = []uint64{1, 2, 3}
	}
	return d
}

func (d *draining) passes(time time.Duration) *draining { d.now += time; return d }

func (d *draining) is() drainStatus { return *d.b.snapshot().drainStatus(d.config.Nodes[0]) }

// How long a drain takes is told by the clock of the node that is asked, from when it knew for sure how much was left.
func TestDrainTellsWhatItKnows(t *testing.T) {
	unknown := drainStatus{Percent: -1, ETASeconds: -1}
	d := newDraining()
	require.Equal(t, unknown, d.is(), "nobody is heard")
	require.Equal(t, unknown, d.heard(1, 3).is(), "no leader is heard")
	require.Equal(t, drainStatus{0, -1}, d.heard(2).is())
	require.Equal(t, drainStatus{0, -1}, d.passes(10*time.Second).heard(1, 2, 3).is(), "nothing has moved")
	require.Equal(t, drainStatus{33, 20}, d.leaves(0).heard(1, 2, 3).is(), "one of three in ten seconds")
	require.Equal(t, drainStatus{66, 10}, d.passes(10*time.Second).leaves(1).heard(1, 2, 3).is())
	require.Equal(t, unknown, d.passes(aliveTimeout).heard(1, 3).is(), "the leaders are silent")
	require.Equal(t, drainStatus{66, 11}, d.heard(2).is())
	require.Equal(t, drainStatus{100, 0}, d.leaves(2).heard(1, 2, 3).is())

	d.config = proto.Clone(d.config).(*messages.Config)
	d.config.Nodes[0].State = messages.NodeState_ACTIVE
	d.b.setConfig(d.config)
	require.Nil(t, d.b.snapshot().drainStatus(d.config.Nodes[0]))
	require.Empty(t, d.b.snapshot().drains)
}

// A node that starts in the middle of a drain counts from what was left then, and not before it has heard enough: what one
// voter tells is less than the group knows.
func TestDrainSeenFromTheMiddle(t *testing.T) {
	d := newDraining().leaves(0)
	require.Equal(t, drainStatus{-1, -1}, d.heard(2).is(), "one of three is sure, the others might be")
	require.Equal(t, drainStatus{33, -1}, d.passes(time.Second).heard(1, 2).is())
	require.Equal(t, drainStatus{66, 30}, d.passes(30*time.Second).leaves(1).heard(1, 2).is(), "one of the two that were left")

	d.config = proto.Clone(d.config).(*messages.Config)
	d.config.Nodes[0].StateSinceMs = 9
	d.b.setConfig(d.config)
	require.Equal(t, drainStatus{66, -1}, d.is(), "it is another drain")
}

// A group whose voters are all heard needs the node as long as most of them are not sure that it has left.
func TestDrainWaitsUntilMostAreSure(t *testing.T) {
	d := newDraining().leaves(0, 1, 2).heard(1, 2, 3)
	require.Equal(t, 100, d.is().Percent)
	for _, node := range []uint64{2, 3} {
		for _, r := range d.b.snapshot().others[messages.NodeID(node)].Replicas[:1] {
			r.ConfDurable = false
		}
	}
	require.Equal(t, 66, d.is().Percent)
}
