// Package placement decides where groups, replicas, preferred leaders and buckets should be. It is pure: a config and what the
// leader of meta knows of the cluster go in, commands for meta's log come out. It changes nothing itself, and it does not know
// the config chain: package meta makes the next config from a command, and asks this package again.
//
// Reading order: plan.go (the rules and their order), groups.go, replicas.go, leaders.go, buckets.go (one rule or more each),
// balance.go and exchange.go (which bucket goes where), sizes.go, zone.go.
package placement

import (
	"slices"

	"github.com/eraft-io/eraft/messages"
)

// ClusterState is what the leader of meta knows about nodes and groups at the moment. It never enters a log: it only says which
// commands are worth a try, and none of them is unsafe if it is wrong.
type ClusterState struct {
	Alive       func(node uint64) bool  // the node was heard of lately; one that was not gets nothing new
	Full        func(node uint64) bool  // its disk has no room for more data; nil: no node is full
	Lost        func(node uint64) bool  // silent for so long that other nodes shall take its replicas; nil: no node is lost
	Settled     func(group uint64) bool // the members of the group are those that the config wants; nil: of every group
	BucketBytes []uint64                // size of each bucket, an estimate; nil: not known
	UnevenBytes uint64                  // bytes by which two groups may differ; 0: 64 MiB
}

// Bounds of what is under way at once in the whole cluster.
const (
	maxGroupsMoving  = 2  // groups whose members are being changed
	maxBucketsMoving = 16 // buckets whose move is pending
)

// Plan returns the commands that placement wants next, to be proposed one after the other. It is empty if everything is
// where it should be, if placement is paused, or if something under way must end first. Each command carries the version of
// the config that it was derived from and is refused for any other, so a plan that is out of date does nothing.
//
// In pseudocode:
//
//	for each rule, in this order:
//	    commands = rule(config, state)
//	    if there are some: return them
//	return none
//
// What a rule does, no later rule undoes, and each rule makes something smaller that no other one makes larger: the number
// of lost nodes not marked, of replicas on leaving nodes, of groups too few or too many, of zones not used, the differences of
// replicas, leaders, buckets, bytes. So a cluster that is left alone comes to a state in which every rule is silent.
func Plan(config *messages.Config, state ClusterState) []*messages.MetaCommand {
	if config.Placement == messages.Placement_PAUSED {
		return nil
	}
	if state.Lost == nil {
		state.Lost = func(uint64) bool { return false }
	}
	if state.Full == nil {
		state.Full = func(uint64) bool { return false }
	}
	if state.Settled == nil {
		state.Settled = func(uint64) bool { return true }
	}
	p := &planner{config: config, state: state}
	for _, rule := range []func() []*messages.MetaCommand{
		p.markLostNodes, p.repairMeta, p.createFirstGroups, p.repair, p.releaseGroups, p.adjustGroups,
		p.spreadZones, p.spreadReplicas, p.spreadLeaders, p.balanceBuckets, p.finishOnce,
	} {
		if commands := rule(); len(commands) > 0 {
			for _, c := range commands {
				c.IfVersion = config.Version
			}
			return commands
		}
	}
	return nil
}

// planner is one derivation of a plan. The methods that are rules return the commands they want, none if they are satisfied.
type planner struct {
	config *messages.Config
	state  ClusterState
}

// markLostNodes is the rule that notes in the config which nodes are lost, and which are back.
func (p *planner) markLostNodes() (commands []*messages.MetaCommand) {
	set := func(n *messages.Node, state messages.NodeState, reason string) {
		commands = append(commands, &messages.MetaCommand{Reason: reason, Op: &messages.MetaCommand_SetNode{
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
	return commands
}

// finishOnce is the rule that pauses placement again when a run of it that an operator asked for has nothing left to do.
func (p *planner) finishOnce() []*messages.MetaCommand {
	if p.config.Placement != messages.Placement_ONCE || len(p.config.MovesPending) > 0 ||
		slices.ContainsFunc(p.config.Groups, func(g *messages.Group) bool { return len(g.Nodes) > 0 && !p.state.Settled(g.Id) }) {
		return nil
	}
	return []*messages.MetaCommand{{Reason: "nothing is left to do", Op: &messages.MetaCommand_SetPlacement{
		SetPlacement: &messages.SetPlacement{Placement: messages.Placement_PAUSED},
	}}}
}

// AcceptsReplicas reports whether the config lets a node have new replicas: it is neither removed, draining nor lost.
func AcceptsReplicas(n *messages.Node) bool {
	return !n.Removed && n.State == messages.NodeState_ACTIVE
}

// nodeCount counts the nodes that are not removed. A draining node may be taken back: until it goes for good it is no reason
// to move buckets.
func (p *planner) nodeCount() (count int) {
	for _, n := range p.config.Nodes {
		if !n.Removed {
			count++
		}
	}
	return count
}

// memberCount counts the nodes that are meant to stay: a lost node may come back, a draining one goes.
func (p *planner) memberCount() (count int) {
	for _, n := range p.config.Nodes {
		if !n.Removed && n.State != messages.NodeState_DRAINING {
			count++
		}
	}
	return count
}

// liveNodes are the nodes that are meant to stay and are alive, by id.
func (p *planner) liveNodes() (all []uint64) {
	for _, n := range p.config.Nodes {
		if AcceptsReplicas(n) && p.state.Alive(n.Id) {
			all = append(all, n.Id)
		}
	}
	return all
}

// eligibleNodes are the nodes that may get something new, by id.
func (p *planner) eligibleNodes() []uint64 { return slices.DeleteFunc(p.liveNodes(), p.state.Full) }

// eligible reports whether a node may get something new.
func (p *planner) eligible(id uint64) bool {
	return AcceptsReplicas(p.config.FindNode(id)) && p.state.Alive(id) && !p.state.Full(id)
}

// reason says why a node should have nothing.
func (p *planner) reason(id uint64) string {
	switch n := p.config.FindNode(id); {
	case n.Removed:
		return n.Title() + " is removed"
	case n.State == messages.NodeState_DRAINING:
		return n.Title() + " is drained"
	default:
		return n.Title() + " is lost"
	}
}
