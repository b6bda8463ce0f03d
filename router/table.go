package router

import (
	"slices"

	"github.com/eraft-io/eraft/messages"
)

// Table knows the way from a key to the replica that most likely leads its group. It is pure; the Router owns it.
type Table struct {
	config    *messages.Config
	book      AddressBook
	nodes     map[uint64][]uint64       // group -> nodes of it that are in the cluster: a removed one may still be listed
	leaders   map[uint64]uint64         // group -> node believed to lead
	suspected map[uint64]bool           // nodes that let an attempt go unanswered and have not been heard since
	moves     map[uint32]*messages.Hint // bucket -> who has it, from hints that know more than the config
}

// NewTable makes a table that knows nothing.
func NewTable() *Table {
	return &Table{leaders: map[uint64]uint64{}, suspected: map[uint64]bool{}, moves: map[uint32]*messages.Hint{}}
}

// Update takes a config if it is newer.
func (t *Table) Update(config *messages.Config) bool {
	if config == nil || config.Version <= t.Version() {
		return false
	}
	t.book.Update(config)
	t.config, t.nodes = config, make(map[uint64][]uint64, len(config.Groups))
	for _, g := range config.Groups {
		t.nodes[g.Id] = slices.DeleteFunc(slices.Clone(g.Nodes), func(id uint64) bool { return t.address(id) == "" })
	}
	for bucket, hint := range t.moves {
		if !config.HasPendingMove(bucket) || hint.ConfigVersion < config.MovedVersions[bucket] {
			delete(t.moves, bucket)
		}
	}
	return true
}

// Version of the config, 0 without one.
func (t *Table) Version() uint64 { return t.config.GetVersion() }

// Level is the feature level of the cluster; the first one without a config.
func (t *Table) Level() messages.Level { return t.config.FeatureLevel() }

// Buckets of the cluster, 0 without a config.
func (t *Table) Buckets() int { return len(t.config.GetOwners()) }

// Group that owns a bucket; false if none is known.
func (t *Table) Group(bucket uint32) (uint64, bool) {
	if hint := t.moves[bucket]; hint != nil {
		return hint.Group, true
	}
	g := t.config.ServingGroup(bucket)
	return g, g != 0
}

// Leader gives the node to ask for a group, and its address.
func (t *Table) Leader(group uint64) (node uint64, address string) {
	nodes := t.nodes[group]
	if len(nodes) == 0 {
		return 0, ""
	}
	node, ok := t.leaders[group]
	if !ok || t.address(node) == "" {
		node = nodes[0]
	}
	return node, t.address(node)
}

// Replica gives a node that has a replica of a group, and its address: that at home, if there is one, else those that
// were heard take turns.
func (t *Table) Replica(group uint64, home string, turn int) (node uint64, address string) {
	nodes := t.nodes[group]
	for i := range nodes {
		next := nodes[(turn+i)%len(nodes)]
		if at := t.address(next); at == home && at != "" {
			return next, at
		} else if address == "" && !t.suspected[next] {
			node, address = next, at
		}
	}
	if address == "" {
		return t.Leader(group)
	}
	return node, address
}

// Lead records who leads a group, unless the config does not say where that node is.
func (t *Table) SetLeader(group, node uint64) bool {
	if t.address(node) == "" {
		return false
	}
	t.leaders[group] = node
	return true
}

// Silent says that a node did not answer, or was heard again.
func (t *Table) SetSuspected(node uint64, silent bool) {
	if silent {
		t.suspected[node] = true
	} else {
		delete(t.suspected, node)
	}
}

// Failed says that a node did not answer for a group, or does not know its leader: the next replica is asked,
// silent ones last.
func (t *Table) LeaderFailed(group, node uint64) {
	if now, _ := t.Leader(group); now != node {
		return // somebody knew better meanwhile
	}
	nodes := t.nodes[group]
	if len(nodes) == 0 {
		return
	}
	at := slices.Index(nodes, node)
	for i := range nodes {
		next := nodes[(at+1+i)%len(nodes)]
		if i == 0 || !t.suspected[next] {
			t.leaders[group] = next
		}
		if !t.suspected[next] {
			return
		}
	}
}

// Move records a hint that a bucket is in another group since a config. It is believed if it is newer than the hint
// before, and than the config. While the bucket is on its way the config does not say when it changes hands: then either
// of the two groups may know better.
func (t *Table) RecordMove(bucket uint32, hint *messages.Hint) {
	group := hint.GetGroup()
	if group == 0 || t.moves[bucket] != nil && hint.ConfigVersion <= t.moves[bucket].ConfigVersion {
		return
	}
	between := t.config.HasPendingMove(bucket) && (group == t.config.Owners[bucket] || group == t.config.PreviousOwners[bucket])
	if between || hint.ConfigVersion > t.Version() {
		t.moves[bucket] = hint
	}
}

func (t *Table) address(node uint64) string { return t.book.Address(node) }

// Found says that a node is not where the config says.
func (t *Table) SetAddress(a *messages.NodeAddress) { t.book.Learn(a) }

// Addresses of all nodes.
func (t *Table) Addresses() []string {
	var all []string
	for _, n := range t.config.GetNodes() {
		if !n.Removed {
			all = append(all, t.address(n.Id))
		}
	}
	return all
}
