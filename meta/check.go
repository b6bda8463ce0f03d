package meta

import (
	"fmt"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/meta/placement"
)

// Checker refuses a command before it enters the log if Apply would refuse it, or if it would make a config too large to be sent.
// view is what View returned. A command that was answered before is not checked again: in the config that it has made it may be
// invalid. The Peer of meta's leader calls it.
func Checker(view any, command []byte) *messages.Error {
	m, err := new(messages.CommandDecoder).Decode(command, messages.NewestLevel)
	if err != nil {
		return invalid("command cannot be read: %v", err)
	}
	if m.GetMeta().GetOp() == nil {
		return invalid("group 0 takes config commands only")
	}
	if why := messages.CheckMeta(m.GetMeta()); why != nil {
		return why
	}
	current, _ := view.(*View)
	if current.Answered(command) {
		return nil
	}
	config := current.GetConfig()
	if why := Check(config, m.GetMeta()); why != nil {
		return why
	}
	next := nextConfig(config, m.GetMeta(), 1<<63)
	if next == nil {
		return nil
	}
	if size := proto.Size(next); size > messages.MaxConfigBytes {
		return invalid("the config would be %d bytes long; %d is the most", size, messages.MaxConfigBytes)
	}
	if n := len(next.Nodes); n > messages.MaxNodes && n > len(config.GetNodes()) {
		return invalid("there would be %d nodes, removed ones among them; %d is the most", n, messages.MaxNodes)
	}
	if n := len(placement.ActiveGroups(next)); n > messages.MaxGroups && n > len(placement.ActiveGroups(config)) {
		return invalid("there would be %d shard groups; %d is the most", n, messages.MaxGroups)
	}
	return nil
}

// Check says why a command is refused in a config; nil: it is accepted. config is nil before bootstrap. Apply calls it too, so
// the log and the leader agree on what is refused.
func Check(config *messages.Config, command *messages.MetaCommand) *messages.Error {
	if b := command.GetBootstrap(); b != nil {
		return checkBootstrap(config, b)
	}
	if config == nil {
		return messages.Errorf(messages.Code_UNAVAILABLE, "the cluster is not bootstrapped yet")
	}
	if v := command.GetIfVersion(); v != 0 && v != config.Version {
		return messages.Errorf(messages.Code_CONFLICT, "the config is at version %d by now, not at %d: look again at what you want to change", config.Version, v)
	}
	switch op := command.GetOp().(type) {
	case *messages.MetaCommand_AddNode:
		return checkAddNode(config, op.AddNode)
	case *messages.MetaCommand_RemoveNode:
		return checkRemoveNode(config, op.RemoveNode.GetNode())
	case *messages.MetaCommand_Join:
		return checkJoin(config, op.Join)
	case *messages.MetaCommand_Leave:
		return checkLeave(config, op.Leave.GetGroup())
	case *messages.MetaCommand_Move:
		return checkMove(config, op.Move)
	case *messages.MetaCommand_SetNode:
		return checkSetNode(config, op.SetNode, command.Reason != "")
	case *messages.MetaCommand_Place:
		return checkPlace(config, op.Place)
	case *messages.MetaCommand_SetPlacement:
		if p := op.SetPlacement.GetPlacement(); p != messages.Placement_AUTOMATIC && p != messages.Placement_PAUSED {
			return invalid("placement is automatic or paused, not %v", p)
		}
		return nil
	case *messages.MetaCommand_Rebalance:
		if len(placement.ActiveGroups(config)) == 0 {
			return invalid("there is no shard group to balance over")
		}
		return nil
	case *messages.MetaCommand_CompleteMoves:
		return checkCompleteMoves(config, op.CompleteMoves)
	case *messages.MetaCommand_SetReplicas:
		return checkSetReplicas(config, op.SetReplicas)
	case *messages.MetaCommand_RaiseLevel:
		return checkRaiseLevel(config, command.IfVersion, op.RaiseLevel)
	}
	return invalid("unknown config command")
}

func invalid(format string, args ...any) *messages.Error {
	return messages.Errorf(messages.Code_INVALID, format, args...)
}

func checkBootstrap(config *messages.Config, b *messages.Bootstrap) *messages.Error {
	switch {
	case config != nil:
		return messages.Errorf(messages.Code_CONFLICT, "the cluster is bootstrapped already")
	case b.ClusterId == 0 || b.Node == nil || b.Node.DirectoryToken == 0:
		return invalid("a bootstrap record needs a cluster id and its first node")
	case b.Buckets == 0 || b.Buckets > messages.Slots:
		return invalid("%d buckets: 1 to %d are possible", b.Buckets, messages.Slots)
	case b.Groups > b.Buckets || b.Replicas == 0:
		return invalid("%d groups of %d replicas: at least one replica, and no more groups than buckets", b.Groups, b.Replicas)
	}
	return nil
}

