package meta

import (
	"cmp"
	"slices"

	"github.com/eraft-io/eraft/messages"
)

// Balance evens out how many buckets each group owns, with the fewest moves: no group then has two more than
// another, buckets without a living owner are placed first, and a balanced table is left alone. Buckets of fixed
// (ascending) stay where they are, even if that leaves the table uneven. It is deterministic.
func Balance(owners, groups []uint64, fixed []uint32) []uint64 {
	next := slices.Clone(owners)
	if len(groups) == 0 {
		return next
	}
	groups = slices.Sorted(slices.Values(groups))
	count := map[uint64]int{}
	var homeless []int
	for b, owner := range next {
		if slices.Contains(groups, owner) {
			count[owner]++
		} else {
			homeless = append(homeless, b)
		}
	}
	least := func() uint64 {
		return slices.MinFunc(groups, func(a, b uint64) int { return cmp.Or(cmp.Compare(count[a], count[b]), cmp.Compare(a, b)) })
	}
	for _, b := range homeless {
		g := least()
		next[b] = g
		count[g]++
	}
	givers := slices.Clone(groups)
	for {
		low := least()
		high := slices.MinFunc(givers, func(a, b uint64) int { return cmp.Or(cmp.Compare(count[b], count[a]), cmp.Compare(a, b)) })
		if count[high]-count[low] < 2 {
			return next
		}
		b := lastOf(next, high, fixed)
		if b < 0 {
			if givers = slices.DeleteFunc(givers, func(g uint64) bool { return g == high }); len(givers) == 0 {
				return next // the rest is on its way; a later rebalance goes on
			}
			continue
		}
		next[b] = low
		count[high]--
		count[low]++
	}
}

func lastOf(owners []uint64, group uint64, fixed []uint32) int {
	for b := len(owners) - 1; b >= 0; b-- {
		if _, stays := slices.BinarySearch(fixed, uint32(b)); owners[b] == group && !stays {
			return b
		}
	}
	return -1
}

// metaReplicas is how many replicas meta wants with that many nodes.
func metaReplicas(nodes int) int {
	switch {
	case nodes >= 7:
		return 5
	case nodes >= 3:
		return 3
	}
	return 1
}

// Plan is what placement wants next, as commands to propose one after the other; empty when all is as it should be.
// alive is a hint: who is not gets nothing new.
func Plan(config *messages.Config, alive func(node uint64) bool) []*messages.MetaCommand {
	var nodes []uint64
	for _, n := range config.Nodes {
		if !n.Removed && alive(n.Id) {
			nodes = append(nodes, n.Id)
		}
	}
	var plan []*messages.MetaCommand
	if g := find(config, uint64(messages.Meta)); g != nil {
		if grown := grow(g.Nodes, nodes, metaReplicas(len(nodes))); len(grown) > len(g.Nodes) {
			plan = append(plan, &messages.MetaCommand{Op: &messages.MetaCommand_SetReplicas{
				SetReplicas: &messages.SetReplicas{Group: g.Id, Nodes: grown},
			}})
		}
	}
	if len(config.Groups) == 1 && len(nodes) >= int(config.Expect) && len(nodes) > 0 {
		plan = append(plan, &messages.MetaCommand{Op: &messages.MetaCommand_Join{
			Join: &messages.JoinGroups{Groups: firstGroups(int(config.GroupsWanted), int(config.Replicas), nodes)},
		}})
	}
	return plan
}

func grow(have, nodes []uint64, want int) []uint64 {
	grown := slices.Clone(have)
	for _, n := range nodes {
		if len(grown) < want && !slices.Contains(grown, n) {
			grown = append(grown, n)
		}
	}
	return grown
}

// firstGroups spreads groups and their preferred leaders over nodes, round robin.
func firstGroups(groups, replicas int, nodes []uint64) []*messages.NewGroup {
	replicas = min(replicas, len(nodes))
	var all []*messages.NewGroup
	for g := range groups {
		n := &messages.NewGroup{Group: uint64(g + 1)}
		for r := range replicas {
			n.Nodes = append(n.Nodes, nodes[(g+r)%len(nodes)])
		}
		all = append(all, n)
	}
	return all
}

// Orphans are the buckets without owner.
func Orphans(config *messages.Config) []uint32 {
	var all []uint32
	for b, owner := range config.Owners {
		if owner == 0 {
			all = append(all, uint32(b))
		}
	}
	return all
}

func find(config *messages.Config, group uint64) *messages.Group {
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

// active are the shard groups that may own buckets.
func active(config *messages.Config) []uint64 {
	var all []uint64
	for _, g := range config.Groups {
		if g.Id != uint64(messages.Meta) && !g.Left {
			all = append(all, g.Id)
		}
	}
	return all
}
