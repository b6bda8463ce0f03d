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

// statusBoard holds what this node currently knows about itself and about other nodes, for readers on any goroutine: health checks,
// status, metrics, and the Peers' address lookups. Each part has one writer, which is an actor. Entries may be outdated: a decision
// may rest on them only if an outdated entry does no harm.
type statusBoard struct {
	addresses    atomic.Pointer[map[messages.NodeID]string] // of the nodes of the config, host:port
	featureLevel atomic.Uint32                              // of the cluster, as the config says
	now          func() time.Duration

	mu          sync.Mutex
	identity    persistence.Identity
	config      *messages.Config
	silentSeeds []string                                     // seeds that have not replied; empty once the node has joined
	trouble     string                                       // why this node is not in a cluster yet, or not in the one it was told
	plan        *messages.PlacementStatus                    // set while this node leads group 0
	started     time.Duration                                // when the node was started
	replicas    map[messages.GroupID]*messages.ReplicaStatus // of this node
	views       map[messages.GroupID]*shardkv.View           // of this node
	others      map[messages.NodeID]heardStatus              // last status of every other node
	firstNamed  map[messages.NodeID]time.Duration            // when this node first saw a config with the node
	drains      map[messages.NodeID]drainStart               // of nodes that drain
	catchUp     map[messages.GroupID]*catchUp                // of this node's replicas
	caughtUp    bool                                         // no replica lagged at some time since the start
	lowSpace    bool                                         // this node's free disk space is below its reserve
	disk        map[string]uint64                            // bytes by part of the data directory or file system; a map is never changed once set
}

// heardStatus is a status of another node, and when it came.

type heardStatus struct {
	status *messages.NodeStatus
	heard  time.Duration
}

// aliveTimeout is how long a node may be silent and still count as alive.
const aliveTimeout = 3 * time.Second

func newStatusBoard(now func() time.Duration) *statusBoard {
	b := &statusBoard{
		now: now, started: now(),
		replicas:   map[messages.GroupID]*messages.ReplicaStatus{},
		views:      map[messages.GroupID]*shardkv.View{},
		others:     map[messages.NodeID]heardStatus{},
		firstNamed: map[messages.NodeID]time.Duration{},
		drains:     map[messages.NodeID]drainStart{},
		catchUp:    map[messages.GroupID]*catchUp{},
	}
	b.addresses.Store(&map[messages.NodeID]string{})
	return b
}

// address returns the address of a node's actor system, "" if unknown. It takes no lock.
func (b *statusBoard) address(node messages.NodeID) string { return (*b.addresses.Load())[node] }

// setAddresses publishes the addresses of the nodes of a config.
func (b *statusBoard) setAddresses(config *messages.Config, book *router.AddressBook) {
	addresses := make(map[messages.NodeID]string, len(config.GetNodes()))
	for _, node := range config.GetNodes() {
		if !node.Removed {
			addresses[messages.NodeID(node.Id)] = book.Address(node.Id)
		}
	}
	b.addresses.Store(&addresses)
}

func (b *statusBoard) setConfig(config *messages.Config) {
	b.featureLevel.Store(uint32(config.FeatureLevel()))
	b.mu.Lock()
	defer b.mu.Unlock()
	b.config = config
	for _, node := range config.Nodes {
		if _, met := b.firstNamed[messages.NodeID(node.Id)]; !met {
			b.firstNamed[messages.NodeID(node.Id)] = b.now()
		}
	}
}

// level returns the feature level of the cluster. It takes no lock.
func (b *statusBoard) level() messages.Level {
	return max(messages.FirstLevel, messages.Level(b.featureLevel.Load()))
}

// pledged returns the level that a node has said it has pledged, however long ago: a pledge is kept for ever.
func (b *statusBoard) pledged(node messages.NodeID) messages.Level {
	b.mu.Lock()
	defer b.mu.Unlock()
	return max(messages.FirstLevel, messages.Level(b.others[node].status.GetCommittedLevel()))
}

func (b *statusBoard) setIdentity(id persistence.Identity) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.identity = id
}

func (b *statusBoard) setJoinProblem(seeds []string, trouble string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.silentSeeds, b.trouble = seeds, trouble
}

func (b *statusBoard) setDisk(bytes map[string]uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.disk = bytes
}

func (b *statusBoard) setLowSpace(low bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lowSpace = low
}

// fullNodes returns the nodes whose free disk space is below their reserve, this one and those that are alive, sorted.
func (b *statusBoard) fullNodes() []uint64 {
	s := b.snapshot()
	var all []uint64
	if s.ownLowSpace {
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

func (b *statusBoard) setPlan(plan *messages.PlacementStatus) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.plan = plan
}

// silentFor returns how long a node has been silent, counted from since at the earliest.
func (b *statusBoard) silentFor(node messages.NodeID, since time.Duration) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	if node == messages.NodeID(b.identity.Node) {
		return 0
	}
	return b.now() - max(since, b.others[node].heard)
}

