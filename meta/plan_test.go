package meta_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/meta"
	"github.com/eraft-io/eraft/meta/placement"
)

const mib = 1 << 20

// simCluster is a cluster as placement sees it: a config chain, and nodes that are alive or not.
type simCluster struct {
	*replica
	dead, lost map[uint64]bool
	full       map[uint64]bool
	moved      int // buckets, since the last look
	placed     int // replicas
	bytes      []uint64
}

func newSimCluster(t *testing.T, nodes int, b *messages.Bootstrap) *simCluster {
	c := &simCluster{replica: newReplica(t), dead: map[uint64]bool{}, lost: map[uint64]bool{}, full: map[uint64]bool{}}
	b.ClusterId, b.Node = 1, nodeInfo(1)
	require.Equal(t, messages.Code_OK, c.do(&messages.MetaCommand{Op: &messages.MetaCommand_Bootstrap{Bootstrap: b}}).Code)
	for n := 2; n <= nodes; n++ {
		require.Equal(t, messages.Code_OK, c.do(add(nodeInfo(uint64(n)))).Code)
	}
	return c
}

func (c *simCluster) alive(id uint64) bool { return !c.dead[id] }

func (c *simCluster) state() placement.ClusterState {
	return placement.ClusterState{
		Alive: c.alive, Lost: func(id uint64) bool { return c.lost[id] }, Full: func(id uint64) bool { return c.full[id] }, BucketBytes: c.bytes,
	}
}

func (c *simCluster) node(id uint64) *messages.Node { return c.config().Nodes[id-1] }

func (c *simCluster) eligible(id uint64) bool {
	return !c.node(id).Removed && c.node(id).State == messages.NodeState_ACTIVE
}

func (c *simCluster) hasQuorum(g *messages.Group) bool {
	living := 0
	for _, n := range g.Nodes {
		if c.alive(n) && !c.node(n).Removed {
			living++
		}
	}
	return 2*living > len(g.Nodes)
}

// spares tells whether every group works.
func (c *simCluster) spareNodes() bool {
	return !slices.ContainsFunc(c.config().Groups, func(g *messages.Group) bool { return len(g.Nodes) > 0 && !c.hasQuorum(g) })
}

// settle takes all steps of placement until there is none, and checks each.
func (c *simCluster) settle(fatal func(string, ...any)) {
	bound := 100 + 4*len(c.config().Owners) + 20*len(c.config().Groups)
	for steps := 0; ; steps++ {
		if steps > bound {
			fatal("no fixed point after %d steps: %s", steps, c.config().Change)
			return
		}
		before := c.config()
		plan := placement.Plan(before, c.state())
		if len(plan) == 0 {
			if len(before.MovesPending) == 0 {
				return
			}
			c.do(c.replica.completeAll())
			continue
		}
		if r := c.do(plan[0]); r.Code != messages.Code_OK {
			fatal("%v is refused: %s", plan[0], r.Text)
			return
		}
		c.check(before, c.config(), fatal)
	}
}

// check is what no step of placement may do.
func (c *simCluster) check(before, after *messages.Config, fatal func(string, ...any)) {
	if after.Version != before.Version+1 {
		fatal("a step that changes nothing")
	}
	for _, g := range after.Groups {
		i := slices.IndexFunc(before.Groups, func(old *messages.Group) bool { return old.Id == g.Id })
		if i < 0 {
			continue
		}
		old := before.Groups[i]
		if c.hasQuorum(old) && len(g.Nodes) > 0 && !c.hasQuorum(g) {
			fatal("group %d goes from %v to %v, without a quorum", g.Id, old.Nodes, g.Nodes)
		}
		for j, n := range g.Nodes {
			if slices.Contains(g.Nodes[:j], n) {
				fatal("group %d is on %v", g.Id, g.Nodes)
			}
			if !slices.Contains(old.Nodes, n) {
				c.placed++
				if !c.eligible(n) || !c.alive(n) || c.full[n] && old.Nodes != nil {
					fatal("group %d gets node %d", g.Id, n)
				}
			}
		}
	}
	for b, owner := range after.Owners {
		if owner != before.Owners[b] && before.Owners[b] != 0 {
			c.moved++
			for _, g := range after.Groups {
				if g.Id == owner && slices.ContainsFunc(g.Nodes, func(n uint64) bool { return c.full[n] }) {
					fatal("bucket %d goes to group %d on %v, where a disk is full", b, owner, g.Nodes)
				}
			}
		}
		if i := slices.IndexFunc(after.Groups, func(g *messages.Group) bool { return g.Id == owner }); owner != 0 && len(after.Groups[i].Nodes) == 0 {
			fatal("bucket %d is in group %d, which has no replicas", b, owner)
		}
	}
}

