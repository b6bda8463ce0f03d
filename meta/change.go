package meta

import (
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/messages"
)

// change makes the next config from one that Check has accepted the command for. An empty Change says that nothing
// differs: there is no next version then.
func change(config *messages.Config, command *messages.MetaCommand) *messages.Config {
	if b := command.GetBirth(); b != nil {
		return birth(b)
	}
	next := proto.Clone(config).(*messages.Config)
	next.Change = ""
	switch op := command.Op.(type) {
	case *messages.MetaCommand_AddNode:
		addNode(next, op.AddNode)
	case *messages.MetaCommand_RemoveNode:
		if n := findNode(next, op.RemoveNode.Node); !n.Removed {
			n.Removed = true
			next.Change = fmt.Sprintf("remove node %d (%s)", n.Id, n.Name)
		}
	case *messages.MetaCommand_Join:
		for _, g := range op.Join.Groups {
			next.Groups = append(next.Groups, &messages.Group{Id: g.Group, Nodes: g.Nodes, Initial: slices.Clone(g.Nodes)})
			next.Change += fmt.Sprintf("join %d on %v; ", g.Group, g.Nodes)
		}
		slices.SortFunc(next.Groups, func(a, b *messages.Group) int { return int(int64(a.Id - b.Id)) })
		next.Change = next.Change[:len(next.Change)-2]
		next.Owners = Balance(next.Owners, active(next), next.Arriving)
	case *messages.MetaCommand_Leave:
		find(next, op.Leave.Group).Left = true
		next.Change = fmt.Sprintf("leave %d", op.Leave.Group)
		next.Owners = Balance(next.Owners, active(next), next.Arriving)
	case *messages.MetaCommand_Move:
		move(next, op.Move)
	case *messages.MetaCommand_Rebalance:
		if balanced := Balance(next.Owners, active(next), next.Arriving); !slices.Equal(balanced, next.Owners) {
			next.Owners, next.Change = balanced, "rebalance"
		}
	case *messages.MetaCommand_Arrived:
		arrived(next, op.Arrived)
	case *messages.MetaCommand_SetReplicas:
		if g := find(next, op.SetReplicas.Group); !slices.Equal(g.Nodes, op.SetReplicas.Nodes) {
			g.Nodes = op.SetReplicas.Nodes
			next.Change = fmt.Sprintf("replicas of group %d on %v", g.Id, g.Nodes)
		}
	}
	return next
}

func birth(b *messages.Birth) *messages.Config {
	return &messages.Config{
		ClusterId: b.ClusterId, Replicas: b.Replicas, Expect: b.Expect, GroupsWanted: b.Groups,
		Nodes:  []*messages.Node{nodeOf(1, b.Node)},
		Groups: []*messages.Group{{Id: uint64(messages.Meta), Nodes: []uint64{1}, Initial: []uint64{1}}},
		Owners: make([]uint64, b.Buckets),
		Change: fmt.Sprintf("birth with %d buckets", b.Buckets),
	}
}

func nodeOf(id uint64, a *messages.AddNode) *messages.Node {
	return &messages.Node{Id: id, Name: a.Name, Address: a.Address, Epoch: a.Epoch, Resp: a.Resp, Http: a.Http, Token: a.Token}
}

func byToken(config *messages.Config, token uint64) *messages.Node {
	for _, n := range config.Nodes {
		if n.Token == token {
			return n
		}
	}
	return nil
}

func addNode(next *messages.Config, a *messages.AddNode) {
	old := byToken(next, a.Token)
	if old == nil {
		id := uint64(len(next.Nodes) + 1) // removed nodes stay in the list: an id is never given twice
		next.Nodes = append(next.Nodes, nodeOf(id, a))
		next.Change = fmt.Sprintf("add node %d (%s)", id, a.Name)
		return
	}
	card := nodeOf(old.Id, a)
	card.Epoch = old.Epoch
	if !proto.Equal(card, old) {
		card.Epoch = a.Epoch
		next.Nodes[slices.Index(next.Nodes, old)] = card
		next.Change = fmt.Sprintf("node %d (%s) is at %s", card.Id, card.Name, card.Address)
	}
}

func move(next *messages.Config, m *messages.MoveBuckets) {
	for b := m.First; b <= m.Last; b++ {
		if next.Owners[b] != m.Group {
			next.Owners[b] = m.Group
			next.Change = fmt.Sprintf("move %s to %d", Span(m.First, m.Last), m.Group)
		}
	}
}

// arrived ends moves. One that was over before changes nothing.
func arrived(next *messages.Config, a *messages.Arrived) {
	var over []uint32
	for _, b := range a.Buckets {
		i, moving := slices.BinarySearch(next.Arriving, b.Bucket)
		if moving && next.Moved[b.Bucket] == b.ConfigVersion {
			next.Arriving = slices.Delete(next.Arriving, i, i+1)
			over = append(over, b.Bucket)
		}
	}
	if len(over) > 0 {
		next.Change = fmt.Sprintf("%s arrived at %d", spans(over), a.Group)
	}
}

// maxSpans is how many ranges a text names.
const maxSpans = 8

// spans writes buckets as ranges: "1-3, 7", or how many they are where that says more.
func spans(buckets []uint32) string {
	slices.Sort(buckets)
	var all []string
	for i := 0; i < len(buckets); {
		j := i
		for j+1 < len(buckets) && buckets[j+1] <= buckets[j]+1 {
			j++
		}
		all = append(all, Span(buckets[i], buckets[j]))
		i = j + 1
	}
	if len(all) > maxSpans {
		return fmt.Sprintf("%d buckets", len(buckets))
	}
	return strings.Join(all, ", ")
}

// Span writes a range of buckets for people: "3" or "3-5".
func Span(first, last uint32) string {
	if first == last {
		return fmt.Sprint(first)
	}
	return fmt.Sprintf("%d-%d", first, last)
}

// Diff says in lines what differs between two configs, for people.
func Diff(a, b *messages.Config) []string {
	var lines []string
	for _, n := range b.Nodes {
		switch old := findNode(a, n.Id); {
		case old == nil:
			lines = append(lines, fmt.Sprintf("+ node %d %s %s", n.Id, n.Name, n.Address))
		case n.Removed && !old.Removed:
			lines = append(lines, fmt.Sprintf("- node %d %s", n.Id, n.Name))
		case !proto.Equal(old, n):
			lines = append(lines, fmt.Sprintf("~ node %d %s %s -> %s", n.Id, n.Name, old.Address, n.Address))
		}
	}
	for _, g := range b.Groups {
		switch old := find(a, g.Id); {
		case old == nil:
			lines = append(lines, fmt.Sprintf("+ group %d on nodes %v", g.Id, g.Nodes))
		case g.Left && !old.Left:
			lines = append(lines, fmt.Sprintf("- group %d", g.Id))
		case !slices.Equal(old.Nodes, g.Nodes):
			lines = append(lines, fmt.Sprintf("~ group %d on nodes %v -> %v", g.Id, old.Nodes, g.Nodes))
		}
	}
	for i := 0; i < len(b.Owners) && i < len(a.Owners); {
		from, to, j := a.Owners[i], b.Owners[i], i
		for j < len(b.Owners) && a.Owners[j] == from && b.Owners[j] == to {
			j++
		}
		if from != to {
			lines = append(lines, fmt.Sprintf("~ bucket %s: group %d -> %d", Span(uint32(i), uint32(j-1)), from, to))
		}
		i = j
	}
	return lines
}
