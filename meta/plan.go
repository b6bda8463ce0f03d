package meta

import (
	"cmp"
	"fmt"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/messages"
)

// Seen is what the meta leader sees of nodes and groups right now. It never enters the log: it only tells which steps are
// worth a try, and none of them is unsafe if it is wrong.
type ClusterState struct {
	Alive       func(node uint64) bool  // heard of lately: who is not gets nothing new
	Full        func(node uint64) bool  // its disk has no room for more data: likewise; nil: nobody's
	Lost        func(node uint64) bool  // silent for so long that others shall get what it has; nil: nobody
	Settled     func(group uint64) bool // its members are those that the config wants; nil: all are
	BucketBytes []uint64                // of each bucket, roughly; nil: not known
	UnevenBytes uint64                  // bytes by which two groups may differ; 0: 64 MiB
}

// At once there are at most so many groups with members on the way, and so many buckets.
const (
	maxGroupsMoving  = 2
	maxBucketsMoving = 16
)

// plan is one look at a config. Its rules are asked in an order in which no rule undoes what an earlier one has done, and
// each takes something that only it makes smaller: so a plan comes to an end.
type planner struct {
	config *messages.Config
	state  ClusterState
}

// Plan is what placement wants next, as commands to propose one after the other; empty when all is as it should be, or
// placement is paused, or what is under way must end first.
func Plan(config *messages.Config, seen ClusterState) []*messages.MetaCommand {
	if config.Placement == messages.Placement_PAUSED {
		return nil
	}
	if seen.Lost == nil {
		seen.Lost = func(uint64) bool { return false }
	}
	if seen.Full == nil {
		seen.Full = func(uint64) bool { return false }
	}
	if seen.Settled == nil {
		seen.Settled = func(uint64) bool { return true }
	}
	p := &planner{config: config, state: seen}
	for _, rule := range []func() []*messages.MetaCommand{
		p.markLostNodes, p.repairMeta, p.createFirstGroups, p.repair, p.releaseGroups, p.adjustGroups, p.spreadZones, p.spreadReplicas, p.spreadLeaders, p.balanceBuckets, p.finishOnce,
	} {
		if steps := rule(); len(steps) > 0 {
			for _, s := range steps {
				s.IfVersion = config.Version
			}
			return steps
		}
	}
	return nil
}

// Whole is everything that a rebalance would do from a config on, step by step, as if each step ended at once. most
// bounds how many steps.
func Simulate(config *messages.Config, seen ClusterState, most int) (steps []*messages.PlanStep) {
	config = proto.Clone(config).(*messages.Config)
	config.Pinned, config.MovesPending, config.Placement = nil, nil, messages.Placement_AUTOMATIC
	seen.Settled = nil
	for len(steps) < most {
		plan := Plan(config, seen)
		if len(plan) == 0 || Check(config, plan[0]) != nil {
			break
		}
		next := applyCommand(config, plan[0])
		next.Version++
		steps = append(steps, describe(config, plan[0])...)
		config = next
	}
	return steps[:min(len(steps), most)]
}

// describe says for people what a step does.
func describe(config *messages.Config, c *messages.MetaCommand) []*messages.PlanStep {
	step := func(what, from, to string) []*messages.PlanStep {
		return []*messages.PlanStep{{What: what, From: from, To: to, Reason: c.Reason}}
	}
	switch op := c.Op.(type) {
	case *messages.MetaCommand_SetReplicas:
		g := findGroup(config, op.SetReplicas.Group)
		what := fmt.Sprintf("replicas of group %d", g.Id)
		if sameNodes(g.Nodes, op.SetReplicas.Nodes) {
			what = fmt.Sprintf("leader of group %d", g.Id)
		}
		return step(what, fmt.Sprint(g.Nodes), fmt.Sprint(op.SetReplicas.Nodes))
	case *messages.MetaCommand_Join:
		var all []*messages.PlanStep
		for _, g := range op.Join.Groups {
			all = append(all, step(fmt.Sprintf("group %d", g.Group), "", fmt.Sprint(g.Nodes))...)
		}
		return all
	case *messages.MetaCommand_Leave:
		return step(fmt.Sprintf("group %d", op.Leave.Group), fmt.Sprint(findGroup(config, op.Leave.Group).Nodes), "")
	case *messages.MetaCommand_SetNode:
		n := findNode(config, op.SetNode.Node)
		return step(nodeTitle(n), n.State.String(), op.SetNode.State.String())
	case *messages.MetaCommand_Place:
		return describeMoves(op.Place.Moves, c.Reason)
	}
	return nil
}