// fixed is what must hold when placement has nothing to do and all nodes live.
func (c *simCluster) checkStable(fatal func(string, ...any)) {
	config, members, stay := c.config(), 0, 0
	for _, n := range config.Nodes {
		if !n.Removed {
			stay++
		}
		if c.eligible(n.Id) {
			members++
		}
	}
	load, leads, count := map[uint64]int{}, map[uint64]int{}, map[uint64]int{}
	groups := 0
	for _, g := range config.Groups {
		for _, n := range g.Nodes {
			if load[n]++; !c.eligible(n) {
				fatal("group %d is on node %d, which goes", g.Id, n)
			}
		}
		if g.Id == 0 || g.Left {
			continue
		}
		groups++
		leads[g.Nodes[0]]++
		if len(g.Nodes) != min(members, int(config.Replicas)) {
			fatal("group %d is on %v of %d nodes", g.Id, g.Nodes, members)
		}
	}
	for _, owner := range config.Owners {
		count[owner]++
	}
	if want := min(stay, len(config.Owners)); groups != want {
		fatal("%d groups for %d nodes", groups, stay)
	}
	uneven := func(of map[uint64]int, keys []uint64) bool {
		low, high := 1<<30, 0
		for _, k := range keys {
			low, high = min(low, of[k]), max(high, of[k])
		}
		return high-low > 1
	}
	var nodes, ids []uint64
	for _, n := range config.Nodes {
		if c.eligible(n.Id) {
			nodes = append(nodes, n.Id)
		}
	}
	for _, g := range config.Groups {
		if g.Id != 0 && !g.Left {
			ids = append(ids, g.Id)
		}
	}
	if uneven(load, nodes) || uneven(count, ids) {
		fatal("uneven: replicas %v, buckets %v", load, count)
	}
	for _, g := range config.Groups {
		for _, n := range g.Nodes {
			if g.Id != 0 && !g.Left && leads[g.Nodes[0]] > leads[n]+1 {
				fatal("group %d should be led by %d: %v", g.Id, n, leads)
			}
		}
	}
}

// From whatever operators and accidents make of a cluster, placement comes to an end, breaks nothing on the way, and all
// is even then. A node that restarts makes it do nothing.
func TestPlacementFindsItsEnd(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		c := newSimCluster(t, 3, &messages.Bootstrap{
			Buckets: rapid.Uint32Range(1, 40).Draw(rt, "buckets"), Replicas: rapid.Uint32Range(1, 5).Draw(rt, "replicas"), Expect: 3,
		})
		c.settle(rt.Fatalf)
		for range rapid.IntRange(1, 12).Draw(rt, "events") {
			id := rapid.Uint64Range(1, uint64(len(c.config().Nodes))).Draw(rt, "node")
			switch rapid.IntRange(0, 8).Draw(rt, "event") {
			case 0, 1:
				c.do(add(nodeInfo(uint64(len(c.config().Nodes) + 1))))
			case 2:
				c.do(state(id, messages.NodeState_DRAINING))
			case 3:
				c.do(state(id, messages.NodeState_ACTIVE))
			case 4:
				c.dead[id] = true
			case 5:
				c.dead[id], c.lost[id] = false, false
			case 6:
				c.lost[id] = c.dead[id]
			case 8:
				c.full[id] = !c.full[id]
			case 7:
				if c.dead[id] && c.spareNodes() { // a node's leader refuses it otherwise
					c.do(remove(id))
				}
			}
			if rapid.Bool().Draw(rt, "in peace") {
				c.settle(rt.Fatalf)
			}
		}
		c.dead, c.lost, c.full = map[uint64]bool{}, map[uint64]bool{}, map[uint64]bool{}
		c.settle(rt.Fatalf)
		c.checkStable(rt.Fatalf)
		for _, n := range c.config().Nodes {
			c.dead = map[uint64]bool{n.Id: true}
			if plan := placement.Plan(c.config(), c.state()); len(plan) > 0 {
				rt.Fatalf("node %d restarts, and placement wants %v", n.Id, plan[0])
			}
		}
	})
}

