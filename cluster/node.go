// Package cluster is a node: it wires the actors of all other packages together, finds or founds a cluster through
// seeds, and starts and stops in an order in which nothing acknowledged is lost.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/actors"
	"github.com/eraft-io/eraft/client"
	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/meta"
	"github.com/eraft-io/eraft/persistence"
	"github.com/eraft-io/eraft/raftactor"
	"github.com/eraft-io/eraft/router"
	"github.com/eraft-io/eraft/shardkv"
)

// Node is a running member, or future member, of a cluster.
type Node struct{ n *node }

// node is what the parts of a Node share. What changes after Start is behind atomics or on the board.
type node struct {
	config      Config
	system      *actors.System
	network     actors.Network
	lock        *persistence.DirLock
	logEngine   persistence.Engine
	stateEngine persistence.Engine
	log         *persistence.Log
	id          atomic.Pointer[persistence.Identity]
	forced      []*messages.ForcedQuorum  // quorums that were made by hand on this directory
	savedConfig *messages.Config          // newest config on disk at start, or given at admission; Host writes, Member reads after a message
	savedPeers  []*messages.BootstrapPeer // nodes that may found a cluster, as the disk says at start
	discovery   *discovery                // Member's; a Member that is started again goes on with it
	addressBook router.AddressBook        // Member's, likewise
	status      *statusBoard
	copyRate    migrationRate // of the buckets that come to this node
	client      *client.Client
	pids        struct{ writer, logReader, stateWriter, stateSyncer, ticker, router, session, host, member *actor.PID }
	listeners   listeners
	metrics     *metrics

	stopOnce sync.Once
	failure  atomic.Pointer[error]
	seed     uint64
	files    fileLimits
	done     chan struct{}
}

// Start brings a node up: it locks and reads the data directory, starts the actors, and goes to find its cluster.
// It returns as soon as the node listens; Ready tells when it can serve. ctx bounds only the start.
func Start(ctx context.Context, c Config) (*Node, error) {
	if err := c.fill(); err != nil {
		return nil, ConfigError{err}
	}
	n := &node{config: c, done: make(chan struct{})}
	n.seed = c.Overrides.Seed
	if n.seed == 0 {
		n.seed = rand.Uint64()
	}
	if err := n.start(ctx); err != nil {
		return nil, errors.Join(err, n.stop(false))
	}
	return &Node{n}, nil
}

func (n *node) start(ctx context.Context) (err error) {
	if n.files, err = processFileLimits(); err != nil {
		return err
	}
	if err := n.open(); err != nil {
		return err
	}
	if err := n.connect(); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return n.spawn()
}

// open takes the directory and reads who this node is. The boot epoch is raised and synced before anything speaks.
func (n *node) open() error {
	open, err := n.config.Overrides.Engines, error(nil)
	if open == nil {
		if n.lock, err = persistence.LockDir(n.config.Dir); err != nil {
			return err
		}
		if err := checkStartSpace(n.config.Dir, n.config.Overrides.Free); err != nil {
			return err
		}
		open = func(dir string) (log, state persistence.Engine, err error) {
			return openEngines(dir, n.config.CacheBytes, n.files)
		}
	}
	if n.logEngine, n.stateEngine, err = open(n.config.Dir); err != nil {
		return err
	}
	n.log = persistence.OpenLog(n.logEngine)
	if err := n.checkDirectory(); err != nil {
		return err
	}
	id, err := n.directory().StartEpoch(n.config.Name, actors.SeededRand(n.seed)("identity").Uint64)
	if err != nil {
		return err
	}
	n.storeIdentity(id)
	if n.forced, err = persistence.LoadForcedQuorums(n.logEngine); err != nil {
		return err
	}
	n.savedPeers, err = persistence.LoadBootstrapPeers(n.logEngine)
	return err
}

