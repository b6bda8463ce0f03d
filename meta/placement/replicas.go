package placement

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/eraft-io/eraft/messages"
)

// metaReplicas is how many replicas meta should have in a cluster of that many nodes.
func metaReplicas(nodes int) int {
	switch {
	case nodes >= 7:
		return 5
	case nodes >= 3:
		return 3
	}
	return nodes
}

// repairMeta is the rule that brings the replicas of meta where they should be. Until all nodes that bootstrap awaits are in,
// meta stays on the first one.
func (p *planner) repairMeta() []*messages.MetaCommand {
	if len(p.config.Groups) == 1 && len(p.eligibleNodes()) < int(p.config.BootstrapExpect) {
		return nil
	}
	return p.repairGroup(p.config.Groups[0], metaReplicas(p.memberCount()))
}

// repair is the rule that takes preferred leaders, and then replicas, off nodes that are draining, lost or removed, one group
// after the other, and makes replicas that are missing.
func (p *planner) repair() []*messages.MetaCommand {
	for _, g := range p.config.Groups {
		if commands := p.moveLeadership(g); len(commands) > 0 {
			return commands
		}
	}
	for _, g := range p.shardGroups() {
		if commands := p.repairGroup(g, min(int(p.config.Replicas), p.memberCount())); len(commands) > 0 {
			return commands
		}
	}
	return nil
}

// repairGroup gives a group as many replicas as wanted, and none on a node that goes, as far as there are nodes for it. A group
// without a quorum, now or afterwards, is left alone.
func (p *planner) repairGroup(g *messages.Group, want int) []*messages.MetaCommand {
	nodes, reason := p.repairedNodes(g, want)
	urgent := !p.state.Settled(g.Id) // the change that is under way would not be enough
	if reason == "" || !p.hasQuorum(g) || !p.quorumAlive(nodes) || !urgent && !p.mayChangeGroup() {
		return nil
	}
	return []*messages.MetaCommand{setReplicasCommand(g, p.preferEligible(nodes), reason)}
}

// repairedNodes returns the nodes that a group should have, and why they differ from those it has; "" if they do not. A node
// that goes stays in the group as long as no other can take its place; a draining one rather than a lost one.
func (p *planner) repairedNodes(g *messages.Group, want int) (nodes []uint64, reason string) {
	var draining, lost []uint64
	for _, id := range g.Nodes {
		switch n := p.config.FindNode(id); {
		case n.Removed:
			reason = p.reason(id)
		case n.State == messages.NodeState_DRAINING:
			draining = append(draining, id)
		case n.State == messages.NodeState_LOST:
			lost = append(lost, id)
		default:
			nodes = append(nodes, id)
		}
	}
	for len(nodes) < want {
		id := p.bestCandidate(p.eligibleNodes(), nodes)
		if id == 0 {
			break
		}
		nodes = append(nodes, id)
	}
	for _, id := range slices.Concat(draining, lost) {
		if len(nodes) < want {
			nodes = append(nodes, id)
		} else {
			reason = p.reason(id)
		}
	}
	for len(nodes) > max(want, 1) {
		nodes = p.dropOne(nodes)
		reason = cmp.Or(reason, fmt.Sprintf("%d replicas are enough", want))
	}
	if messages.SameNodes(nodes, g.Nodes) {
		return g.Nodes, ""
	}
	return nodes, cmp.Or(reason, fmt.Sprintf("%d replicas are wanted", want))
}

// dropOne drops the replica that costs least: a dead one, then one whose zone has another, then the one on the node with most
// replicas. The preferred leader stays.
func (p *planner) dropOne(nodes []uint64) []uint64 {
	load := p.replicaCounts()
	worst := slices.MaxFunc(nodes[1:], func(a, b uint64) int {
		rest := func(id uint64) []uint64 {
			return slices.DeleteFunc(slices.Clone(nodes), func(n uint64) bool { return n == id })
		}
		return cmp.Or(compareBool(p.state.Alive(b), p.state.Alive(a)), cmp.Compare(p.zoneCount(rest(a)), p.zoneCount(rest(b))),
			cmp.Compare(load[a], load[b]), cmp.Compare(a, b))
	})
	return slices.DeleteFunc(slices.Clone(nodes), func(n uint64) bool { return n == worst })
}