func TestBootstrap(t *testing.T) {
	c := newSimCluster(t, 1, &messages.Bootstrap{Buckets: 16, Groups: 2, Replicas: 3, Expect: 3})
	require.Empty(t, placement.Plan(c.config(), c.state()))
	c.do(add(nodeInfo(2)))
	c.do(add(nodeInfo(3)))
	c.settle(t.Fatalf)
	require.Equal(t, []uint64{1, 2, 3}, c.config().Groups[0].Nodes)
	require.Len(t, c.config().Groups, 3)
	require.Empty(t, placement.Unowned(c.config()))
	require.Equal(t, []uint64{2, 3, 1}, c.config().Groups[2].Nodes, "preferred leaders are spread")
	require.Contains(t, c.config().Change, "arrived")
}

// A node whose disk is full gets nothing new, but gives buckets to others that have room; one that is full at bootstrap serves.
func TestFullNodesGetNothing(t *testing.T) {
	c := newSimCluster(t, 3, &messages.Bootstrap{Buckets: 30, Replicas: 3, Expect: 3})
	c.full[3] = true
	c.settle(t.Fatalf)
	require.Empty(t, placement.Unowned(c.config()))
	c.moved, c.placed = 0, 0
	c.do(add(nodeInfo(4)))
	c.full[4] = true
	c.settle(t.Fatalf)
	require.Zero(t, c.moved+c.placed)

	c.do(add(nodeInfo(5)))
	c.do(add(nodeInfo(6)))
	c.full[1], c.full[2], c.full[4] = true, true, false
	c.settle(t.Fatalf)
	require.Positive(t, c.moved, "from nodes that are full to those that have joined")
	clear(c.full)
	c.settle(t.Fatalf)
	c.checkStable(t.Fatalf)
}

// A fourth node gets its share with the fewest moves, and gives it back the same way.
func TestJoinAndDrainMoveTheMinimum(t *testing.T) {
	c := newSimCluster(t, 3, &messages.Bootstrap{Buckets: 256, Replicas: 3, Expect: 3})
	c.settle(t.Fatalf)
	require.Zero(t, c.moved)
	c.placed = 0
	c.do(add(nodeInfo(4)))
	c.settle(t.Fatalf)
	c.checkStable(t.Fatalf)
	require.Equal(t, 64, c.moved, "a quarter")
	require.Equal(t, 2, c.placed, "beside the three of the new group")
	c.moved, c.placed = 0, 0
	c.do(state(4, messages.NodeState_DRAINING))
	require.Equal(t, "drain node 4 (n4)", c.config().Change)
	c.settle(t.Fatalf)
	c.checkStable(t.Fatalf)
	require.Zero(t, c.moved, "the groups stay")
	require.Equal(t, 3, c.placed, "those that were on it")
	c.do(remove(4))
	c.settle(t.Fatalf)
	c.checkStable(t.Fatalf)
	require.Equal(t, 64, c.moved)
	require.Equal(t, 3, c.placed)
}