// connect makes the actor system and joins the network.
func (n *node) connect() error {
	clock := n.config.Overrides.Clock
	if clock == nil {
		clock = actors.NewSystemClock()
	}
	n.status, n.copyRate.rate = newStatusBoard(clock.Now), int64(n.config.Migration.BytesPerSecond)
	n.status.setIdentity(n.identity())
	n.metrics = newMetrics(n)
	toLog := logEvents(n.config.Logger)
	env := actors.Env{
		Clock: clock,
		Rand:  actors.SeededRand(n.seed),
		Events: func(e actors.Event) {
			n.metrics.Event(e)
			toLog(e)
			if n.config.Events != nil {
				n.config.Events(e)
			}
		},
		Fatal:      n.fail,
		Superseded: func(messages.Epoch) { n.fail(ErrOlderCopy) },
	}
	attached := actors.Network(nil)
	if n.config.Overrides.Network != nil {
		attached = n.config.Overrides.Network(n.config)
	} else {
		attached = n.tcpNetwork()
	}
	system, err := actors.NewSystem(env, attached)
	if err != nil {
		return err
	}
	n.system, n.network = system, attached
	if mode, open := persistence.AccessibleToOthers(n.config.Dir); n.lock != nil && open {
		system.Events(DirectoryOpen{Dir: n.config.Dir, Mode: mode.String(), Do: "chmod 700 " + n.config.Dir})
	}
	id := n.identity()
	system.SetIdentity(actors.Identity{Cluster: id.Cluster, Node: id.Node, Epoch: id.Epoch})
	return n.loadConfig()
}

func (n *node) spawn() error {
	address := n.address()
	n.pids.writer = actor.NewPID(address, "persistence/log")
	n.pids.logReader = actor.NewPID(address, "persistence/log/reader")
	n.pids.stateWriter = actor.NewPID(address, "persistence/state")
	n.pids.stateSyncer = actor.NewPID(address, "persistence/state/sync")
	n.pids.ticker = actor.NewPID(address, raftactor.TickerPath)
	n.pids.router = actor.NewPID(address, router.Path)
	n.pids.host = actor.NewPID(address, "host")
	n.pids.member = actor.NewPID(address, memberPath)
	id := n.identity()
	n.discovery = newDiscovery(&messages.BootstrapPeer{DirectoryToken: id.Token, Name: n.config.Name, Address: address, Epoch: uint64(id.Epoch)},
		n.config.Seeds, n.config.Expect, n.savedPeers)
	start := func(path string, make func() actor.Actor, options ...actors.Option) error {
		_, err := n.system.Spawn(path, make, options...)
		return err
	}
	session, err := router.Start(n.system, router.Options{Contacts: []string{address}})
	if err != nil {
		return err
	}
	n.pids.session = session
	n.client = client.FromSession(n.system, session)
	if err := n.openListeners(); err != nil {
		return err
	}
	return errors.Join(
		start("persistence/log", func() actor.Actor { return n.newWriter() }, actors.Durable(), actors.Batching(actors.MailboxBound{}, nil)),
		start("persistence/log/reader", func() actor.Actor { return persistence.NewLogReader(n.log, n.fail) }, actors.Durable()),
		start("persistence/state", func() actor.Actor { return n.newStateWriter() },
			actors.Durable(), actors.Batching(actors.MailboxBound{}, nil)),
		start("persistence/state/sync", func() actor.Actor { return persistence.NewStateSyncer(n.stateEngine, n.fail) }, actors.Durable()),
		start(raftactor.TickerPath, func() actor.Actor { return raftactor.NewTicker(n.system) }, actors.Durable()),
		start(raftactor.HeartbeatCoalescerPath, func() actor.Actor { return raftactor.NewHeartbeatCoalescer(n.system) }, actors.Batching(actors.MailboxBound{}, nil)),
		start("host", func() actor.Actor { return newHost(n) }, actors.Durable()),
		start(memberPath, func() actor.Actor { return newMember(n) }),
	)
}

func (n *node) newWriter() *persistence.Writer {
	return persistence.NewWriter(n.log, persistence.WriterOptions{
		Fatal: n.fail, Now: n.system.Clock.Now, Observe: n.metrics.Sync,
	})
}

