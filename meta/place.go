package meta

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/eraft-io/eraft/messages"
)

// metaReplicas is how many replicas meta wants with that many nodes.
func metaReplicas(nodes int) int {
	switch {
	case nodes >= 7:
		return 5
	case nodes >= 3:
		return 3
	}
	return nodes
}

// repairMeta brings meta's replicas where they should be. Before the birth is over it stays with the first node.
func (p *planner) repairMeta() []*messages.MetaCommand {
	if len(p.config.Groups) == 1 && len(p.eligibleNodes()) < int(p.config.BootstrapExpect) {
		return nil
	}
	return p.repairGroup(p.config.Groups[0], metaReplicas(p.memberCount()))
}

// repair takes replicas off nodes that go or are lost, one group after the other, and makes those that are missing.
func (p *planner) repair() []*messages.MetaCommand {
	for _, g := range p.config.Groups {
		if steps := p.moveLeadership(g); len(steps) > 0 {
			return steps
		}
	}
	for _, g := range p.shardGroups() {
		if steps := p.repairGroup(g, min(int(p.config.Replicas), p.memberCount())); len(steps) > 0 {
			return steps
		}
	}
	return nil
}

// shards are the groups that have or had buckets, and have replicas.
func (p *planner) shardGroups() []*messages.Group {
	return slices.DeleteFunc(slices.Clone(p.config.Groups), func(g *messages.Group) bool {
		return g.Id == uint64(messages.Meta) || len(g.Nodes) == 0
	})
}

// moveLeadership puts another preferred leader before one that goes: leaders move before replicas, since that costs nothing.
func (p *planner) moveLeadership(g *messages.Group) []*messages.MetaCommand {
	if len(g.Nodes) == 0 || acceptsReplicas(findNode(p.config, g.Nodes[0])) {
		return nil
	}
	if nodes := p.preferEligible(g.Nodes); !slices.Equal(nodes, g.Nodes) {
		return []*messages.MetaCommand{setReplicasCommand(g, nodes, p.reason(g.Nodes[0]))}
	}
	return nil
}

// led puts a node first that may lead, the one that leads least, unless the first may.
func (p *planner) preferEligible(nodes []uint64) []uint64 {
	leads, best := p.leaderCounts(), -1
	for i, id := range nodes {
		if p.eligible(id) && (best < 0 || leads[id] < leads[nodes[best]]) {
			best = i
		}
	}
	if len(nodes) == 0 || best < 0 || acceptsReplicas(findNode(p.config, nodes[0])) {
		return nodes
	}
	return leaderFirst(nodes, nodes[best])
}

// first is nodes with one of them before all others.
func leaderFirst(nodes []uint64, leader uint64) []uint64 {
	return append([]uint64{leader}, slices.DeleteFunc(slices.Clone(nodes), func(id uint64) bool { return id == leader })...)
}

// able tells whether a node may get something new.
func (p *planner) eligible(id uint64) bool {
	return acceptsReplicas(findNode(p.config, id)) && p.state.Alive(id) && !p.state.Full(id)
}

// works tells whether most of a group's replicas live. One that does not work can change nothing about itself.
func (p *planner) hasQuorum(g *messages.Group) bool { return p.quorumAlive(g.Nodes) }

func (p *planner) quorumAlive(nodes []uint64) bool {
	count := 0
	for _, id := range nodes {
		if n := findNode(p.config, id); !n.Removed && p.state.Alive(id) {
			count++
		}
	}
	return 2*count > len(nodes)
}

// free tells whether one more group may have members on the way.
func (p *planner) mayChangeGroup() bool {
	moving := 0
	for _, g := range p.config.Groups {
		if len(g.Nodes) > 0 && !p.state.Settled(g.Id) {
			moving++
		}
	}
	return moving < maxGroupsMoving
}

// repairGroup is the step to a set of replicas that has no node that goes, if it can be had, and as many as wanted.
func (p *planner) repairGroup(g *messages.Group, want int) []*messages.MetaCommand {
	nodes, why := p.repairedNodes(g, want)
	urgent := !p.state.Settled(g.Id) // what is under way would not do
	if why == "" || !p.hasQuorum(g) || !p.quorumAlive(nodes) || !urgent && !p.mayChangeGroup() {
		return nil
	}
	return []*messages.MetaCommand{setReplicasCommand(g, p.preferEligible(nodes), why)}
}

// repaired gives the nodes a group should have and why they are others than now, "" if they are not. Nodes that go stay
// as long as nobody can take their place: draining ones rather than lost ones.
func (p *planner) repairedNodes(g *messages.Group, want int) (nodes []uint64, why string) {
	var draining, lost []uint64
	for _, id := range g.Nodes {
		switch n := findNode(p.config, id); {
		case n.Removed:
			why = p.reason(id)
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
			why = p.reason(id)
		}
	}
	for len(nodes) > max(want, 1) {
		nodes = p.dropOne(nodes)
		why = cmp.Or(why, fmt.Sprintf("%d replicas are enough", want))
	}
	if sameNodes(nodes, g.Nodes) {
		return g.Nodes, ""
	}
	return nodes, cmp.Or(why, fmt.Sprintf("%d replicas are wanted", want))
}

