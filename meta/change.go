package meta

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/meta/placement"
)

// applyCommand makes the next config from a command that Check has accepted, without its version and times. If its Change is
// empty nothing differs, and there is no next version.
func applyCommand(config *messages.Config, command *messages.MetaCommand) *messages.Config {
	if b := command.GetBootstrap(); b != nil {
		return bootstrap(b)
	}
	next := proto.Clone(config).(*messages.Config)
	next.Change = ""
	byHand := command.Reason == ""
	switch op := command.Op.(type) {
	case *messages.MetaCommand_AddNode:
		addNode(next, op.AddNode)
	case *messages.MetaCommand_RemoveNode:
		if n := next.FindNode(op.RemoveNode.Node); !n.Removed {
			n.Removed = true
			next.Change = "remove " + n.Title()
		}
	case *messages.MetaCommand_SetNode:
		setNode(next, op.SetNode)
	case *messages.MetaCommand_Join:
		join(next, op.Join, byHand)
	case *messages.MetaCommand_Leave:
		leave(next, op.Leave.Group, byHand)
	case *messages.MetaCommand_Move:
		move(next, op.Move)
	case *messages.MetaCommand_Place:
		place(next, op.Place)
	case *messages.MetaCommand_Rebalance:
		rebalance(next)
	case *messages.MetaCommand_SetPlacement:
		setPlacement(next, op.SetPlacement.Placement)
	case *messages.MetaCommand_CompleteMoves:
		completeMoves(next, op.CompleteMoves)
	case *messages.MetaCommand_SetReplicas:
		setReplicas(next, op.SetReplicas)
	case *messages.MetaCommand_RaiseLevel:
		raiseLevel(next, op.RaiseLevel)
	}
	if next.Change != "" && !byHand {
		next.Change += ": " + command.Reason
	}
	return next
}

func bootstrap(b *messages.Bootstrap) *messages.Config {
	return &messages.Config{
		ClusterId: b.ClusterId, Replicas: b.Replicas, BootstrapExpect: b.Expect, TargetGroups: b.Groups,
		Nodes:  []*messages.Node{newNode(1, b.Node)},
		Groups: []*messages.Group{{Id: uint64(messages.Meta), Nodes: []uint64{1}, InitialVoters: []uint64{1}}},
		Owners: make([]uint64, b.Buckets),
		Change: fmt.Sprintf("bootstrap with %d buckets", b.Buckets),
	}
}

func newNode(id uint64, a *messages.AddNode) *messages.Node {
	return &messages.Node{
		Id: id, Name: a.Name, Address: a.Address, Epoch: a.Epoch, Resp: a.Resp, Http: a.Http, DirectoryToken: a.DirectoryToken, Labels: a.Labels,
	}
}

// maxRemovedListed is how many removed nodes a config keeps in its list, for people.
const maxRemovedListed = 64

// nextNodeID is the id of the next node. No id is given twice.
func nextNodeID(config *messages.Config) uint64 {
	next := max(config.NextNodeId, 1)
	if n := len(config.Nodes); n > 0 {
		next = max(next, config.Nodes[n-1].Id+1)
	}
	return next
}

// forgetRemovedNodes takes the oldest removed nodes off the list, except those that a group still names.
func forgetRemovedNodes(next *messages.Config) {
	next.NextNodeId = nextNodeID(next)
	removed := 0
	for _, n := range next.Nodes {
		if n.Removed {
			removed++
		}
	}
	next.Nodes = slices.DeleteFunc(next.Nodes, func(n *messages.Node) bool {
		if !n.Removed || removed <= maxRemovedListed || len(groupsOn(next, n.Id)) > 0 {
			return false
		}
		removed--
		return true
	})
}

// WasRemoved reports whether a node was removed, however long ago: also if the config does not list it any more.
func WasRemoved(config *messages.Config, id uint64) bool {
	if n := config.FindNode(id); n != nil {
		return n.Removed
	}
	return id < config.GetNextNodeId()
}

