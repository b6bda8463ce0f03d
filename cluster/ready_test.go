package cluster

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/persistence"
)

// A replica is near its leader when it has what the leader had committed a moment ago, however fast that grows.
func TestCatchUp(t *testing.T) {
	var p catchUp
	at := func(seconds int) time.Duration { return time.Duration(seconds) * time.Second }
	p.observe(at(0), 100, 3788, true)
	require.True(t, p.behind(at(0)), "it has just started, with entries to come")
	p.observe(at(1), 2000, 5000, true)
	require.True(t, p.behind(at(1)))
	p.observe(at(2), 6000, 6000, true)
	require.False(t, p.behind(at(2)))
	for s := range 20 { // under load it never has all, but always what there was a second ago
		p.observe(at(3+s), 6500+uint64(s)*1000, 7000+uint64(s)*1000, true)
		require.False(t, p.behind(at(3+s)))
	}
	p.observe(at(30), 30000, 90000, true)
	p.observe(at(36), 31000, 95000, true)
	require.True(t, p.behind(at(36)), "what it lacks is old")
	p.observe(at(37), 95000, 95000, true)
	require.False(t, p.behind(at(37)))
	p.observe(at(60), 95000, 0, false)
	require.False(t, p.behind(at(60)), "without a leader nothing is old")
}

func replicaAt(group, leader, commit, applied uint64, voters ...uint64) *messages.ReplicaStatus {
	return &messages.ReplicaStatus{Group: group, Leader: leader, Term: 3, Commit: commit, Applied: applied, Conf: &messages.ConfState{Voters: voters}}
}

// oneOfThree is the board of node 1, which has replicas of groups 0 and 7 beside nodes 2 and 3.
func oneOfThree(now *time.Duration) *statusBoard {
	b := newStatusBoard(func() time.Duration { return *now })
	b.setIdentity(persistence.Identity{Cluster: 1, Node: 1})
	b.setConfig(&messages.Config{
		Version: 9, Owners: []uint64{7},
		Nodes:  []*messages.Node{{Id: 1, Name: "n1"}, {Id: 2, Name: "n2"}, {Id: 3, Name: "n3"}, {Id: 4, Name: "n4"}},
		Groups: []*messages.Group{{Id: 0, Nodes: []uint64{1, 2, 3}}, {Id: 7, Nodes: []uint64{1, 2, 3}}},
	})
	return b
}

// A node that was started again is ready when its replicas have caught up, not when it knows who leads.
func TestReadyMeansCaughtUp(t *testing.T) {
	now := 100 * time.Second
	b := oneOfThree(&now)
	b.setReplica(replicaAt(0, 2, 50, 50, 1, 2, 3))
	b.setReplica(replicaAt(7, 2, 100, 100, 1, 2, 3))
	require.Equal(t, []string{
		"replica: that of group 0 has not heard of its leader how far it is", "replica: that of group 7 has not heard of its leader how far it is",
	}, failing(b.snapshot()))
	tell := func(commit uint64) {
		b.setOther(&messages.NodeStatus{Node: 2, Replicas: []*messages.ReplicaStatus{replicaAt(0, 2, 50, 50, 1, 2, 3), replicaAt(7, 2, commit, commit, 1, 2, 3)}})
	}
	tell(3788)
	require.Equal(t, []string{"replica: that of group 7 is 3688 entries behind its leader"}, failing(b.snapshot()))
	b.setReplica(replicaAt(7, 2, 3788, 3788, 1, 2, 3))
	require.Empty(t, failing(b.snapshot()))

	// From here on the node serves: under load it lags a little, and gets further replicas.
	now += time.Second
	tell(5000)
	require.Empty(t, failing(b.snapshot()))
	config := proto.Clone(b.snapshot().config).(*messages.Config)
	config.Groups = append(config.Groups, &messages.Group{Id: 8, Nodes: []uint64{1, 2, 3}})
	b.setConfig(config)
	require.Empty(t, failing(b.snapshot()))
	b.setReplica(replicaAt(8, 2, 0, 0))
	require.Empty(t, failing(b.snapshot()))

	now += 2 * time.Second
	tell(9000)
	now += maxLag
	tell(12000)
	require.Equal(t, []string{"replica: that of group 7 is 8212 entries behind its leader"}, failing(b.snapshot()), "what it lacks is old")
}

// A replica that is to be made here, or is no voter yet, cannot stand in for another one.
func TestReadyNeedsVoters(t *testing.T) {
	now := 100 * time.Second
	b := oneOfThree(&now)
	b.setReplica(replicaAt(0, 2, 50, 50, 1, 2, 3))
	b.setOther(&messages.NodeStatus{Node: 2, Replicas: []*messages.ReplicaStatus{replicaAt(0, 2, 50, 50, 1, 2, 3), replicaAt(7, 2, 9, 9, 2, 3, 4)}})
	require.Contains(t, failing(b.snapshot()), "replica: that of group 7 is being brought up here")
	b.setReplica(replicaAt(7, 2, 9, 9, 2, 3, 4))
	require.Contains(t, failing(b.snapshot()), "replica: that of group 7 is being brought up here")
	b.setOther(&messages.NodeStatus{Node: 2, Replicas: []*messages.ReplicaStatus{replicaAt(0, 2, 50, 50, 1, 2, 3), replicaAt(7, 2, 9, 9, 1, 2, 3)}})
	require.Empty(t, failing(b.snapshot()))
}

// Leadership goes to a voter that can serve, if there is one.
func TestTransfereeCanServe(t *testing.T) {
	now := 100 * time.Second
	of := func(node, applied uint64, behind []uint64, stalled bool) *messages.NodeStatus {
		r := replicaAt(7, 1, 100, applied, 1, 2, 3)
		r.DiskStalled = stalled
		return &messages.NodeStatus{Node: node, Replicas: []*messages.ReplicaStatus{r}, LaggingGroups: behind}
	}
	for name, c := range map[string]struct {
		others []*messages.NodeStatus
		heir   messages.NodeID
		able   bool
	}{
		"most of the data":           {[]*messages.NodeStatus{of(2, 90, nil, false), of(3, 95, nil, false)}, 3, true},
		"not one that lags":          {[]*messages.NodeStatus{of(2, 90, nil, false), of(3, 95, []uint64{7}, false)}, 2, true},
		"another group's lag":        {[]*messages.NodeStatus{of(2, 90, nil, false), of(3, 95, []uint64{8}, false)}, 3, true},
		"not one without its disk":   {[]*messages.NodeStatus{of(2, 90, nil, false), of(3, 95, nil, true)}, 2, true},
		"the best of those that lag": {[]*messages.NodeStatus{of(2, 90, []uint64{7}, false), of(3, 95, []uint64{7}, false)}, 3, false},
		"no voter":                   {[]*messages.NodeStatus{of(4, 100, nil, false)}, 0, false},
		"nobody is heard":            {nil, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			b := oneOfThree(&now)
			b.setReplica(replicaAt(7, 1, 100, 100, 1, 2, 3))
			for _, other := range c.others {
				b.setOther(other)
			}
			heir, able := b.snapshot().transferee(7)
			require.Equal(t, c.heir, heir)
			require.Equal(t, c.able, able)
		})
	}
}
