package cluster

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/persistence"
	"github.com/eraft-io/eraft/router"
	"github.com/eraft-io/eraft/shardkv"
)

// board is what a node knows about itself and the others right now, for readers outside the actors: health
// checks, status, and the Peers' address book. Actors write their own part; nothing is decided from it but
// what a stale answer cannot harm.
type board struct {
	addresses atomic.Pointer[map[messages.NodeID]string]
	feature   atomic.Uint32 // level of the config
	now       func() time.Duration

	mu       sync.Mutex
	identity persistence.Identity
	config   *messages.Config
	waiting  []string // seeds that have not answered
	trouble  string   // why this node is not in a cluster yet
	plan     *messages.PlacementStatus
	began    time.Duration
	replicas map[messages.GroupID]*messages.ReplicaStatus
	views    map[messages.GroupID]*shardkv.View
	others   map[messages.NodeID]pulse
	met      map[messages.NodeID]time.Duration // when the config was first seen to name it
	drains   map[messages.NodeID]sight
	progress map[messages.GroupID]*progress // of this node's replicas
	caughtUp bool                           // all of them had, at some time of this life
	low      bool                           // this node's disk has no room for more data
	disk     map[string]uint64              // bytes of what is on this node's disk, and of the disk; never changed once set
}

type pulse struct {
	status *messages.NodeStatus
	heard  time.Duration
}

// silence is how long a node may be unheard and still count as up.
const silence = 3 * time.Second

func newBoard(now func() time.Duration) *board {
	b := &board{
		now: now, began: now(),
		replicas: map[messages.GroupID]*messages.ReplicaStatus{},
		views:    map[messages.GroupID]*shardkv.View{},
		others:   map[messages.NodeID]pulse{},
		met:      map[messages.NodeID]time.Duration{},
		drains:   map[messages.NodeID]sight{},
		progress: map[messages.GroupID]*progress{},
	}
	b.addresses.Store(&map[messages.NodeID]string{})
	return b
}

// address is where a node's actors are, "" if unknown. Safe and cheap for hot paths.
func (b *board) address(node messages.NodeID) string { return (*b.addresses.Load())[node] }

// setAddresses publishes where the nodes of a config are.
func (b *board) setAddresses(config *messages.Config, book *router.AddressBook) {
	addresses := make(map[messages.NodeID]string, len(config.GetNodes()))
	for _, node := range config.GetNodes() {
		if !node.Removed {
			addresses[messages.NodeID(node.Id)] = book.Address(node.Id)
		}
	}
	b.addresses.Store(&addresses)
}

func (b *board) setConfig(config *messages.Config) {
	b.feature.Store(uint32(config.FeatureLevel()))
	b.mu.Lock()
	defer b.mu.Unlock()
	b.config = config
	for _, node := range config.Nodes {
		if _, met := b.met[messages.NodeID(node.Id)]; !met {
			b.met[messages.NodeID(node.Id)] = b.now()
		}
	}
}

// level is the feature level of the cluster. Safe and cheap for hot paths.
func (b *board) level() messages.Level {
	return max(messages.FirstLevel, messages.Level(b.feature.Load()))
}

// pledged is what a node has told that it has pledged, however long ago: a pledge is kept for ever.
func (b *board) pledged(node messages.NodeID) messages.Level {
	b.mu.Lock()
	defer b.mu.Unlock()
	return max(messages.FirstLevel, messages.Level(b.others[node].status.GetCommittedLevel()))
}

func (b *board) setIdentity(id persistence.Identity) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.identity = id
}

func (b *board) setWaiting(seeds []string, trouble string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.waiting, b.trouble = seeds, trouble
}

func (b *board) setDisk(bytes map[string]uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.disk = bytes
}

func (b *board) setLow(low bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.low = low
}

// full are the nodes whose disks have no room for more data, as far as they are heard, in order.
func (b *board) full() []uint64 {
	s := b.snapshot()
	var all []uint64
	if s.low {
		all = append(all, uint64(s.identity.Node))
	}
	for node, other := range s.others {
		if other.LowDiskSpace {
			all = append(all, uint64(node))
		}
	}
	slices.Sort(all)
	return all
}

func (b *board) setPlan(plan *messages.PlacementStatus) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.plan = plan
}

// silent is how long a node has not been heard, at most since a time.
func (b *board) silent(node messages.NodeID, since time.Duration) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	if node == messages.NodeID(b.identity.Node) {
		return 0
	}
	return b.now() - max(since, b.others[node].heard)
}

// maybeAlive tells whether a node was heard lately, or this one is too young to say that it was not.
func (b *board) maybeAlive(node messages.NodeID) bool { return b.silent(node, b.began) < silence }

func (b *board) setReplica(status *messages.ReplicaStatus) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.replicas[messages.GroupID(status.Group)] = status
}

// dropReplica forgets a replica that is retired.
func (b *board) dropReplica(group messages.GroupID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.replicas, group)
	delete(b.views, group)
}

func (b *board) setView(group messages.GroupID, view *shardkv.View) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.views[group] = view
}