func nodeByToken(config *messages.Config, token uint64) *messages.Node {
	for _, n := range config.Nodes {
		if n.DirectoryToken == token {
			return n
		}
	}
	return nil
}

// NodeByName returns the node of that name that is not removed; nil if there is none.
func NodeByName(config *messages.Config, name string) *messages.Node {
	for _, n := range config.GetNodes() {
		if !n.Removed && n.Name == name {
			return n
		}
	}
	return nil
}

// addNode admits a node, or updates what a node that is in says of itself. A node with a new directory and the name of another
// node replaces that one, which is removed: its id must not vote again without its disk.
func addNode(next *messages.Config, a *messages.AddNode) {
	if old := nodeByToken(next, a.DirectoryToken); old != nil {
		info := newNode(old.Id, a)
		info.Epoch, info.State, info.StateSinceMs, info.DrainReplicas = old.Epoch, old.State, old.StateSinceMs, old.DrainReplicas
		if !proto.Equal(info, old) {
			info.Epoch = a.Epoch
			next.Nodes[slices.Index(next.Nodes, old)] = info
			next.Change = fmt.Sprintf("%s is at %s", info.Title(), info.Address)
		}
		for _, f := range a.ForcedQuorums {
			recordForced(next, info, f)
		}
		return
	}
	id := nextNodeID(next)
	instead := ""
	if n := NodeByName(next, a.Name); n != nil {
		n.Removed = true
		instead = fmt.Sprintf(" in place of node %d", n.Id)
	}
	next.Nodes = append(next.Nodes, newNode(id, a))
	next.Change = fmt.Sprintf("add node %d (%s)%s", id, a.Name, instead)
}

// recordForced records, once, that an operator made a node the only voter of a group.
func recordForced(next *messages.Config, node *messages.Node, f *messages.ForcedQuorum) {
	known := slices.ContainsFunc(next.ForcedQuorums, func(k *messages.ForcedQuorum) bool { return proto.Equal(k, f) })
	if known || f.Node != node.Id {
		return
	}
	next.ForcedQuorums = append(next.ForcedQuorums, f)
	if next.Change != "" {
		next.Change += "; "
	}
	next.Change += fmt.Sprintf("%s was made the only voter of group %d by hand, at entry %d of term %d: %v are lost",
		node.Title(), f.Group, f.Index, f.Term, f.Lost)
}

func setNode(next *messages.Config, s *messages.SetNode) {
	n := next.FindNode(s.Node)
	if n.State == s.State {
		return
	}
	switch {
	case s.State == messages.NodeState_DRAINING:
		n.DrainReplicas = uint32(len(groupsOn(next, n.Id)))
		next.Change = "drain " + n.Title()
	case s.State == messages.NodeState_LOST:
		next.Change = n.Title() + " is lost"
	case n.State == messages.NodeState_LOST:
		next.Change = n.Title() + " is back"
	default:
		next.Change = "undrain " + n.Title()
	}
	n.State = s.State
}

// groupsOn are the groups that have a replica on a node, by the config.
func groupsOn(config *messages.Config, node uint64) (all []*messages.Group) {
	for _, g := range config.Groups {
		if slices.Contains(g.Nodes, node) {
			all = append(all, g)
		}
	}
	return all
}

func join(next *messages.Config, j *messages.JoinGroups, byHand bool) {
	var names []string
	for _, g := range j.Groups {
		next.Groups = append(next.Groups, &messages.Group{Id: g.Group, Nodes: g.Nodes, InitialVoters: slices.Clone(g.Nodes)})
		names = append(names, fmt.Sprintf("join %d on %v", g.Group, g.Nodes))
	}
	slices.SortFunc(next.Groups, func(a, b *messages.Group) int { return cmp.Compare(a.Id, b.Id) })
	next.Change = strings.Join(names, "; ")
	fixed := next.MovesPending
	if byHand {
		next.TargetGroups = uint32(len(placement.ActiveGroups(next)))
	} else {
		fixed = owned(next)
	}
	next.Owners = placement.Balance(next.Owners, placement.ActiveGroups(next), placement.Constraints{Fixed: fixed})
}

