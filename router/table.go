package router

import (
	"slices"

	"github.com/eraft-io/eraft/messages"
)

// Table knows the way from a key to the replica that most likely leads its group. It is pure; the Router owns it.
type Table struct {
	config  *messages.Config
	leaders map[uint64]uint64 // group -> node believed to lead
	silent  map[uint64]bool   // nodes that let an attempt go unanswered and have not been heard since
	moved   map[uint32]uint64 // bucket -> group, from hints newer than the config
}

// NewTable makes a table that knows nothing.
func NewTable() *Table {
	return &Table{leaders: map[uint64]uint64{}, silent: map[uint64]bool{}, moved: map[uint32]uint64{}}
}

// Update takes a config if it is newer.
func (t *Table) Update(config *messages.Config) bool {
	if config == nil || config.Version <= t.Version() {
		return false
	}
	t.config = config
	clear(t.moved)
	return true
}

// Version of the config, 0 without one.
func (t *Table) Version() uint64 { return t.config.GetVersion() }

// Buckets of the cluster, 0 without a config.
func (t *Table) Buckets() int { return len(t.config.GetOwners()) }

// Group that owns a bucket; false if none is known.
func (t *Table) Group(bucket uint32) (uint64, bool) {
	if g, ok := t.moved[bucket]; ok {
		return g, true
	}
	if int(bucket) >= t.Buckets() {
		return 0, false
	}
	g := t.config.Owners[bucket]
	return g, g != 0
}

// Leader gives the node to ask for a group, and its address.
func (t *Table) Leader(group uint64) (node uint64, address string) {
	nodes := t.replicas(group)
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
	nodes := t.replicas(group)
	for i := range nodes {
		next := nodes[(turn+i)%len(nodes)]
		if at := t.address(next); at == home && at != "" {
			return next, at
		} else if address == "" && !t.silent[next] {
			node, address = next, at
		}
	}
	if address == "" {
		return t.Leader(group)
	}
	return node, address
}

// Lead records who leads a group.
func (t *Table) Lead(group, node uint64) {
	if t.address(node) != "" {
		t.leaders[group] = node
	}
}

// Silent says that a node did not answer, or was heard again.
func (t *Table) Silent(node uint64, silent bool) {
	if silent {
		t.silent[node] = true
	} else {
		delete(t.silent, node)
	}
}

// Failed says that a node did not answer for a group, or does not know its leader: the next replica is asked,
// silent ones last.
func (t *Table) Failed(group, node uint64) {
	if now, _ := t.Leader(group); now != node {
		return // somebody knew better meanwhile
	}
	nodes := t.replicas(group)
	if len(nodes) == 0 {
		return
	}
	at := slices.Index(nodes, node)
	for i := range nodes {
		next := nodes[(at+1+i)%len(nodes)]
		if i == 0 || !t.silent[next] {
			t.leaders[group] = next
		}
		if !t.silent[next] {
			return
		}
	}
}

// Move records that a bucket is in another group since a config that this table does not have yet.
func (t *Table) Move(bucket uint32, hint *messages.Hint) {
	if hint.GetGroup() != 0 && hint.ConfigVersion > t.Version() {
		t.moved[bucket] = hint.Group
	}
}

func (t *Table) replicas(group uint64) []uint64 {
	for _, g := range t.config.GetGroups() {
		if g.Id == group {
			return g.Nodes
		}
	}
	return nil
}

func (t *Table) address(node uint64) string {
	for _, n := range t.config.GetNodes() {
		if n.Id == node && !n.Removed {
			return n.Address
		}
	}
	return ""
}

// Addresses of all nodes.
func (t *Table) Addresses() []string {
	var all []string
	for _, n := range t.config.GetNodes() {
		if !n.Removed {
			all = append(all, n.Address)
		}
	}
	return all
}