func describeMoves(moves []*messages.BucketMove, why string) (all []*messages.PlanStep) {
	type way struct{ from, to uint64 }
	buckets := map[way][]uint32{}
	var order []way
	for _, m := range moves {
		w := way{m.From, m.To}
		if buckets[w] == nil {
			order = append(order, w)
		}
		buckets[w] = append(buckets[w], m.Bucket)
	}
	for _, w := range order {
		all = append(all, &messages.PlanStep{
			What: "buckets " + formatRanges(buckets[w]), From: fmt.Sprintf("group %d", w.from), To: fmt.Sprintf("group %d", w.to), Reason: why,
		})
	}
	return all
}

// states notes which nodes are lost, and which are back.
func (p *planner) markLostNodes() (steps []*messages.MetaCommand) {
	set := func(n *messages.Node, state messages.NodeState, why string) {
		steps = append(steps, &messages.MetaCommand{Reason: why, Op: &messages.MetaCommand_SetNode{
			SetNode: &messages.SetNode{Node: n.Id, State: state},
		}})
	}
	for _, n := range p.config.Nodes {
		switch {
		case n.Removed:
		case n.State == messages.NodeState_ACTIVE && p.state.Lost(n.Id):
			set(n, messages.NodeState_LOST, "it is silent for too long")
		case n.State == messages.NodeState_LOST && p.state.Alive(n.Id):
			set(n, messages.NodeState_ACTIVE, "it is heard again")
		}
	}
	return steps
}

// createFirstGroups makes all groups at once, when the nodes that were awaited at birth are in.
func (p *planner) createFirstGroups() []*messages.MetaCommand {
	nodes := p.liveNodes()
	if len(p.config.Groups) > 1 || len(nodes) < int(p.config.BootstrapExpect) || len(nodes) == 0 {
		return nil
	}
	j := new(messages.JoinGroups)
	replicas := min(int(p.config.Replicas), len(nodes))
	for g := range p.targetGroups() {
		n := &messages.NewGroup{Group: uint64(g + 1)}
		for r := range replicas {
			n.Nodes = append(n.Nodes, nodes[(g+r)%len(nodes)])
		}
		j.Groups = append(j.Groups, n)
	}
	return []*messages.MetaCommand{{Reason: "all awaited nodes are in", Op: &messages.MetaCommand_Join{Join: j}}}
}

// targetGroups is how many shard groups there should be.
func (p *planner) targetGroups() int {
	if p.config.TargetGroups != 0 {
		return int(p.config.TargetGroups)
	}
	return max(1, min(p.nodeCount(), len(p.config.Owners)))
}

// nodes counts those that are not removed. One that is drained may be taken back: until it goes for good, it is no reason to
// move buckets.
func (p *planner) nodeCount() (count int) {
	for _, n := range p.config.Nodes {
		if !n.Removed {
			count++
		}
	}
	return count
}

// members counts the nodes that are meant to stay: lost ones may come back.
func (p *planner) memberCount() (count int) {
	for _, n := range p.config.Nodes {
		if !n.Removed && n.State != messages.NodeState_DRAINING {
			count++
		}
	}
	return count
}

// takers are the nodes that may get something new, by id.
func (p *planner) eligibleNodes() []uint64 { return slices.DeleteFunc(p.liveNodes(), p.state.Full) }

// heard are the nodes that are meant to stay and live, by id.
func (p *planner) liveNodes() (all []uint64) {
	for _, n := range p.config.Nodes {
		if acceptsReplicas(n) && p.state.Alive(n.Id) {
			all = append(all, n.Id)
		}
	}
	return all
}

// groups makes a group that is missing, or ends one that is too much and has no bucket any more.
func (p *planner) adjustGroups() []*messages.MetaCommand {
	have, wanted := activeGroups(p.config), p.targetGroups()
	why := fmt.Sprintf("%d groups for %d nodes", wanted, p.nodeCount())
	switch {
	case len(have) == 0:
	case len(have) < wanted:
		nodes := p.newGroupNodes()
		if len(nodes) == 0 {
			return nil
		}
		id := p.config.Groups[len(p.config.Groups)-1].Id + 1
		return []*messages.MetaCommand{{Reason: why, Op: &messages.MetaCommand_Join{
			Join: &messages.JoinGroups{Groups: []*messages.NewGroup{{Group: id, Nodes: nodes}}},
		}}}
	case len(have) > wanted && len(p.fullGroups(have[:wanted])) == 0: // the others even out what they have then
		for _, g := range have[wanted:] {
			if !slices.Contains(p.config.Owners, g) {
				return []*messages.MetaCommand{{Reason: why, Op: &messages.MetaCommand_Leave{Leave: &messages.LeaveGroup{Group: g}}}}
			}
		}
	}
	return nil
}

// end takes the nodes from groups that nobody needs any more.
func (p *planner) releaseGroups() []*messages.MetaCommand {
	for _, g := range p.config.Groups {
		if len(g.Nodes) > 0 && unneeded(p.config, g) {
			return []*messages.MetaCommand{setReplicasCommand(g, nil, "its buckets have arrived elsewhere")}
		}
	}
	return nil
}

