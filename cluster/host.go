package cluster

import (
	"slices"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/eraft-io/eraft/actors"
	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/meta"
	"github.com/eraft-io/eraft/persistence"
	"github.com/eraft-io/eraft/raftactor"
	"github.com/eraft-io/eraft/shardkv"
)

// Host starts and stops the replicas of this node, and writes the node's own records: identity, newest config, bootstrap
// candidates.
//
//	receives         from    does
//	savePeer         Member  records the bootstrap candidates, while this node belongs to no cluster
//	bootstrap        Member  makes this node node 1 of a new cluster, and starts group 0
//	saveIdentity     Member  records the identity that the cluster has assigned to this node
//	applyConfig      Member  records the config, starts the replicas that it places here, and sends each replica its target
//	pledge           Member  records the feature level below which no program may start on this directory
//	measureSizes     Member  measures the buckets of the groups that this node leads
//	replicaDestroyed Applier stops the actors of a replica whose log and data are deleted
//	checkSpace       itself  checks the free disk space, and tells the replicas what this node still accepts
//	Terminated       actors  forgets the replica once all its actors have stopped, and creates it again if it is wanted again
//
// Host reads and writes the disk in its Receive: it is a persistence actor. No client request waits for it.
type Host struct {
	n           *node
	running     map[messages.GroupID]bool
	stopping    map[messages.GroupID]int // actors of a destroyed replica that have not stopped yet
	config      *messages.Config
	space       space
	spaceChecks uint64   // checks of the free space so far
	fullNodes   []uint64 // nodes whose free disk space is below their reserve, as the replicas were told last
}

type (
	savePeer struct {
		peerUpdate
		hello *messages.Hello
	}
	bootstrap    struct{}
	saveIdentity struct {
		cluster uint64
		node    messages.NodeID
		config  *messages.Config
	}
	applyConfig      struct{ config *messages.Config }
	replicaDestroyed struct{ group messages.GroupID }
)

func newHost(n *node) *Host {
	return &Host{n: n, running: map[messages.GroupID]bool{}, stopping: map[messages.GroupID]int{}}
}

func (h *Host) Receive(ctx actor.Context) {
	var err error
	switch m := ctx.Message().(type) {
	case *actor.Started:
		if err = h.restart(); h.n.config.Overrides.Free != nil {
			h.scheduleSpaceCheck()
		}
	case savePeer:
		err = h.onSavePeer(m)
	case bootstrap:
		err = h.onBootstrap()
	case saveIdentity:
		err = h.onSaveIdentity(m)
	case applyConfig:
		err = h.onApplyConfig(m.config)
	case pledge:
		err = h.onPledge(m.level)
	case measureSizes:
		err = h.onMeasureSizes(m)
	case checkSpace:
		err = h.onCheckSpace()
	case replicaDestroyed:
		h.onReplicaDestroyed(ctx, m.group)
	case *actor.Terminated:
		err = h.onTerminated(m.Who)
	}
	if err != nil {
		h.n.fail(err)
	}
}

// restart starts every replica that the log knows. No config is needed for that, and nothing is ever wiped.
func (h *Host) restart() error {
	if h.n.identity().Cluster == 0 {
		return nil
	}
	groups, err := h.n.log.Groups()
	if err != nil {
		return err
	}
	if err := raftactor.DeleteOrphans(h.n.stateEngine, groups); err != nil {
		return err
	}
	for _, group := range groups {
		if err := h.start(group); err != nil {
			return err
		}
	}
	if meta, err := h.n.log.Load(messages.Meta); err != nil || h.n.identity().Node != 1 || meta.HardState.Term > 0 {
		return err
	}
	return h.startMeta() // the bootstrap was interrupted between the identity and the log
}

func (h *Host) onSavePeer(m savePeer) error {
	err := persistence.SaveBootstrapPeers(h.n.logEngine, m.save, m.forget)
	if err == nil && m.save != nil {
		h.n.send(h.n.pids.member, peerSaved{m.hello})
	}
	return err
}

func (h *Host) onBootstrap() error {
	cluster := h.n.system.Rand("cluster").Uint64() | 1
	if err := h.n.setMembership(cluster, 1); err != nil {
		return err
	}
	if err := h.startMeta(); err != nil {
		return err
	}
	h.n.send(h.n.pids.member, identitySaved{bootstrapped: true})
	return nil
}

// bear starts meta with this node as its only voter, if it does not run yet.
func (h *Host) startMeta() error {
	if h.running[messages.Meta] {
		return nil
	}
	if err := h.createGroup(messages.Meta, []uint64{1}); err != nil {
		return err
	}
	if err := h.start(messages.Meta); err != nil {
		return err
	}
	h.n.send(h.n.peer(messages.Meta), raftactor.ReplicaTarget{Nodes: []uint64{1}, Bootstrap: true})
	return nil
}

// onSaveIdentity writes the config first: a member must know who the others are, whatever happens in between.
func (h *Host) onSaveIdentity(m saveIdentity) error {
	if err := persistence.SaveConfig(h.n.logEngine, m.config); err != nil {
		return err
	}
	if err := h.onPledge(m.config.FeatureLevel()); err != nil {
		return err
	}
	if err := h.n.setMembership(m.cluster, m.node); err != nil {
		return err
	}
	h.n.configOnDisk = m.config
	h.n.send(h.n.pids.member, identitySaved{})
	return nil
}

// onReplicaDestroyed stops what is left of a replica. Its paths are free when all its actors have stopped.
func (h *Host) onReplicaDestroyed(ctx actor.Context, group messages.GroupID) {
	for _, path := range replicaPaths(group) {
		pid := actor.NewPID(h.n.address(), path)
		ctx.Watch(pid)
		h.n.system.Root.Stop(pid)
		h.stopping[group]++
	}
}