// Buckets that are heavy change places with light ones when all else is at rest, one exchange at a time; a join that comes
// later still moves no more buckets than it must.
func TestBytesAreEvenedOut(t *testing.T) {
	c := newSimCluster(t, 3, &messages.Bootstrap{Buckets: 48, Replicas: 3, Expect: 3})
	c.settle(t.Fatalf)
	c.bytes = make([]uint64, 48)
	heavy := 0
	for b, owner := range c.config().Owners {
		if c.bytes[b] = mib; owner == 2 && heavy < 6 {
			c.bytes[b], heavy = 300*mib, heavy+1
		}
	}
	plan := placement.Plan(c.config(), c.state())
	require.Len(t, plan, 1)
	require.Equal(t, "groups have unequal numbers of bytes", plan[0].Reason)
	require.LessOrEqual(t, len(plan[0].GetPlace().Moves), 2)
	c.settle(t.Fatalf)
	c.checkStable(t.Fatalf)
	require.Equal(t, 8, c.moved, "four of six go, each for a light one")
	sum := map[uint64]uint64{}
	for b, owner := range c.config().Owners {
		sum[owner] += c.bytes[b]
	}
	require.Equal(t, map[uint64]uint64{1: 614 * mib, 2: 614 * mib, 3: 614 * mib}, sum)
	c.moved = 0
	c.do(add(nodeInfo(4)))
	c.settle(t.Fatalf)
	c.checkStable(t.Fatalf)
	require.Equal(t, 12, c.moved, "a quarter")
}

// Nothing is made for a node that has just joined before it is heard: it would be moved there afterwards.
func TestJoinMovesTheMinimumHoweverLateItIsHeard(t *testing.T) {
	c := newSimCluster(t, 3, &messages.Bootstrap{Buckets: 256, Replicas: 3, Expect: 3})
	c.settle(t.Fatalf)
	c.placed = 0
	c.dead[4] = true
	c.do(add(nodeInfo(4)))
	require.Empty(t, placement.Plan(c.config(), c.state()))
	c.dead[4], c.dead[2] = false, true
	c.settle(t.Fatalf)
	c.dead[2] = false
	c.settle(t.Fatalf)
	c.checkStable(t.Fatalf)
	require.Equal(t, 64, c.moved)
	require.Equal(t, 2, c.placed, "beside the three of the new group")

	c.dead[5], c.lost[5] = true, true
	c.do(add(nodeInfo(5)))
	c.settle(t.Fatalf)
	require.Equal(t, messages.NodeState_LOST, c.node(5).State)
	require.Len(t, c.config().Groups, 6, "one that is never heard is not awaited for ever")
}

// A drain makes and ends no groups: it may be taken back. They go with the node.
func TestDrainKeepsGroups(t *testing.T) {
	c := newSimCluster(t, 5, &messages.Bootstrap{Buckets: 100, Replicas: 3, Expect: 5})
	c.settle(t.Fatalf)
	before := c.config()
	c.do(state(5, messages.NodeState_DRAINING))
	c.settle(t.Fatalf)
	c.checkStable(t.Fatalf)
	c.do(state(5, messages.NodeState_ACTIVE))
	c.settle(t.Fatalf)
	c.checkStable(t.Fatalf)
	require.Zero(t, c.moved, "buckets")
	require.Len(t, c.config().Groups, len(before.Groups))
	c.do(state(5, messages.NodeState_DRAINING))
	c.settle(t.Fatalf)
	c.do(remove(5))
	c.settle(t.Fatalf)
	c.checkStable(t.Fatalf)
	require.Equal(t, 20, c.moved, "those of the group that is too much")
}

// Steps come a few at a time, and say why.
func TestStepsAreFewAndSayWhy(t *testing.T) {
	c := newSimCluster(t, 3, &messages.Bootstrap{Buckets: 256, Replicas: 3, Expect: 3})
	c.settle(t.Fatalf)
	c.do(add(nodeInfo(4)))
	for range 100 {
		plan := placement.Plan(c.config(), c.state())
		if len(plan) == 0 {
			break
		}
		c.do(plan[0])
		require.Contains(t, c.config().Change, ": "+plan[0].Reason)
		require.LessOrEqual(t, len(c.config().MovesPending), 16)
	}
	require.NotEmpty(t, c.config().MovesPending)
	unsettled := c.state()
	unsettled.Settled = func(uint64) bool { return false }
	c.do(state(1, messages.NodeState_DRAINING))
	for range 20 {
		for _, step := range placement.Plan(c.config(), unsettled) {
			c.do(step)
		}
	}
	for _, g := range c.config().Groups[1:] {
		require.NotEqual(t, uint64(1), g.Nodes[0], "leaders move at once")
	}
	steps := meta.Simulate(c.config(), c.state(), 1000)
	require.NotEmpty(t, steps)
	for _, s := range steps {
		require.NotEmpty(t, s.Reason, "%v", s)
		require.NotEmpty(t, s.What)
	}
	require.Len(t, meta.Simulate(c.config(), c.state(), 2), 2)
}

