package router

import (
	"maps"
	"slices"
	"time"

	"github.com/eraft-io/eraft/messages"
)

// Table is the route table: it knows the way from a key to the replica that most likely leads the key's group. It is pure,
// and only the Router changes it. All of it is a belief: a wrong entry costs a hop, never a wrong result.
type Table struct {
	config    *messages.Config
	addresses AddressBook
	nodes     map[uint64][]uint64       // group -> its nodes that are in the cluster (a removed one may still be listed)
	leaders   map[uint64]uint64         // group -> node believed to lead it
	suspected map[uint64]time.Duration  // node that let an attempt go unanswered -> until when hints to it are not believed
	moved     map[uint32]*messages.Hint // bucket -> which group serves it, from hints that are newer than the config
}

// NewTable makes a table without a config.
func NewTable() *Table {
	return &Table{leaders: map[uint64]uint64{}, suspected: map[uint64]time.Duration{}, moved: map[uint32]*messages.Hint{}}
}

// Update adopts a config if it is newer, and reports whether it did.
func (t *Table) Update(config *messages.Config) bool {
	if config == nil || config.Version <= t.Version() {
		return false
	}
	t.addresses.Update(config)
	t.config, t.nodes = config, make(map[uint64][]uint64, len(config.Groups))
	for _, g := range config.Groups {
		t.nodes[g.Id] = slices.DeleteFunc(slices.Clone(g.Nodes), func(id uint64) bool { return t.address(id) == "" })
	}
	for bucket, hint := range t.moved {
		if !config.HasPendingMove(bucket) || hint.ConfigVersion < config.MovedVersions[bucket] {
			delete(t.moved, bucket)
		}
	}
	return true
}

// Version is the config's version; 0 without a config.
func (t *Table) Version() uint64 { return t.config.GetVersion() }

// Level is the cluster's feature level; the first one without a config.
func (t *Table) Level() messages.Level { return t.config.FeatureLevel() }

// Buckets is the number of buckets of the cluster; 0 without a config.
func (t *Table) Buckets() int { return len(t.config.GetOwners()) }

// Group gives the group that serves a bucket; false: none is known.
func (t *Table) Group(bucket uint32) (uint64, bool) {
	if hint := t.moved[bucket]; hint != nil {
		return hint.Group, true
	}
	g := t.config.ServingGroup(bucket)
	return g, g != 0
}

// Leader gives the node to ask for a group, and its address: the one believed to lead, else the group's first. Node 0: the
// group is not known.
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

// Replica gives a node with a replica of a group, and its address: the one at the address home, if there is one, else those
// that are not suspected in turn, as roundRobin counts up; the leader, if all are suspected.
func (t *Table) Replica(group uint64, home string, roundRobin int) (node uint64, address string) {
	nodes := t.nodes[group]
	for i := range nodes {
		next := nodes[(roundRobin+i)%len(nodes)]
		if at := t.address(next); at == home && at != "" {
			return next, at
		} else if address == "" && !t.suspects(next) {
			node, address = next, at
		}
	}
	if address == "" {
		return t.Leader(group)
	}
	return node, address
}

// SetLeader records which node leads a group. It reports false, and records nothing, if the address of the node is not known.
func (t *Table) SetLeader(group, node uint64) bool {
	if t.address(node) == "" {
		return false
	}
	t.leaders[group] = node
	return true
}

// Suspect records that a node let an attempt go unanswered. It stays suspected until it is heard; hints to it are not
// believed until then.
func (t *Table) Suspect(node uint64, until time.Duration) { t.suspected[node] = until }

// Heard ends the suspicion of a node.
func (t *Table) Heard(node uint64) { delete(t.suspected, node) }

// Suspected gives a copy of all suspicions: node -> until when hints to it are not believed. nil: there are none.
func (t *Table) Suspected() map[uint64]time.Duration {
	if len(t.suspected) == 0 {
		return nil
	}
	return maps.Clone(t.suspected)
}

func (t *Table) suspects(node uint64) bool {
	_, suspected := t.suspected[node]
	return suspected
}

// LeaderFailed records that a node did not answer for a group, or does not know the group's leader: the next replica is asked
// from now on, suspected ones last.
func (t *Table) LeaderFailed(group, node uint64) {
	if now, _ := t.Leader(group); now != node {
		return // the belief has changed meanwhile
	}
	nodes := t.nodes[group]
	if len(nodes) == 0 {
		return
	}
	at := slices.Index(nodes, node)
	for i := range nodes {
		next := nodes[(at+1+i)%len(nodes)]
		if i == 0 || !t.suspects(next) {
			t.leaders[group] = next
		}
		if !t.suspects(next) {
			return
		}
	}
}

// RecordMove records a hint that a bucket is in another group since a config. The hint is believed if it is newer than the
// one before, and than the config. While the bucket migrates the config does not say when the destination takes over: then
// either of the two groups may know better.
func (t *Table) RecordMove(bucket uint32, hint *messages.Hint) {
	group := hint.GetGroup()
	if group == 0 || t.moved[bucket] != nil && hint.ConfigVersion <= t.moved[bucket].ConfigVersion {
		return
	}
	migrating := t.config.HasPendingMove(bucket) && (group == t.config.Owners[bucket] || group == t.config.PreviousOwners[bucket])
	if migrating || hint.ConfigVersion > t.Version() {
		t.moved[bucket] = hint
	}
}

func (t *Table) address(node uint64) string { return t.addresses.Address(node) }

// SetAddress records that a node is at another address than the config says.
func (t *Table) SetAddress(a *messages.NodeAddress) { t.addresses.Learn(a) }

// Addresses are those of all nodes of the cluster.
func (t *Table) Addresses() []string {
	var all []string
	for _, n := range t.config.GetNodes() {
		if !n.Removed {
			all = append(all, t.address(n.Id))
		}
	}
	return all
}