// owned are the buckets that have an owner, ascending.
func owned(config *messages.Config) (all []uint32) {
	for b, owner := range config.Owners {
		if owner != 0 {
			all = append(all, uint32(b))
		}
	}
	return all
}

func leave(next *messages.Config, id uint64, byHand bool) {
	next.FindGroup(id).Left = true
	next.Change = fmt.Sprintf("leave %d", id)
	if byHand {
		next.TargetGroups = uint32(len(placement.ActiveGroups(next)))
	}
	next.Owners = placement.Balance(next.Owners, placement.ActiveGroups(next), placement.Constraints{Fixed: next.MovesPending})
}

func setReplicas(next *messages.Config, s *messages.SetReplicas) {
	g := next.FindGroup(s.Group)
	if slices.Equal(g.Nodes, s.Nodes) {
		return
	}
	g.Nodes = s.Nodes
	next.Change = fmt.Sprintf("replicas of group %d on %v", g.Id, g.Nodes)
	if len(g.Nodes) == 0 {
		next.Change = fmt.Sprintf("group %d is over", g.Id)
	}
}

// move moves buckets to a group by command of an operator: they are pinned there.
func move(next *messages.Config, m *messages.MoveBuckets) {
	for b := m.First; b <= m.Last; b++ {
		if next.Owners[b] != m.Group {
			next.Owners[b] = m.Group
			next.Change = fmt.Sprintf("move %s to %d", FormatRange(m.First, m.Last), m.Group)
		}
	}
	if next.Change == "" {
		return
	}
	for b := m.First; b <= m.Last; b++ {
		if i, pinned := slices.BinarySearch(next.Pinned, b); !pinned {
			next.Pinned = slices.Insert(next.Pinned, i, b)
		}
	}
}

func place(next *messages.Config, p *messages.PlaceBuckets) {
	moved := map[uint64][]uint32{}
	for _, m := range p.Moves {
		if next.Owners[m.Bucket] != m.To {
			next.Owners[m.Bucket] = m.To
			moved[m.To] = append(moved[m.To], m.Bucket)
		}
	}
	var parts []string
	for _, to := range slices.Sorted(maps.Keys(moved)) {
		parts = append(parts, fmt.Sprintf("move %s to %d", formatRanges(moved[to]), to))
	}
	next.Change = strings.Join(parts, "; ")
}

func rebalance(next *messages.Config) {
	if len(next.Pinned) > 0 || next.Placement == messages.Placement_PAUSED {
		next.Change = "rebalance"
	}
	next.Pinned = nil
	if next.Placement == messages.Placement_PAUSED {
		next.Placement = messages.Placement_ONCE
	}
}

func setPlacement(next *messages.Config, p messages.Placement) {
	if next.Placement == p {
		return
	}
	next.Placement = p
	next.Change = "resume placement"
	if p == messages.Placement_PAUSED {
		next.Change = "pause placement"
	}
}

// completeMoves ends pending moves. A move that is not pending any more changes nothing.
func completeMoves(next *messages.Config, a *messages.CompleteMoves) {
	var over []uint32
	for _, b := range a.Moves {
		i, moving := slices.BinarySearch(next.MovesPending, b.Bucket)
		if moving && next.MovedVersions[b.Bucket] == b.ConfigVersion {
			next.MovesPending = slices.Delete(next.MovesPending, i, i+1)
			if j, back := slices.BinarySearch(next.Reverting, b.Bucket); back {
				next.Reverting = slices.Delete(next.Reverting, j, j+1)
			}
			over = append(over, b.Bucket)
		}
	}
	if len(over) > 0 {
		next.Change = fmt.Sprint(formatRanges(over), movesCompletedText, a.Group)
	}
}