func (n *node) newStateWriter() *persistence.StateWriter {
	return persistence.NewStateWriter(n.stateEngine, persistence.StateWriterOptions{
		Fatal: n.fail, Syncer: n.pids.stateSyncer, SyncBytes: n.config.Limits.SyncBytes(n.system.Rand("persistence/state")),
	})
}

func (n *node) address() string { return n.system.Address() }

func (n *node) send(to *actor.PID, message any) { n.system.Root.Send(to, message) }

func (n *node) peer(group messages.GroupID) *actor.PID {
	return actor.NewPID(n.address(), raftactor.PeerPath(group))
}

func (n *node) directory() persistence.Directory {
	return persistence.Directory{Log: n.logEngine, State: n.stateEngine}
}

func (n *node) identity() persistence.Identity { return *n.id.Load() }

func (n *node) storeIdentity(id persistence.Identity) { n.id.Store(&id) }

func (n *node) setIdentity(id persistence.Identity) {
	n.storeIdentity(id)
	n.status.setIdentity(id)
}

// setConfig lets everybody see a newer config. The network believes whoever answers where it says that a node lives.
func (n *node) setConfig(config *messages.Config) {
	n.status.setConfig(config)
	network, ok := n.network.(interface {
		Members(at map[string]messages.NodeID)
	})
	if !ok {
		return
	}
	at := map[string]messages.NodeID{}
	for _, node := range config.GetNodes() {
		if !node.Removed {
			at[node.Address] = messages.NodeID(node.Id)
		}
	}
	network.Members(at)
}

// requestTimeout is how long the node itself waits for meta.
const requestTimeout = 5 * time.Second

// ask sends an operation through the node's own session. done is called on the session's goroutine.
func (n *node) request(op proto.Message, done func(*messages.Reply)) {
	if c, ok := op.(*messages.MetaCommand); ok && n.status.level() >= messages.RequesterLevel {
		if c.RequestedBy = n.config.Name; c.Reason != "" {
			c.RequestedBy = "placement"
		}
	}
	n.send(n.pids.session, &router.Ask{Op: op, Timeout: requestTimeout, Done: done})
}

// buckets is the cluster's number of buckets; known wherever a shard group can start.
func (n *node) buckets() int {
	if config := n.status.snapshot().config; config != nil {
		return len(config.Owners)
	}
	return n.config.Buckets
}

// card is what this node tells the cluster about itself.
func (n *node) nodeInfo() *messages.AddNode {
	id := n.identity()
	return &messages.AddNode{
		Name: n.config.Name, Address: n.address(), DirectoryToken: id.Token, Epoch: uint64(id.Epoch),
		Resp: n.listeners.respAddress(), Http: n.listeners.httpAddress(), Labels: n.config.Labels, ForcedQuorums: n.forced,
		Level: uint32(n.level()),
	}
}

func (n *node) bootstrapRecord() *messages.Bootstrap {
	return &messages.Bootstrap{
		ClusterId: n.identity().Cluster, Buckets: uint32(n.config.Buckets), Groups: uint32(n.config.Groups),
		Replicas: uint32(n.config.Replicas), Expect: uint32(n.config.Expect), Node: n.nodeInfo(),
	}
}

// onView hears what the machines of this node publish. It is called on Appliers' goroutines.
func (n *node) onView(group messages.GroupID, view any) {
	switch v := view.(type) {
	case *meta.View:
		n.send(n.pids.member, configCommitted{v.Config})
	case *shardkv.View:
		n.status.setView(group, v)
		n.send(actor.NewPID(n.address(), migratorPath(group)), v)
	}
}

// onReplicaStatus hears how this node's replicas are. It is called on Peers' goroutines.
func (n *node) onReplicaStatus(status *messages.ReplicaStatus) {
	group := messages.GroupID(status.Group)
	led := n.status.leads(group)
	n.status.setReplica(status)
	if !led && group != messages.Meta && n.status.leads(group) {
		n.send(actor.NewPID(n.address(), migratorPath(group)), poll{})
	}
}

