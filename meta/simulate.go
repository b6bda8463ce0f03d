package meta

import (
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/meta/placement"
)

// Simulate is the dry run of a rebalance: the steps that placement would take from a config on, for people, as if each ended at
// once and no bucket were pinned. It returns at most that many steps, and changes nothing.
func Simulate(config *messages.Config, state placement.ClusterState, maxSteps int) (steps []*messages.PlanStep) {
	config = proto.Clone(config).(*messages.Config)
	config.Pinned, config.MovesPending, config.Placement = nil, nil, messages.Placement_AUTOMATIC
	state.Settled = nil
	for len(steps) < maxSteps {
		plan := placement.Plan(config, state)
		if len(plan) == 0 || Check(config, plan[0]) != nil {
			break
		}
		next := applyCommand(config, plan[0])
		next.Version++
		steps = append(steps, describe(config, plan[0])...)
		config = next
	}
	return steps[:min(len(steps), maxSteps)]
}

// describe says for people what a command of placement does.
func describe(config *messages.Config, c *messages.MetaCommand) []*messages.PlanStep {
	step := func(what, from, to string) []*messages.PlanStep {
		return []*messages.PlanStep{{What: what, From: from, To: to, Reason: c.Reason}}
	}
	switch op := c.Op.(type) {
	case *messages.MetaCommand_SetReplicas:
		g := config.FindGroup(op.SetReplicas.Group)
		what := fmt.Sprintf("replicas of group %d", g.Id)
		if messages.SameNodes(g.Nodes, op.SetReplicas.Nodes) {
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
		return step(fmt.Sprintf("group %d", op.Leave.Group), fmt.Sprint(config.FindGroup(op.Leave.Group).Nodes), "")
	case *messages.MetaCommand_SetNode:
		n := config.FindNode(op.SetNode.Node)
		return step(n.Title(), n.State.String(), op.SetNode.State.String())
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