// reason says why a node should have nothing.
func (p *planner) reason(id uint64) string {
	switch n := findNode(p.config, id); {
	case n.Removed:
		return nodeTitle(n) + " is removed"
	case n.State == messages.NodeState_DRAINING:
		return nodeTitle(n) + " is drained"
	default:
		return nodeTitle(n) + " is lost"
	}
}

// without drops the replica that is missed least: a dead one, one that shares its zone, one of the node that has most.
// The preferred leader stays.
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

// boolean compares: false is less than true.
func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

// best is the candidate that goes best with the nodes there are: of a zone that they do not have, with little on it.
// 0: all are there already.
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

// load is how many replicas nodes have.
func (p *planner) replicaCounts() map[uint64]int {
	load := map[uint64]int{}
	for _, g := range p.config.Groups {
		for _, id := range g.Nodes {
			load[id]++
		}
	}
	return load
}

// leads is of how many shard groups nodes are the preferred leader.
func (p *planner) leaderCounts() map[uint64]int {
	leads := map[uint64]int{}
	for _, g := range p.shardGroups() {
		if !g.Left {
			leads[g.Nodes[0]]++
		}
	}
	return leads
}

// zoneCount counts the zones of nodes. Who names none is a zone of its own.
func (p *planner) zoneCount(nodes []uint64) int {
	zones := map[string]bool{}
	for _, id := range nodes {
		z := zone(findNode(p.config, id).Labels)
		if z == "" {
			z = fmt.Sprint("/", id)
		}
		zones[z] = true
	}
	return len(zones)
}

// newGroupNodes is where one more group should be; nil while not enough nodes are there for it, or one that has just joined is
// not heard yet: it should be among them.
func (p *planner) newGroupNodes() (nodes []uint64) {
	takers, want := p.eligibleNodes(), min(int(p.config.Replicas), p.memberCount())
	if len(takers) < want || !p.mayChangeGroup() || p.awaitsNewNode() {
		return nil
	}
	for len(nodes) < want {
		nodes = append(nodes, p.bestCandidate(takers, nodes))
	}
	leads := p.leaderCounts()
	return leaderFirst(nodes, slices.MinFunc(nodes, func(a, b uint64) int {
		return cmp.Or(cmp.Compare(leads[a], leads[b]), cmp.Compare(a, b))
	}))
}

// awaits tells whether a node that has nothing yet may be about to speak.
func (p *planner) awaitsNewNode() bool {
	load := p.replicaCounts()
	return slices.ContainsFunc(p.config.Nodes, func(n *messages.Node) bool {
		return acceptsReplicas(n) && load[n.Id] == 0 && !p.state.Alive(n.Id)
	})
}

// stable tells that nothing is under way of a group, and that all its nodes live: only such a one is changed for beauty.
func (p *planner) stable(g *messages.Group) bool {
	return p.state.Settled(g.Id) && !slices.ContainsFunc(g.Nodes, func(id uint64) bool { return !p.eligible(id) })
}

// zones spreads groups over more zones where there are some.
func (p *planner) spreadZones() []*messages.MetaCommand {
	takers := p.eligibleNodes()
	zones := p.zoneCount(takers)
	for _, g := range p.config.Groups {
		if !p.stable(g) || !p.mayChangeGroup() || p.zoneCount(g.Nodes) >= min(len(g.Nodes), zones) {
			continue
		}
		if nodes, _ := p.replaceOne(g, takers, 1); nodes != nil {
			return []*messages.MetaCommand{setReplicasCommand(g, nodes, "its replicas share a zone")}
		}
	}
	return nil
}

// swapped exchanges one replica of a group for one elsewhere such that it has `more` zones more, the one of the fullest
// node for the emptiest. It tells how much more the one has.
func (p *planner) replaceOne(g *messages.Group, takers []uint64, more int) (nodes []uint64, gain int) {
	load, zones := p.replicaCounts(), p.zoneCount(g.Nodes)
	gain = -len(p.config.Groups) - 1
	for i := len(g.Nodes) - 1; i >= 0; i-- {
		for _, id := range takers {
			next := slices.Clone(g.Nodes)
			next[i] = id
			better := load[g.Nodes[i]] - load[id]
			if !slices.Contains(g.Nodes, id) && p.zoneCount(next) >= zones+more && better > gain {
				nodes, gain = next, better
			}
		}
	}
	return nodes, gain
}

// spread evens out how many replicas nodes have, without a loss of zones.
func (p *planner) spreadReplicas() []*messages.MetaCommand {
	var best []*messages.MetaCommand
	most, takers := 1, p.eligibleNodes()
	for _, g := range p.config.Groups {
		if len(g.Nodes) == 0 || g.Left || !p.stable(g) || !p.mayChangeGroup() {
			continue
		}
		if nodes, gain := p.replaceOne(g, takers, 0); nodes != nil && gain > most {
			best, most = []*messages.MetaCommand{setReplicasCommand(g, nodes, "nodes have unequal numbers of replicas")}, gain
		}
	}
	return best
}

// leaders evens out of how many groups nodes are the preferred leader. Where no group can go from a node that leads most
// to one that leads least, a chain of groups can: the last link of the shortest is taken, and the rest is shorter then.
func (p *planner) spreadLeaders() []*messages.MetaCommand {
	leads := p.leaderCounts()
	most := 0
	for _, id := range p.eligibleNodes() {
		most = max(most, leads[id])
	}
	var reached []uint64
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