func (b *board) setOther(status *messages.NodeStatus) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.others[messages.NodeID(status.Node)] = pulse{status, b.now()}
}

// snapshot is an unchanging copy of the board. The messages in it are shared and must not be changed.
type snapshot struct {
	identity persistence.Identity
	config   *messages.Config // nil before the first one is known
	waiting  []string
	trouble  string
	plan     *messages.PlacementStatus                    // set where meta is led
	replicas map[messages.GroupID]*messages.ReplicaStatus // of this node
	views    map[messages.GroupID]*shardkv.View           // of this node
	others   map[messages.NodeID]*messages.NodeStatus     // nodes heard of lately
	strange  map[messages.NodeID]bool                     // nodes that have not had the time to be heard
	drains   map[messages.NodeID]sight
	lags     []lag // replicas of this node that are not as far as they must be
	low      bool
	disk     map[string]uint64
	now      time.Duration
}

func (b *board) snapshot() snapshot {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := snapshot{
		identity: b.identity, config: b.config, waiting: slices.Clone(b.waiting), trouble: b.trouble, plan: b.plan,
		replicas: maps.Clone(b.replicas), views: maps.Clone(b.views),
		others: map[messages.NodeID]*messages.NodeStatus{}, strange: map[messages.NodeID]bool{}, now: b.now(), low: b.low, disk: b.disk,
	}
	for node, met := range b.met {
		_, heard := b.others[node]
		s.strange[node] = !heard && s.now-met < silence
	}
	for node, p := range b.others {
		if s.now-p.heard < silence {
			s.others[node] = p.status
		}
	}
	b.sightDrains(s)
	s.drains = maps.Clone(b.drains)
	s.lags = b.followLeaders(s)
	return s
}

// underWay tells whether something is going on after which there may be a next step of placement: groups change their
// members, or nodes have not had the time to be heard.
func (s snapshot) underWay(config *messages.Config) bool {
	return slices.ContainsFunc(config.GetNodes(), func(n *messages.Node) bool {
		return !n.Removed && n.Id != uint64(s.identity.Node) && s.strange[messages.NodeID(n.Id)]
	}) || slices.ContainsFunc(config.GetGroups(), func(g *messages.Group) bool {
		return len(g.Nodes) > 0 && !s.settled(messages.GroupID(g.Id))
	})
}

// replica is this node's newest state of a group, nil if it has none.
func (b *board) replica(group messages.GroupID) *messages.ReplicaStatus {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.replicas[group]
}

// leads tells whether this node's replica leads the group.
func (b *board) leads(group messages.GroupID) bool {
	r := b.replica(group)
	return r != nil && r.Leader != 0 && r.Leader == uint64(b.self())
}

func (b *board) self() messages.NodeID {
	b.mu.Lock()
	defer b.mu.Unlock()
	return messages.NodeID(b.identity.Node)
}

// leader is who leads a group as far as this node knows, 0 if nobody.
func (s snapshot) leader(group messages.GroupID) (leader, term uint64) {
	consider := func(r *messages.ReplicaStatus) {
		if r.Group == uint64(group) && r.Leader != 0 && r.Term >= term {
			leader, term = r.Leader, r.Term
		}
	}
	for _, r := range s.replicas {
		consider(r)
	}
	for _, other := range s.others {
		for _, r := range other.Replicas {
			consider(r)
		}
	}
	return leader, term
}

// alive tells whether a node was heard lately.
func (s snapshot) alive(node messages.NodeID) bool {
	return node == messages.NodeID(s.identity.Node) || s.others[node] != nil
}

// led is what a group's leader tells of it, nil if nobody leads it or is heard.
func (s snapshot) led(group messages.GroupID) (newest *messages.ReplicaStatus) {
	consider := func(node messages.NodeID, r *messages.ReplicaStatus) {
		if r.Group == uint64(group) && r.Leader == uint64(node) && r.Term >= newest.GetTerm() {
			newest = r
		}
	}
	for _, r := range s.replicas {
		consider(messages.NodeID(s.identity.Node), r)
	}
	for node, other := range s.others {
		for _, r := range other.Replicas {
			consider(node, r)
		}
	}
	return newest
}

// replica is what a node tells of its replica of a group, nil if it has none or is not heard.
func (s snapshot) replica(node messages.NodeID, group messages.GroupID) *messages.ReplicaStatus {
	if node == messages.NodeID(s.identity.Node) {
		return s.replicas[group]
	}
	for _, r := range s.others[node].GetReplicas() {
		if r.Group == uint64(group) {
			return r
		}
	}
	return nil
}

// settled tells whether a group's members are those that the config wants.
func (s snapshot) settled(group messages.GroupID) bool {
	led := s.led(group)
	i := slices.IndexFunc(s.config.GetGroups(), func(g *messages.Group) bool { return g.Id == uint64(group) })
	return led != nil && i >= 0 && len(led.Conf.GetLearners())+len(led.Conf.GetOutgoing()) == 0 &&
		sameNodes(led.Conf.GetVoters(), s.config.Groups[i].Nodes)
}
