package meta

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/messages"
)

// change makes the next config from one that Check has accepted the command for. An empty Change says that nothing
// differs: there is no next version then.
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
		if n := findNode(next, op.RemoveNode.Node); !n.Removed {
			n.Removed = true
			next.Change = "remove " + nodeTitle(n)
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
		Change: fmt.Sprintf("birth with %d buckets", b.Buckets),
	}
}

func newNode(id uint64, a *messages.AddNode) *messages.Node {
	return &messages.Node{
		Id: id, Name: a.Name, Address: a.Address, Epoch: a.Epoch, Resp: a.Resp, Http: a.Http, DirectoryToken: a.DirectoryToken, Labels: a.Labels,
	}
}

// maxRemovedListed is how many removed nodes a config goes on to list, for people.
const maxRemovedListed = 64

// nextNodeID is the id of the next node: none is given twice.
func nextNodeID(config *messages.Config) uint64 {
	next := max(config.NextNodeId, 1)
	if n := len(config.Nodes); n > 0 {
		next = max(next, config.Nodes[n-1].Id+1)
	}
	return next
}

// forget takes the oldest removed nodes off the list, but for those that a group still names.
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

// Gone tells whether a node was removed, however long ago.
func WasRemoved(config *messages.Config, id uint64) bool {
	if n := findNode(config, id); n != nil {
		return n.Removed
	}
	return id < config.GetNextNodeId()
}

// title names a node for people.
func nodeTitle(n *messages.Node) string { return fmt.Sprintf("node %d (%s)", n.Id, n.Name) }

func nodeByToken(config *messages.Config, token uint64) *messages.Node {
	for _, n := range config.Nodes {
		if n.DirectoryToken == token {
			return n
		}
	}
	return nil
}

// Named finds the node of that name; nil if there is none.
func NodeByName(config *messages.Config, name string) *messages.Node {
	for _, n := range config.GetNodes() {
		if !n.Removed && n.Name == name {
			return n
		}
	}
	return nil
}

// addNode admits a node, or takes what is new on the card of one that is in. Who comes with the name of another one has
// lost that one's disk: an id without its disk does not vote again.
func addNode(next *messages.Config, a *messages.AddNode) {
	if old := nodeByToken(next, a.DirectoryToken); old != nil {
		card := newNode(old.Id, a)
		card.Epoch, card.State, card.StateSinceMs, card.DrainReplicas = old.Epoch, old.State, old.StateSinceMs, old.DrainReplicas
		if !proto.Equal(card, old) {
			card.Epoch = a.Epoch
			next.Nodes[slices.Index(next.Nodes, old)] = card
			next.Change = fmt.Sprintf("%s is at %s", nodeTitle(card), card.Address)
		}
		for _, f := range a.ForcedQuorums {
			recordForced(next, card, f)
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

// recordForced writes down, once, that a node was made the only voter of a group by hand.
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
		nodeTitle(node), f.Group, f.Index, f.Term, f.Lost)
}

func setNode(next *messages.Config, s *messages.SetNode) {
	n := findNode(next, s.Node)
	if n.State == s.State {
		return
	}
	switch {
	case s.State == messages.NodeState_DRAINING:
		n.DrainReplicas = uint32(len(groupsOn(next, n.Id)))
		next.Change = "drain " + nodeTitle(n)
	case s.State == messages.NodeState_LOST:
		next.Change = nodeTitle(n) + " is lost"
	case n.State == messages.NodeState_LOST:
		next.Change = nodeTitle(n) + " is back"
	default:
		next.Change = "undrain " + nodeTitle(n)
	}
	n.State = s.State
}

// groupsOn are the groups that should have a replica on a node.
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
		next.TargetGroups = uint32(len(activeGroups(next)))
	} else {
		fixed = owned(next)
	}
	next.Owners = Balance(next.Owners, activeGroups(next), Constraints{Fixed: fixed})
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
	findGroup(next, id).Left = true
	next.Change = fmt.Sprintf("leave %d", id)
	if byHand {
		next.TargetGroups = uint32(len(activeGroups(next)))
	}
	next.Owners = Balance(next.Owners, activeGroups(next), Constraints{Fixed: next.MovesPending})
}

func setReplicas(next *messages.Config, s *messages.SetReplicas) {
	g := findGroup(next, s.Group)
	if slices.Equal(g.Nodes, s.Nodes) {
		return
	}
	g.Nodes = s.Nodes
	next.Change = fmt.Sprintf("replicas of group %d on %v", g.Id, g.Nodes)
	if len(g.Nodes) == 0 {
		next.Change = fmt.Sprintf("group %d is over", g.Id)
	}
}

// move gives buckets to a group by hand: they are pinned there.
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

// arrived ends moves. One that was over before changes nothing.
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