func replicaPaths(group messages.GroupID) []string {
	paths := raftactor.Paths(group)
	if group != messages.Meta {
		paths = append(paths, migratorPath(group))
	}
	return paths
}

func (h *Host) onTerminated(who *actor.PID) error {
	for group := range h.stopping {
		if !slices.Contains(replicaPaths(group), who.Id) {
			continue
		}
		if h.stopping[group]--; h.stopping[group] > 0 {
			return nil
		}
		delete(h.stopping, group)
		delete(h.running, group)
		h.n.status.forgetReplica(group)
		return h.onApplyConfig(h.config)
	}
	return nil
}

func (h *Host) onApplyConfig(config *messages.Config) error {
	h.config = config
	if err := h.onPledge(config.FeatureLevel()); err != nil {
		return err
	}
	if err := persistence.SaveConfig(h.n.logEngine, config); err != nil {
		return err
	}
	self := uint64(h.n.identity().Node)
	for _, group := range config.Groups {
		id, born := messages.GroupID(group.Id), false
		if slices.Contains(group.Nodes, self) && !h.running[id] {
			if slices.Contains(group.InitialVoters, self) && messages.SameNodes(group.InitialVoters, group.Nodes) && id != messages.Meta {
				if err := h.createGroup(id, group.InitialVoters); err != nil {
					return err
				}
				born = true
			}
			if err := h.start(id); err != nil {
				return err
			}
		}
		if h.running[id] {
			h.n.send(h.n.peer(id), raftactor.ReplicaTarget{
				Nodes: group.Nodes, Bootstrap: born, StepAside: yieldsLeadership(config, self), FullNodes: h.fullNodes, OutOfSpace: h.space.starved,
			})
			h.n.send(actor.NewPID(h.n.address(), migratorPath(id)), configChanged{config})
		}
	}
	return nil
}

// yields tells whether a node should lead nothing: it is about to go.
func yieldsLeadership(config *messages.Config, self uint64) bool {
	return config.FindNode(self).GetState() == messages.NodeState_DRAINING
}

// createGroup writes the start of a group's log on its first nodes, unless the log knows the group already.
func (h *Host) createGroup(group messages.GroupID, voters []uint64) error {
	loaded, err := h.n.log.Load(group)
	if err != nil || loaded.Snapshot.Index > 0 || loaded.HardState.Term > 0 {
		return err // the log has it, or had it before the replica was destroyed: no replica is created twice
	}
	sorted := slices.Sorted(slices.Values(voters))
	batch := new(persistence.Batch)
	err = h.n.log.Add(batch, persistence.LogUpdate{
		Group: group, HardState: &messages.HardState{Term: 1, Commit: 1}, Snapshot: raftactor.InitialSnapshot(sorted),
	})
	if err != nil {
		return err
	}
	return h.n.logEngine.Write(batch, true)
}

// start brings one replica up from whatever its log and data hold.
func (h *Host) start(group messages.GroupID) error {
	if h.running[group] {
		return nil
	}
	loaded, err := h.n.log.Load(group)
	if err != nil {
		return err
	}
	id := h.n.identity()
	o := raftactor.Options{
		Group: group, Node: id.Node, System: h.n.system, Writer: h.n.pids.writer, LogReader: h.n.pids.logReader,
		StateWriter: h.n.pids.stateWriter, Ticker: h.n.pids.ticker,
		State: h.n.stateEngine, Log: loaded, Address: h.n.status.address, OnState: h.n.onReplicaStatus,
		OnCommit: h.n.metrics.Commit, OnView: h.n.onView, OnDestroyed: func(id messages.GroupID) { h.n.send(h.n.pids.host, replicaDestroyed{id}) },
		OnApply: h.n.config.Overrides.OnApply, OnRead: h.n.config.Overrides.OnRead, Limits: h.n.config.Limits,
		Level: h.n.level(), Cluster: h.n.status.level,
	}
	checks := proposalChecks{h.n.status, h.n.pledged}
	if group == messages.Meta {
		o.Machine, o.Check = meta.New(), checks.meta
	} else {
		o.Machine, o.Check, o.Grows = shardkv.New(group, h.n.buckets()), checks.shard, shardkv.Grows
	}
	if group != messages.Meta {
		_, err := h.n.system.Spawn(migratorPath(group), func() actor.Actor {
			return newMigrator(h.n, h.n.status, h.n.config.Migration.perBucket(), h.n.copyRate, group)
		})
		if err != nil {
			return err
		}
	}
	if err := raftactor.Start(o); err != nil {
		return err
	}
	h.running[group] = true
	return nil
}

// --- what the node keeps on disk beside its groups ---

// loadConfig reads the newest config that this node has seen, so that a restart knows addresses without asking.
func (n *node) loadConfig() error {
	config, err := persistence.LoadConfig(n.logEngine)
	if err != nil || config == nil || config.ClusterId != n.identity().Cluster {
		return err
	}
	n.configOnDisk = config
	n.setConfig(config)
	n.addressBook.Update(config)
	n.status.setAddresses(config, &n.addressBook)
	return nil
}

// become makes this node a member for good: first on disk, then in every envelope it sends.
func (n *node) setMembership(cluster uint64, node messages.NodeID) error {
	id := n.identity()
	id.Cluster, id.Node = cluster, node
	if err := n.directory().JoinCluster(id); err != nil {
		return err
	}
	n.setIdentity(id)
	n.system.SetIdentity(actors.Identity{Cluster: cluster, Node: node, Epoch: id.Epoch})
	return persistence.DeleteBootstrapPeers(n.logEngine)
}
