package meta

import (
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/messages"
)

// Checker refuses, before they enter the log, commands that Apply would refuse anyway, and those that would make a config
// too large to be sent. view is what View gave. What was answered already is not looked at again: in a config that it has
// changed it may make no sense.
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
	now, _ := view.(*View)
	if now.Answered(command) {
		return nil
	}
	config := now.GetConfig()
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
	if n := len(activeGroups(next)); n > messages.MaxGroups && n > len(activeGroups(config)) {
		return invalid("there would be %d shard groups; %d is the most", n, messages.MaxGroups)
	}
	return nil
}

// Check tells why a command makes no sense in a config; nil: it does. Apply asks the same function, so what was
// refused before the log is refused in it, and the other way round.
func Check(config *messages.Config, command *messages.MetaCommand) *messages.Error {
	if b := command.GetBootstrap(); b != nil {
		return checkBootstrap(config, b)
	}
	if config == nil {
		return messages.Errorf(messages.Code_UNAVAILABLE, "the cluster is not born yet")
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
		if len(activeGroups(config)) == 0 {
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
		return messages.Errorf(messages.Code_CONFLICT, "the cluster is born already")
	case b.ClusterId == 0 || b.Node == nil || b.Node.DirectoryToken == 0:
		return invalid("a birth needs a cluster id and its first node")
	case b.Buckets == 0 || b.Buckets > messages.Slots:
		return invalid("%d buckets: 1 to %d are possible", b.Buckets, messages.Slots)
	case b.Groups > b.Buckets || b.Replicas == 0:
		return invalid("%d groups of %d replicas: at least one replica, and no more groups than buckets", b.Groups, b.Replicas)
	}
	return nil
}

// maxNodeInfoBytes is more than a node says of itself. Anybody may ask to be admitted.
const maxNodeInfoBytes = 16 << 10

func checkAddNode(config *messages.Config, a *messages.AddNode) *messages.Error {
	if a.GetName() == "" || a.GetAddress() == "" || a.GetDirectoryToken() == 0 {
		return invalid("a node needs a name, an address and a token")
	}
	if size := proto.Size(a); size > maxNodeInfoBytes {
		return invalid("what the node says of itself is %d bytes long, but %d is the most: the config keeps it", size, maxNodeInfoBytes)
	}
	if at := strings.LastIndexByte(a.Address, ':'); at <= 0 || at == len(a.Address)-1 || strings.ContainsAny(a.Address, "/ ") {
		return invalid("%q is not an address of the form host:port at which others reach the node", a.Address)
	}
	if err := CheckLabels(a.Labels); err != nil {
		return invalid("%v", err)
	}
	if why := checkNodeLevel(config, a); why != nil {
		return why
	}
	for _, n := range config.Nodes {
		if n.DirectoryToken == a.DirectoryToken && n.Removed {
			return messages.Errorf(messages.Code_CONFLICT, "%s was removed: start it with an empty data directory to join as a new node", nodeTitle(n))
		}
		if n.DirectoryToken == a.DirectoryToken || n.Removed {
			continue
		}
		elsewhere := config.FeatureLevel() >= deltaLevel // by now, since somebody else is there
		if nodeByToken(config, a.DirectoryToken) != nil && (n.Name == a.Name || n.Address == a.Address && !elsewhere) {
			return messages.Errorf(messages.Code_CONFLICT, "%s at %s has that name or address: choose another, or remove that node first", nodeTitle(n), n.Address)
		}
		if n.Name == a.Name {
			if n.Id != a.Replaces {
				return messages.Errorf(messages.Code_CONFLICT, "name %q belongs to %s at %s since a moment ago: ask again to take its place, or choose another name",
					n.Name, nodeTitle(n), n.Address)
			}
			if why := checkLoss(config, n); why != nil {
				return why
			}
			continue
		}
		if n.Address == a.Address && !elsewhere {
			return messages.Errorf(messages.Code_CONFLICT, "address %s belongs to %s: remove that node first", a.Address, nodeTitle(n))
		}
	}
	return checkZone(config, a)
}

// checkZone refuses a node without a zone where all others have one: it could not be told whether it shares one's fate.
func checkZone(config *messages.Config, a *messages.AddNode) *messages.Error {
	others := false
	for _, n := range config.Nodes {
		if n.Removed || n.DirectoryToken == a.DirectoryToken || n.Name == a.Name {
			continue
		}
		if zone(n.Labels) == "" {
			return nil
		}
		others = true
	}
	if others && zone(a.Labels) == "" {
		return invalid("all other nodes say in which zone they are, and replicas are spread over zones: start it with --labels zone=…")
	}
	return nil
}

func checkSetNode(config *messages.Config, s *messages.SetNode, byPlacement bool) *messages.Error {
	n := findNode(config, s.GetNode())
	if n == nil || n.Removed {
		return noSuchNode(config, s.GetNode())
	}
	switch {
	case s.State == messages.NodeState_LOST && !byPlacement:
		return invalid("a node is lost when it is silent, not by command: drain or remove it")
	case s.State == messages.NodeState_DRAINING && n.State != s.State && lastAccepting(config, n):
		return messages.Errorf(messages.Code_CONFLICT, "%s is the last one that can have data: let another node join first", nodeTitle(n))
	case s.State > messages.NodeState_LOST:
		return invalid("unknown node state %d", s.State)
	}
	return nil
}

// takes tells whether a node may get replicas.
func acceptsReplicas(n *messages.Node) bool {
	return !n.Removed && n.State == messages.NodeState_ACTIVE
}

// last tells whether no other node may get replicas.
func lastAccepting(config *messages.Config, n *messages.Node) bool {
	return !slices.ContainsFunc(config.Nodes, func(other *messages.Node) bool { return other != n && acceptsReplicas(other) })
}

func noSuchNode(config *messages.Config, id uint64) *messages.Error {
	var there []uint64
	for _, n := range config.Nodes {
		if !n.Removed {
			there = append(there, n.Id)
		}
	}
	return invalid("node %d does not exist: the nodes are %v", id, there)
}

func checkRemoveNode(config *messages.Config, id uint64) *messages.Error {
	n := findNode(config, id)
	if n == nil {
		return noSuchNode(config, id)
	}
	if n.Removed {
		return nil
	}
	if lastAccepting(config, n) {
		return messages.Errorf(messages.Code_CONFLICT, "%s is the last one that can have data: let another node join, or undrain one", nodeTitle(n))
	}
	return checkLoss(config, n)
}

// checkLoss refuses to forget a node that alone has some group's data.
func checkLoss(config *messages.Config, n *messages.Node) *messages.Error {
	for _, g := range groupsOn(config, n.Id) {
		if !slices.ContainsFunc(g.Nodes, func(other uint64) bool { return other != n.Id && !findNode(config, other).Removed }) {
			return messages.Errorf(messages.Code_CONFLICT, "%s is the only one with group %d, whose data would be lost: bring it back", nodeTitle(n), g.Id)
		}
	}
	return nil
}

// checkNodes refuses nodes on which a group cannot be. Those that it has may be gone already.
func checkNodes(config *messages.Config, nodes, has []uint64) *messages.Error {
	if len(nodes) == 0 {
		return invalid("a group needs at least one node")
	}
	for i, id := range nodes {
		if n := findNode(config, id); n == nil || n.Removed && !slices.Contains(has, id) {
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
		if g.Group == 0 || findGroup(config, g.Group) != nil || seen[g.Group] {
			return invalid("group %d exists already: choose a new number above 0", g.Group)
		}
		seen[g.Group] = true
		if why := checkNodes(config, g.Nodes, nil); why != nil {
			return why
		}
	}
	if len(activeGroups(config))+len(j.Groups) > len(config.Owners) {
		return invalid("there are only %d buckets: no more groups than that", len(config.Owners))
	}
	return nil
}

func checkLeave(config *messages.Config, id uint64) *messages.Error {
	groups := activeGroups(config)
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

// movePending refuses to move a bucket that is on its way any further: where its data is would be a matter of many configs.
func movePending(config *messages.Config, b uint32) *messages.Error {
	way := fmt.Sprintf("bucket %d is on its way to group %d since config %d: try again when it has arrived", b, config.Owners[b], config.MovedVersions[b])
	if giver := config.PreviousOwners[b]; giver != 0 && mayRevert(config, b, giver) {
		way += fmt.Sprintf(", or call it back to group %d", giver)
	}
	return messages.Errorf(messages.Code_CONFLICT, "%s", way)
}

// mayRevert tells whether a move can be called back: to the group that has the data if the other one has not, and only
// once, so that the data is in one of the same two groups.
func mayRevert(config *messages.Config, b uint32, group uint64) bool {
	_, back := slices.BinarySearch(config.Reverting, b)
	return !back && config.PreviousOwners[b] == group
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
	case !slices.Contains(activeGroups(config), m.Group):
		return invalid("group %d is no shard group of this cluster: they are %v", m.Group, activeGroups(config))
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
	g := findGroup(config, s.GetGroup())
	if g == nil {
		return invalid("group %d does not exist", s.GetGroup())
	}
	if len(s.Nodes) == 0 && unneeded(config, g) {
		return nil
	}
	return checkNodes(config, s.Nodes, g.Nodes)
}

// over tells whether nobody needs anything of a group any more: it has left, and what it had has arrived elsewhere.
func unneeded(config *messages.Config, g *messages.Group) bool {
	return g.Left && !slices.Contains(config.Owners, g.Id) && !slices.ContainsFunc(config.MovesPending, func(b uint32) bool {
		return config.PreviousOwners[b] == g.Id
	})
}
