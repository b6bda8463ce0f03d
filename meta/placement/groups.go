package placement

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/eraft-io/eraft/messages"
)

// createFirstGroups is the rule that makes all shard groups at once, when the nodes that bootstrap awaits are in.
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

// targetGroups is how many shard groups there should be: as many as an operator said, or one for each node.
func (p *planner) targetGroups() int {
	if p.config.TargetGroups != 0 {
		return int(p.config.TargetGroups)
	}
	return max(1, min(p.nodeCount(), len(p.config.Owners)))
}

// adjustGroups is the rule that makes a group that is missing, or ends one that is too many and has no buckets any more.
func (p *planner) adjustGroups() []*messages.MetaCommand {
	have, target := ActiveGroups(p.config), p.targetGroups()
	reason := fmt.Sprintf("%d groups for %d nodes", target, p.nodeCount())
	switch {
	case len(have) == 0:
	case len(have) < target:
		nodes := p.newGroupNodes()
		if len(nodes) == 0 {
			return nil
		}
		id := p.config.Groups[len(p.config.Groups)-1].Id + 1
		return []*messages.MetaCommand{{Reason: reason, Op: &messages.MetaCommand_Join{
			Join: &messages.JoinGroups{Groups: []*messages.NewGroup{{Group: id, Nodes: nodes}}},
		}}}
	case len(have) > target && len(p.fullGroups(have[:target])) == 0: // a leave balances buckets over all groups that stay
		for _, g := range have[target:] {
			if !slices.Contains(p.config.Owners, g) {
				return []*messages.MetaCommand{{Reason: reason, Op: &messages.MetaCommand_Leave{Leave: &messages.LeaveGroup{Group: g}}}}
			}
		}
	}
	return nil
}

// newGroupNodes are the nodes of one more group. nil: there are not enough for it yet, or a node has just joined and is not heard
// yet: it should be among them.
func (p *planner) newGroupNodes() (nodes []uint64) {
	eligible, want := p.eligibleNodes(), min(int(p.config.Replicas), p.memberCount())
	if len(eligible) < want || !p.mayChangeGroup() || p.awaitsNewNode() {
		return nil
	}
	for len(nodes) < want {
		nodes = append(nodes, p.bestCandidate(eligible, nodes))
	}
	leads := p.leaderCounts()
	return leaderFirst(nodes, slices.MinFunc(nodes, func(a, b uint64) int {
		return cmp.Or(cmp.Compare(leads[a], leads[b]), cmp.Compare(a, b))
	}))
}

// awaitsNewNode reports whether a node without replicas has not been heard yet.
func (p *planner) awaitsNewNode() bool {
	load := p.replicaCounts()
	return slices.ContainsFunc(p.config.Nodes, func(n *messages.Node) bool {
		return AcceptsReplicas(n) && load[n.Id] == 0 && !p.state.Alive(n.Id)
	})
}

// releaseGroups is the rule that takes the nodes from a group that has left and is not needed any more.
func (p *planner) releaseGroups() []*messages.MetaCommand {
	for _, g := range p.config.Groups {
		if len(g.Nodes) > 0 && Unneeded(p.config, g) {
			return []*messages.MetaCommand{setReplicasCommand(g, nil, "its buckets have arrived elsewhere")}
		}
	}
	return nil
}

// Unneeded reports whether a group may lose its replicas: it has left, it owns no bucket, and no pending move has it as the
// source.
func Unneeded(config *messages.Config, g *messages.Group) bool {
	return g.Left && !slices.Contains(config.Owners, g.Id) && !slices.ContainsFunc(config.MovesPending, func(b uint32) bool {
		return config.PreviousOwners[b] == g.Id
	})
}

// ActiveGroups are the shard groups that may own buckets, by id.
func ActiveGroups(config *messages.Config) []uint64 {
	var all []uint64
	for _, g := range config.Groups {
		if g.Id != uint64(messages.Meta) && !g.Left {
			all = append(all, g.Id)
		}
	}
	slices.SortFunc(all, cmp.Compare[uint64])
	return all
}

// shardGroups are the shard groups that have replicas, those that have left included.
func (p *planner) shardGroups() []*messages.Group {
	return slices.DeleteFunc(slices.Clone(p.config.Groups), func(g *messages.Group) bool {
		return g.Id == uint64(messages.Meta) || len(g.Nodes) == 0
	})
}

// fullGroups are those of the groups that have a replica on a full node.
func (p *planner) fullGroups(groups []uint64) []uint64 {
	return slices.DeleteFunc(slices.Clone(groups), func(id uint64) bool { return !slices.ContainsFunc(p.config.FindGroup(id).Nodes, p.state.Full) })
}

// hasQuorum reports whether most of a group's replicas are alive. A group without a quorum can change nothing about itself.
func (p *planner) hasQuorum(g *messages.Group) bool { return p.quorumAlive(g.Nodes) }

func (p *planner) quorumAlive(nodes []uint64) bool {
	count := 0
	for _, id := range nodes {
		if n := p.config.FindNode(id); !n.Removed && p.state.Alive(id) {
			count++
		}
	}
	return 2*count > len(nodes)
}

// mayChangeGroup reports whether one more group may have its members changed now.
func (p *planner) mayChangeGroup() bool {
	moving := 0
	for _, g := range p.config.Groups {
		if len(g.Nodes) > 0 && !p.state.Settled(g.Id) {
			moving++
		}
	}
	return moving < maxGroupsMoving
}

// stable reports whether nothing is under way in a group and all its nodes are eligible. Only a stable group is changed to
// spread load.
func (p *planner) stable(g *messages.Group) bool {
	return p.state.Settled(g.Id) && !slices.ContainsFunc(g.Nodes, func(id uint64) bool { return !p.eligible(id) })
}