// compareBool compares as cmp.Compare does: false is less than true.
func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

// bestCandidate is the candidate to add to nodes: one that brings a zone they do not have, then the one with fewest replicas.
// 0: all candidates are among nodes.
func (p *planner) bestCandidate(candidates, nodes []uint64) uint64 {
	left := slices.DeleteFunc(slices.Clone(candidates), func(id uint64) bool { return slices.Contains(nodes, id) })
	if len(left) == 0 {
		return 0
	}
	load := p.replicaCounts()
	return slices.MinFunc(left, func(a, b uint64) int {
		return cmp.Or(cmp.Compare(p.zoneCount(append(slices.Clone(nodes), b)), p.zoneCount(append(slices.Clone(nodes), a))),
			cmp.Compare(load[a], load[b]), cmp.Compare(a, b))
	})
}

// replicaCounts is how many replicas each node has, by node.
func (p *planner) replicaCounts() map[uint64]int {
	load := map[uint64]int{}
	for _, g := range p.config.Groups {
		for _, id := range g.Nodes {
			load[id]++
		}
	}
	return load
}

// spreadZones is the rule that exchanges a replica so that its group is in one zone more, where there are zones it is not in.
func (p *planner) spreadZones() []*messages.MetaCommand {
	eligible := p.eligibleNodes()
	zones := p.zoneCount(eligible)
	for _, g := range p.config.Groups {
		if !p.stable(g) || !p.mayChangeGroup() || p.zoneCount(g.Nodes) >= min(len(g.Nodes), zones) {
			continue
		}
		if nodes, _ := p.replaceOne(g, eligible, 1); nodes != nil {
			return []*messages.MetaCommand{setReplicasCommand(g, nodes, "its replicas share a zone")}
		}
	}
	return nil
}

// replaceOne replaces one replica of a group by one on another node, such that the group is in at least that many zones more.
// Of the possible replacements it takes that from the node with most replicas to the one with fewest, and returns by how many
// they differ. nil: there is none.
func (p *planner) replaceOne(g *messages.Group, candidates []uint64, moreZones int) (nodes []uint64, gain int) {
	load, zones := p.replicaCounts(), p.zoneCount(g.Nodes)
	gain = -len(p.config.Groups) - 1
	for i := len(g.Nodes) - 1; i >= 0; i-- {
		for _, id := range candidates {
			next := slices.Clone(g.Nodes)
			next[i] = id
			difference := load[g.Nodes[i]] - load[id]
			if !slices.Contains(g.Nodes, id) && p.zoneCount(next) >= zones+moreZones && difference > gain {
				nodes, gain = next, difference
			}
		}
	}
	return nodes, gain
}

// spreadReplicas is the rule that evens out how many replicas the nodes have, without a loss of zones.
func (p *planner) spreadReplicas() []*messages.MetaCommand {
	var best []*messages.MetaCommand
	most, eligible := 1, p.eligibleNodes()
	for _, g := range p.config.Groups {
		if len(g.Nodes) == 0 || g.Left || !p.stable(g) || !p.mayChangeGroup() {
			continue
		}
		if nodes, gain := p.replaceOne(g, eligible, 0); nodes != nil && gain > most {
			best, most = []*messages.MetaCommand{setReplicasCommand(g, nodes, "nodes have unequal numbers of replicas")}, gain
		}
	}
	return best
}

func setReplicasCommand(g *messages.Group, nodes []uint64, reason string) *messages.MetaCommand {
	return &messages.MetaCommand{Reason: reason, Op: &messages.MetaCommand_SetReplicas{
		SetReplicas: &messages.SetReplicas{Group: g.Id, Nodes: nodes},
	}}
}
