package placement

import (
	"slices"

	"github.com/eraft-io/eraft/messages"
)

// The first node of a group is its preferred leader: the group hands leadership to it when it can.

// moveLeadership puts another node first in a group whose preferred leader goes. Leaders move before replicas, since that
// copies nothing.
func (p *planner) moveLeadership(g *messages.Group) []*messages.MetaCommand {
	if len(g.Nodes) == 0 || AcceptsReplicas(p.config.FindNode(g.Nodes[0])) {
		return nil
	}
	if nodes := p.preferEligible(g.Nodes); !slices.Equal(nodes, g.Nodes) {
		return []*messages.MetaCommand{setReplicasCommand(g, nodes, p.reason(g.Nodes[0]))}
	}
	return nil
}

// preferEligible puts the eligible node first that leads fewest groups, unless the first node may stay the leader.
func (p *planner) preferEligible(nodes []uint64) []uint64 {
	leads, best := p.leaderCounts(), -1
	for i, id := range nodes {
		if p.eligible(id) && (best < 0 || leads[id] < leads[nodes[best]]) {
			best = i
		}
	}
	if len(nodes) == 0 || best < 0 || AcceptsReplicas(p.config.FindNode(nodes[0])) {
		return nodes
	}
	return leaderFirst(nodes, nodes[best])
}

// leaderFirst is nodes with one of them before all others.
func leaderFirst(nodes []uint64, leader uint64) []uint64 {
	return append([]uint64{leader}, slices.DeleteFunc(slices.Clone(nodes), func(id uint64) bool { return id == leader })...)
}

// leaderCounts is of how many shard groups each node is the preferred leader, by node.
func (p *planner) leaderCounts() map[uint64]int {
	leads := map[uint64]int{}
	for _, g := range p.shardGroups() {
		if !g.Left {
			leads[g.Nodes[0]]++
		}
	}
	return leads
}

// spreadLeaders is the rule that evens out of how many groups the nodes are the preferred leader. If no group can go from a
// node that leads most directly to one that leads at least two fewer, a chain of groups can: from node to node by groups that have
// replicas on both. The rule finds the shortest chain, breadth first, and moves the last group of it; the next plan finds a
// shorter one.
func (p *planner) spreadLeaders() []*messages.MetaCommand {
	leads := p.leaderCounts()
	most := 0
	for _, id := range p.eligibleNodes() {
		most = max(most, leads[id])
	}
	var reached []uint64 // nodes to which a chain leads, in the order in which they were found
	for _, id := range p.eligibleNodes() {
		if leads[id] == most {
			reached = append(reached, id)
		}
	}
	for i := 0; i < len(reached); i++ {
		for _, g := range p.shardGroups() {
			if g.Nodes[0] != reached[i] || g.Left || !p.stable(g) {
				continue
			}
			for _, to := range g.Nodes[1:] {
				if leads[to] < most-1 {
					return []*messages.MetaCommand{setReplicasCommand(g, leaderFirst(g.Nodes, to), "nodes lead unequal numbers of groups")}
				}
				if !slices.Contains(reached, to) {
					reached = append(reached, to)
				}
			}
		}
	}
	return nil
}
