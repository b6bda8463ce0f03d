package meta

import (
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/messages"
)

// Checker refuses, before they enter the log, commands that Apply would refuse anyway. view is what View gave.
func Checker(view any, command []byte) *messages.Error {
	m := new(messages.Command)
	if proto.Unmarshal(command, m) != nil || m.GetMeta().GetOp() == nil {
		return messages.Errorf(messages.Code_INVALID, "group 0 takes config commands only")
	}
	config, _ := view.(*messages.Config)
	return Check(config, m.GetMeta())
}

// Check tells why a command makes no sense in a config; nil: it does. Apply asks the same function, so what was
// refused before the log is refused in it, and the other way round.
func Check(config *messages.Config, command *messages.MetaCommand) *messages.Error {
	if b := command.GetBirth(); b != nil {
		return checkBirth(config, b)
	}
	if config == nil {
		return messages.Errorf(messages.Code_UNAVAILABLE, "the cluster is not born yet")
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
	case *messages.MetaCommand_Rebalance:
		if len(active(config)) == 0 {
			return invalid("there is no shard group to balance over")
		}
		return nil
	case *messages.MetaCommand_Arrived:
		return checkArrived(config, op.Arrived)
	case *messages.MetaCommand_SetReplicas:
		return checkSetReplicas(config, op.SetReplicas)
	}
	return invalid("unknown config command")
}

func invalid(format string, args ...any) *messages.Error {
	return messages.Errorf(messages.Code_INVALID, format, args...)
}

func checkBirth(config *messages.Config, b *messages.Birth) *messages.Error {
	switch {
	case config != nil:
		return messages.Errorf(messages.Code_CONFLICT, "the cluster is born already")
	case b.ClusterId == 0 || b.Node == nil || b.Node.Token == 0:
		return invalid("a birth needs a cluster id and its first node")
	case b.Buckets == 0 || b.Buckets > messages.Slots:
		return invalid("%d buckets: 1 to %d are possible", b.Buckets, messages.Slots)
	case b.Groups == 0 || b.Groups > b.Buckets || b.Replicas == 0:
		return invalid("%d groups of %d replicas: at least one of each, and no more groups than buckets", b.Groups, b.Replicas)
	}
	return nil
}

func checkAddNode(config *messages.Config, a *messages.AddNode) *messages.Error {
	if a.GetName() == "" || a.GetAddress() == "" || a.GetToken() == 0 {
		return invalid("a node needs a name, an address and a token")
	}
	for _, n := range config.Nodes {
		if n.Token == a.Token {
			if n.Removed {
				return messages.Errorf(messages.Code_CONFLICT, "node %d (%s) was removed: start it with an empty data directory to join as a new node", n.Id, n.Name)
			}
			continue
		}
		if !n.Removed && n.Name == a.Name {
			return messages.Errorf(messages.Code_CONFLICT, "name %q is taken by node %d at %s: choose another name, or remove that node first", a.Name, n.Id, n.Address)
		}
		if !n.Removed && n.Address == a.Address {
			return messages.Errorf(messages.Code_CONFLICT, "address %s belongs to node %d (%s): remove that node first", a.Address, n.Id, n.Name)
		}
	}
	return nil
}

func checkRemoveNode(config *messages.Config, id uint64) *messages.Error {
	n := findNode(config, id)
	if n == nil {
		return invalid("node %d does not exist", id)
	}
	for _, g := range config.Groups {
		if slices.Contains(g.Nodes, id) && !n.Removed {
			return messages.Errorf(messages.Code_CONFLICT, "node %d still has a replica of group %d", id, g.Id)
		}
	}
	return nil
}

func checkNodes(config *messages.Config, nodes []uint64) *messages.Error {
	if len(nodes) == 0 {
		return invalid("a group needs at least one node")
	}
	for i, id := range nodes {
		if n := findNode(config, id); n == nil || n.Removed {
			return invalid("node %d does not exist", id)
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
		if g.Group == 0 || find(config, g.Group) != nil || seen[g.Group] {
			return invalid("group %d exists already: choose a new number above 0", g.Group)
		}
		seen[g.Group] = true
		if why := checkNodes(config, g.Nodes); why != nil {
			return why
		}
	}
	if len(active(config))+len(j.Groups) > len(config.Owners) {
		return invalid("there are only %d buckets: no more groups than that", len(config.Owners))
	}
	return nil
}

func checkLeave(config *messages.Config, id uint64) *messages.Error {
	groups := active(config)
	switch {
	case !slices.Contains(groups, id):
		return invalid("group %d is no shard group of this cluster: they are %v", id, groups)
	case len(groups) == 1:
		return invalid("group %d is the last one: its buckets would have no owner", id)
	}
	for _, b := range config.Arriving {
		if config.Owners[b] == id {
			return onItsWay(config, b)
		}
	}
	return nil
}

// onItsWay refuses to move a bucket twice at once: where its data is would no longer be a matter of one config.
func onItsWay(config *messages.Config, b uint32) *messages.Error {
	return messages.Errorf(messages.Code_CONFLICT, "bucket %d is on its way to group %d since config %d: try again when it has arrived",
		b, config.Owners[b], config.Moved[b])
}

func checkArrived(config *messages.Config, a *messages.Arrived) *messages.Error {
	for _, b := range a.GetBuckets() {
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
	case !slices.Contains(active(config), m.Group):
		return invalid("group %d is no shard group of this cluster: they are %v", m.Group, active(config))
	}
	for _, b := range config.Arriving {
		if m.First <= b && b <= m.Last && config.Owners[b] != m.Group {
			return onItsWay(config, b)
		}
	}
	return nil
}

func checkSetReplicas(config *messages.Config, s *messages.SetReplicas) *messages.Error {
	if find(config, s.GetGroup()) == nil {
		return invalid("group %d does not exist", s.GetGroup())
	}
	return checkNodes(config, s.Nodes)
}