// checkNodes refuses nodes on which a group cannot have replicas. has are the nodes of the group so far: they may be removed.
func checkNodes(config *messages.Config, nodes, has []uint64) *messages.Error {
	if len(nodes) == 0 {
		return invalid("a group needs at least one node")
	}
	for i, id := range nodes {
		if n := config.FindNode(id); n == nil || n.Removed && !slices.Contains(has, id) {
			return noSuchNode(config, id)
		}
		if slices.Contains(nodes[:i], id) {
			return invalid("node %d is named twice", id)
		}
	}
	return nil
}

func checkJoin(config *messages.Config, j *messages.JoinGroups) *messages.Error {
	if len(j.GetGroups()) == 0 {
		return invalid("no group is named")
	}
	seen := map[uint64]bool{}
	for _, g := range j.Groups {
		if g.Group == 0 || config.FindGroup(g.Group) != nil || seen[g.Group] {
			return invalid("group %d exists already: choose a new number above 0", g.Group)
		}
		seen[g.Group] = true
		if why := checkNodes(config, g.Nodes, nil); why != nil {
			return why
		}
	}
	if len(placement.ActiveGroups(config))+len(j.Groups) > len(config.Owners) {
		return invalid("there are only %d buckets: no more groups than that", len(config.Owners))
	}
	return nil
}

func checkLeave(config *messages.Config, id uint64) *messages.Error {
	groups := placement.ActiveGroups(config)
	switch {
	case !slices.Contains(groups, id):
		return invalid("group %d is no shard group of this cluster: they are %v", id, groups)
	case len(groups) == 1:
		return invalid("group %d is the last one: its buckets would have no owner: join another one first", id)
	}
	for _, b := range config.MovesPending {
		if config.Owners[b] == id {
			return movePending(config, b)
		}
	}
	return nil
}

// movePending refuses to move a bucket whose move is pending: its data would be in one of more than two groups.
func movePending(config *messages.Config, b uint32) *messages.Error {
	pending := fmt.Sprintf("bucket %d is on its way to group %d since config %d: try again when it has arrived", b, config.Owners[b], config.MovedVersions[b])
	if source := config.PreviousOwners[b]; source != 0 && mayRevert(config, b, source) {
		pending += fmt.Sprintf(", or call it back to group %d", source)
	}
	return messages.Errorf(messages.Code_CONFLICT, "%s", pending)
}

// mayRevert reports whether the pending move of a bucket can be called back to a group: only to its source, and only once, so
// that the data is always in one of the same two groups.
func mayRevert(config *messages.Config, b uint32, group uint64) bool {
	_, reverting := slices.BinarySearch(config.Reverting, b)
	return !reverting && config.PreviousOwners[b] == group
}

func checkCompleteMoves(config *messages.Config, a *messages.CompleteMoves) *messages.Error {
	for _, b := range a.GetMoves() {
		if n := len(config.Owners); int(b.Bucket) >= n {
			return invalid("bucket %d does not exist: buckets are 0-%d", b.Bucket, n-1)
		}
	}
	return nil
}

func checkMove(config *messages.Config, m *messages.MoveBuckets) *messages.Error {
	switch n := uint32(len(config.Owners)); {
	case m.First > m.Last:
		return invalid("buckets %d-%d: the first is behind the last", m.First, m.Last)
	case m.Last >= n:
		return invalid("bucket %d does not exist: buckets are 0-%d", m.Last, n-1)
	case !slices.Contains(placement.ActiveGroups(config), m.Group):
		return invalid("group %d is no shard group of this cluster: they are %v", m.Group, placement.ActiveGroups(config))
	}
	for _, b := range config.MovesPending {
		if m.First <= b && b <= m.Last && config.Owners[b] != m.Group && !mayRevert(config, b, m.Group) {
			return movePending(config, b)
		}
	}
	return nil
}

func checkPlace(config *messages.Config, p *messages.PlaceBuckets) *messages.Error {
	if len(p.GetMoves()) == 0 {
		return invalid("no bucket is named")
	}
	for i, m := range p.Moves {
		if slices.ContainsFunc(p.Moves[:i], func(other *messages.BucketMove) bool { return other.Bucket == m.Bucket }) {
			return invalid("bucket %d is named twice", m.Bucket)
		}
		if why := checkMove(config, &messages.MoveBuckets{First: m.Bucket, Last: m.Bucket, Group: m.To}); why != nil {
			return why
		}
	}
	return nil
}

func checkSetReplicas(config *messages.Config, s *messages.SetReplicas) *messages.Error {
	g := config.FindGroup(s.GetGroup())
	if g == nil {
		return invalid("group %d does not exist", s.GetGroup())
	}
	if len(s.Nodes) == 0 && placement.Unneeded(config, g) {
		return nil
	}
	return checkNodes(config, s.Nodes, g.Nodes)
}