// Paused it does nothing; a rebalance then runs it once.
func TestPausedPlacement(t *testing.T) {
	c := newSimCluster(t, 3, &messages.Bootstrap{Buckets: 30, Replicas: 3, Expect: 3})
	c.settle(t.Fatalf)
	pause := func(p messages.Placement) *messages.MetaCommand {
		return &messages.MetaCommand{Op: &messages.MetaCommand_SetPlacement{SetPlacement: &messages.SetPlacement{Placement: p}}}
	}
	rebalance := &messages.MetaCommand{Op: &messages.MetaCommand_Rebalance{Rebalance: &messages.Rebalance{}}}
	c.do(pause(messages.Placement_PAUSED))
	c.do(add(nodeInfo(4)))
	require.Empty(t, placement.Plan(c.config(), c.state()))
	require.NotEmpty(t, meta.Simulate(c.config(), c.state(), 1000), "a plan can be had all the same")
	c.do(rebalance)
	c.settle(t.Fatalf)
	c.checkStable(t.Fatalf)
	require.Equal(t, messages.Placement_PAUSED, c.config().Placement)
	c.do(pause(messages.Placement_AUTOMATIC))
	require.Equal(t, "resume placement", c.config().Change)
	before := c.config().Version
	c.do(rebalance)
	require.Equal(t, before, c.config().Version, "nothing to do makes no version")
}

// What an operator moved stays until a rebalance; the number of groups that he made stays as well.
func TestPlacementRespectsOperators(t *testing.T) {
	c := newSimCluster(t, 3, &messages.Bootstrap{Buckets: 30, Replicas: 3, Expect: 3})
	c.settle(t.Fatalf)
	c.do(move(0, 29, 2))
	c.settle(t.Fatalf)
	require.NotContains(t, c.config().Owners, uint64(1))
	c.do(&messages.MetaCommand{Op: &messages.MetaCommand_Rebalance{Rebalance: &messages.Rebalance{}}})
	c.settle(t.Fatalf)
	c.checkStable(t.Fatalf)
	c.do(join(7, 1, 2, 3))
	c.do(c.replica.completeAll())
	c.do(add(nodeInfo(4)))
	c.settle(t.Fatalf)
	require.Len(t, c.config().Groups, 5)
	c.do(leave(7))
	c.settle(t.Fatalf)
	require.Equal(t, messages.Code_OK, c.do(leave(1)).Code)
	c.settle(t.Fatalf)
	for _, g := range c.config().Groups {
		require.Equal(t, g.Id == 7 || g.Id == 1, len(g.Nodes) == 0, "group %d on %v", g.Id, g.Nodes)
	}
}