// maybeAlive reports whether a node is alive, or this node was started too recently to know that it is not.
func (b *statusBoard) maybeAlive(node messages.NodeID) bool {
	return b.silentFor(node, b.started) < aliveTimeout
}

func (b *statusBoard) setReplica(status *messages.ReplicaStatus) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.replicas[messages.GroupID(status.Group)] = status
}

// forgetReplica forgets a replica that is destroyed.
func (b *statusBoard) forgetReplica(group messages.GroupID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.replicas, group)
	delete(b.views, group)
}

func (b *statusBoard) setView(group messages.GroupID, view *shardkv.View) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.views[group] = view
}

func (b *statusBoard) setOther(status *messages.NodeStatus) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.others[messages.NodeID(status.Node)] = heardStatus{status, b.now()}
}

// snapshot is an immutable copy of the status board. The messages in it are shared and must not be changed.
type snapshot struct {
	identity    persistence.Identity
	config      *messages.Config // nil: none is known yet
	silentSeeds []string
	trouble     string
	plan        *messages.PlacementStatus                    // set while this node leads group 0
	replicas    map[messages.GroupID]*messages.ReplicaStatus // of this node
	views       map[messages.GroupID]*shardkv.View           // of this node
	others      map[messages.NodeID]*messages.NodeStatus     // of the other nodes that are alive
	unheard     map[messages.NodeID]bool                     // nodes that are new: silent so far, but for less than aliveTimeout
	drains      map[messages.NodeID]drainStart
	lags        []lag // of this node's replicas
	ownLowSpace bool
	disk        map[string]uint64
	now         time.Duration
}

func (b *statusBoard) snapshot() snapshot {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := snapshot{
		identity: b.identity, config: b.config, silentSeeds: slices.Clone(b.silentSeeds), trouble: b.trouble, plan: b.plan,
		replicas: maps.Clone(b.replicas), views: maps.Clone(b.views),
		others: map[messages.NodeID]*messages.NodeStatus{}, unheard: map[messages.NodeID]bool{}, now: b.now(), ownLowSpace: b.lowSpace, disk: b.disk,
	}
	for node, met := range b.firstNamed {
		_, heard := b.others[node]
		s.unheard[node] = !heard && s.now-met < aliveTimeout
	}
	for node, p := range b.others {
		if s.now-p.heard < aliveTimeout {
			s.others[node] = p.status
		}
	}
	b.trackDrains(s)
	s.drains = maps.Clone(b.drains)
	s.lags = b.updateCatchUp(s)
	return s
}

// changesPending reports whether placement may have a next step once something has ended: a group changes its members, or a node is
// new and silent so far.
func (s snapshot) changesPending(config *messages.Config) bool {
	return slices.ContainsFunc(config.GetNodes(), func(n *messages.Node) bool {
		return !n.Removed && n.Id != uint64(s.identity.Node) && s.unheard[messages.NodeID(n.Id)]
	}) || slices.ContainsFunc(config.GetGroups(), func(g *messages.Group) bool {
		return len(g.Nodes) > 0 && !s.membershipSettled(messages.GroupID(g.Id))
	})
}

// replica returns the newest status of this node's replica of a group, nil if it has none.
func (b *statusBoard) replica(group messages.GroupID) *messages.ReplicaStatus {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.replicas[group]
}

// leads reports whether this node's replica leads the group.
func (b *statusBoard) leads(group messages.GroupID) bool {
	r := b.replica(group)
	return r != nil && r.Leader != 0 && r.Leader == uint64(b.self())
}

func (b *statusBoard) self() messages.NodeID {
	b.mu.Lock()
	defer b.mu.Unlock()
	return messages.NodeID(b.identity.Node)
}

// leader returns the leader of a group with the highest term that this node knows, and that term; 0 if it knows none.
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

// alive reports whether a node was heard within aliveTimeout.
func (s snapshot) alive(node messages.NodeID) bool {
	return node == messages.NodeID(s.identity.Node) || s.others[node] != nil
}

// leaderStatus returns what a group's leader reports about its own replica, nil if no leader is heard.
func (s snapshot) leaderStatus(group messages.GroupID) (newest *messages.ReplicaStatus) {
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

// replica returns what a node reports about its replica of a group, nil if it has none or is silent.
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

// membershipSettled reports whether a group's leader has exactly the voters that the config wants, and no learners.
func (s snapshot) membershipSettled(group messages.GroupID) bool {
	led := s.leaderStatus(group)
	i := slices.IndexFunc(s.config.GetGroups(), func(g *messages.Group) bool { return g.Id == uint64(group) })
	return led != nil && i >= 0 && len(led.Conf.GetLearners())+len(led.Conf.GetOutgoing()) == 0 &&
		messages.SameNodes(led.Conf.GetVoters(), s.config.Groups[i].Nodes)
}