// fail stops the node by itself: a rule was broken or the disk failed. It answers nobody from here on.
func (n *node) fail(err error) {
	if err == nil || !n.failure.CompareAndSwap(nil, &err) {
		return
	}
	if n.system != nil {
		n.system.Events(Stopped{Reason: err})
	}
	if n.config.Overrides.Fatal != nil {
		n.config.Overrides.Fatal(err)
		return
	}
	go func() {
		if stopped := n.stop(false); stopped != nil {
			n.config.Logger.Error("stop after failure", "error", stopped)
		}
	}()
}

// stop ends everything, once. Gracefully, it first hands leadership over.
func (n *node) stop(graceful bool) (err error) {
	n.stopOnce.Do(func() {
		err = n.listeners.close()
		if graceful {
			n.transferLeaderships()
		}
		if n.client != nil {
			err = errors.Join(err, n.client.Close())
		}
		if n.system != nil {
			err = errors.Join(err, n.network.Detach(), n.stopActors())
		}
		for _, engine := range []persistence.Engine{n.logEngine, n.stateEngine} {
			if engine != nil {
				err = errors.Join(err, engine.Close())
			}
		}
		if n.lock != nil {
			err = errors.Join(err, n.lock.Unlock())
		}
		close(n.done)
	})
	return err
}

// transferLeaderships asks those that can serve to lead what this node leads, and tells of groups that nobody can.
func (n *node) transferLeaderships() {
	var led []messages.GroupID // that nobody else is known to lead yet
	s := n.status.snapshot()
	for _, group := range slices.Sorted(maps.Keys(s.replicas)) {
		if !n.status.leads(group) || len(s.replicas[group].Conf.GetVoters()) < 2 {
			continue
		}
		led = append(led, group)
		to, able := s.transferee(group)
		if !able {
			n.system.Events(TransferFailed{Group: group, Why: "no other replica has caught up"})
		}
		n.send(n.peer(group), raftactor.TransferLeadership{To: to})
	}
	for deadline := n.system.Clock.Now() + transferTimeout; len(led) > 0; {
		if n.system.Clock.Now() >= deadline {
			for _, group := range led {
				n.system.Events(TransferFailed{Group: group, Why: "nobody has taken over in time"})
			}
			return
		}
		<-time.After(20 * time.Millisecond)
		s := n.status.snapshot()
		led = slices.DeleteFunc(led, func(group messages.GroupID) bool {
			leader := s.replicas[group].GetLeader()
			return leader != 0 && leader != uint64(s.identity.Node)
		})
	}
}

// stopActors stops and awaits them from the edge inwards, so that nobody writes to an engine that is closed.
func (n *node) stopActors() error {
	var err error
	stop := func(pid *actor.PID) {
		if pid != nil {
			err = errors.Join(err, n.system.Root.StopFuture(pid).Wait())
		}
	}
	stop(n.pids.member)
	stop(n.pids.host)
	stop(n.pids.ticker)
	groups := n.status.snapshot().replicas
	for _, group := range slices.Sorted(maps.Keys(groups)) {
		if group != messages.Meta {
			stop(actor.NewPID(n.address(), migratorPath(group)))
		}
		err = errors.Join(err, raftactor.Stop(n.system, group))
	}
	stop(n.pids.writer)
	stop(n.pids.logReader)
	stop(n.pids.stateWriter)
	stop(n.pids.stateSyncer)
	return err
}

// Client is the Go client over this node's own session: no network between it and the router.
func (n *Node) Client() *client.Client { return n.n.client }

// Close hands leadership over, stops the node and gives its directory back. Nothing acknowledged is lost.
// ctx bounds the wait; the stop goes on without it.
func (n *Node) Close(ctx context.Context) error {
	result := make(chan error, 1)
	go func() { result <- n.n.stop(true) }()
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
		return fmt.Errorf("close node: %w", ctx.Err())
	}
}

// Done is closed when the node has stopped, by Close or by itself.
func (n *Node) Done() <-chan struct{} { return n.n.done }

// Err says why the node stopped by itself; nil if it did not.
func (n *Node) Err() error {
	if err := n.n.failure.Load(); err != nil {
		return *err
	}
	return nil
}