// A dead node's replicas go elsewhere when it is removed or lost, and stay where they are as long as there is no elsewhere.
func TestDeadNodesAreReplaced(t *testing.T) {
	c := newSimCluster(t, 3, &messages.Bootstrap{Buckets: 12, Replicas: 3, Expect: 3})
	c.settle(t.Fatalf)
	c.dead[3], c.lost[3] = true, true
	c.settle(t.Fatalf)
	require.Equal(t, messages.NodeState_LOST, c.node(3).State)
	for _, g := range c.config().Groups {
		require.Contains(t, g.Nodes, uint64(3), "group %d", g.Id)
	}
	c.do(add(nodeInfo(4)))
	c.settle(t.Fatalf)
	for _, g := range c.config().Groups {
		require.NotContains(t, g.Nodes, uint64(3), "group %d", g.Id)
		if g.Id <= 3 {
			require.Len(t, g.Nodes, 3)
		}
	}
	c.dead[3], c.lost[3] = false, false
	c.settle(t.Fatalf)
	require.Equal(t, messages.NodeState_ACTIVE, c.node(3).State)
	c.checkStable(t.Fatalf)

	again := nodeInfo(3)
	again.DirectoryToken = 77
	require.Equal(t, messages.Code_CONFLICT, c.do(add(again)).Code, "it was asked before node 3 was there, and comes late")
	again.Replaces = 3
	require.Equal(t, messages.Code_OK, c.do(add(again)).Code)
	require.Equal(t, "add node 5 (n3) in place of node 3", c.config().Change)
	require.Equal(t, messages.Code_CONFLICT, c.do(add(nodeInfo(3))).Code, "its old disk is of no use any more")
	c.settle(t.Fatalf)
	c.checkStable(t.Fatalf)
}

func TestMetaGrowsAndShrinks(t *testing.T) {
	c := newSimCluster(t, 3, &messages.Bootstrap{Buckets: 12, Replicas: 3, Expect: 3})
	for n, want := range map[uint64]int{3: 3, 6: 3, 7: 5, 9: 5} {
		for uint64(len(c.config().Nodes)) < n {
			c.do(add(nodeInfo(uint64(len(c.config().Nodes) + 1))))
		}
		for _, node := range c.config().Nodes {
			s := messages.NodeState_ACTIVE
			if node.Id > n {
				s = messages.NodeState_DRAINING
			}
			c.do(state(node.Id, s))
		}
		c.settle(t.Fatalf)
		require.Len(t, c.config().Groups[0].Nodes, want, "%d nodes", n)
	}
	require.Equal(t, messages.Code_OK, c.do(state(2, messages.NodeState_DRAINING)).Code)
}

func TestLastNodesStay(t *testing.T) {
	c := newSimCluster(t, 2, &messages.Bootstrap{Buckets: 12, Replicas: 1, Expect: 2})
	c.settle(t.Fatalf)
	require.Equal(t, messages.Code_CONFLICT, c.do(remove(2)).Code, "group 2 is only there")
	require.Equal(t, messages.Code_OK, c.do(state(1, messages.NodeState_DRAINING)).Code)
	refused := c.do(state(2, messages.NodeState_DRAINING))
	require.Equal(t, messages.Code_CONFLICT, refused.Code)
	require.Contains(t, refused.Text, "let another node join first")
	c.settle(t.Fatalf)
	c.checkStable(t.Fatalf)
	require.Equal(t, messages.Code_OK, c.do(remove(1)).Code)
}

// Replicas of a group are spread over zones, as soon as there are enough.
func TestZones(t *testing.T) {
	c := newSimCluster(t, 1, &messages.Bootstrap{Buckets: 12, Replicas: 3, Expect: 6})
	labels := func(n uint64, zone string) *messages.AddNode {
		a := nodeInfo(n)
		a.Labels = []string{"rack=7", "zone=" + zone}
		return a
	}
	c.do(add(labels(1, "a")))
	for n := uint64(2); n <= 6; n++ {
		require.Equal(t, messages.Code_OK, c.do(add(labels(n, string('a'+rune(n-1)/2)))).Code)
	}
	c.settle(t.Fatalf)
	c.checkStable(t.Fatalf)
	for _, g := range c.config().Groups {
		zones := map[uint64]bool{}
		for _, n := range g.Nodes {
			zones[(n-1)/2] = true
		}
		require.Len(t, zones, 3, "group %d on %v", g.Id, g.Nodes)
	}
	r := c.do(add(nodeInfo(7)))
	require.Equal(t, messages.Code_INVALID, r.Code)
	require.Contains(t, r.Text, "--labels zone=")
	for _, bad := range [][]string{{"zone"}, {"zone=a b"}, {"zone=a", "zone=b"}, {"b=1", "a=1"}, {fmt.Sprintf("%0200d=1", 1)}, make([]string, 20)} {
		require.Error(t, placement.CheckLabels(bad), "%v", bad)
	}
}