// buckets moves buckets off groups that are too much, evens out how many each group has, and then how many bytes.
func (p *planner) balanceBuckets() []*messages.MetaCommand {
	have := activeGroups(p.config)
	keep := slices.DeleteFunc(slices.Clone(have[:min(len(have), p.targetGroups())]), func(id uint64) bool { return !p.hasQuorum(findGroup(p.config, id)) })
	most := maxBucketsMoving - len(p.config.MovesPending)
	if len(keep) == 0 || most <= 0 {
		return nil
	}
	stuck := p.unmovable(have)
	fixed := slices.Compact(slices.Sorted(slices.Values(slices.Concat(p.config.MovesPending, p.pinned(keep), stuck))))
	l := Constraints{Fixed: fixed, BucketBytes: p.state.BucketBytes, MaxMoves: most, UnevenBytes: p.state.UnevenBytes}
	if len(Unowned(p.config)) == 0 { // those that nobody has had are empty
		l.Full = p.fullGroups(keep)
	}
	next, why := Balance(p.config.Owners, keep, l), "groups have unequal numbers of buckets"
	if slices.Equal(next, p.config.Owners) && len(p.config.MovesPending) == 0 {
		next, why = Swap(p.config.Owners, keep, l), "groups have unequal numbers of bytes"
	}
	var moves []*messages.BucketMove
	for b, to := range next {
		if from := p.config.Owners[b]; from != to {
			moves = append(moves, &messages.BucketMove{Bucket: uint32(b), From: from, To: to})
		}
	}
	if len(moves) == 0 {
		return nil
	}
	return []*messages.MetaCommand{{Reason: why, Op: &messages.MetaCommand_Place{Place: &messages.PlaceBuckets{Moves: moves}}}}
}

// pinned are the buckets that stay where an operator put them, as long as that group stays.
func (p *planner) pinned(keep []uint64) []uint32 {
	return slices.DeleteFunc(slices.Clone(p.config.Pinned), func(b uint32) bool { return !slices.Contains(keep, p.config.Owners[b]) })
}

// stuck are the buckets of groups that cannot give them away now, because most of their replicas are dead.
func (p *planner) unmovable(have []uint64) (all []uint32) {
	for b, owner := range p.config.Owners {
		if slices.Contains(have, owner) && !p.hasQuorum(findGroup(p.config, owner)) {
			all = append(all, uint32(b))
		}
	}
	return all
}

// full are the groups with a replica whose disk has no room for more.
func (p *planner) fullGroups(groups []uint64) []uint64 {
	return slices.DeleteFunc(slices.Clone(groups), func(id uint64) bool { return !slices.ContainsFunc(findGroup(p.config, id).Nodes, p.state.Full) })
}

// pause ends a single run of placement when nothing is left to do.
func (p *planner) finishOnce() []*messages.MetaCommand {
	if p.config.Placement != messages.Placement_ONCE || len(p.config.MovesPending) > 0 ||
		slices.ContainsFunc(p.config.Groups, func(g *messages.Group) bool { return len(g.Nodes) > 0 && !p.state.Settled(g.Id) }) {
		return nil
	}
	return []*messages.MetaCommand{{Reason: "nothing is left to do", Op: &messages.MetaCommand_SetPlacement{
		SetPlacement: &messages.SetPlacement{Placement: messages.Placement_PAUSED},
	}}}
}

// Orphans are the buckets without owner.
func Unowned(config *messages.Config) []uint32 {
	var all []uint32
	for b, owner := range config.Owners {
		if owner == 0 {
			all = append(all, uint32(b))
		}
	}
	return all
}

func findGroup(config *messages.Config, group uint64) *messages.Group {
	for _, g := range config.GetGroups() {
		if g.Id == group {
			return g
		}
	}
	return nil
}

func findNode(config *messages.Config, id uint64) *messages.Node {
	for _, n := range config.GetNodes() {
		if n.Id == id {
			return n
		}
	}
	return nil
}

func sameNodes(a, b []uint64) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

func setReplicasCommand(g *messages.Group, nodes []uint64, why string) *messages.MetaCommand {
	return &messages.MetaCommand{Reason: why, Op: &messages.MetaCommand_SetReplicas{
		SetReplicas: &messages.SetReplicas{Group: g.Id, Nodes: nodes},
	}}
}

// active are the shard groups that may own buckets, by id.
func activeGroups(config *messages.Config) []uint64 {
	var all []uint64
	for _, g := range config.Groups {
		if g.Id != uint64(messages.Meta) && !g.Left {
			all = append(all, g.Id)
		}
	}
	slices.SortFunc(all, cmp.Compare[uint64])
	return all
}
