// Package cluster runs a node: it starts the actors of all other packages, joins a cluster through its seeds or bootstraps one, and
// stops in an order in which no acknowledged write is lost. Start returns a Node; Node.Client is a Go client for the cluster.
//
//	status_board.go      what the node knows about itself and the others, for readers on any goroutine
//	member.go            the Member: join.go, admission.go, config_sync.go, address_exchange.go, status_exchange.go, placement_driver.go
//	discovery.go         which node bootstraps a cluster
//	host.go              the Host: replicas of this node, and the node's own records on disk
//	migrator.go          the Migrator of a group: the steps of bucket migrations
//	listeners.go         Redis clients and HTTP
package cluster

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
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

// Node is a running node: a member of a cluster, or one that is about to join or bootstrap one. Its methods are safe for concurrent
// use.
type Node struct{ n *node }

// node is what the parts of a Node share. Fields are set by start and not changed later, but for those behind atomics and those with
// another owner named.
type node struct {
	config       Config
	system       *actors.System
	network      actors.Network
	lock         *persistence.DirLock
	logEngine    persistence.Engine
	stateEngine  persistence.Engine
	log          *persistence.Log
	id           atomic.Pointer[persistence.Identity]
	forced       []*messages.ForcedQuorum  // quorums that an operator has forced on this directory
	configOnDisk *messages.Config          // newest config on disk at the start, or given at admission; the Host writes it, the Member reads it after a message
	savedPeers   []*messages.BootstrapPeer // bootstrap candidates on disk at the start
	discovery    *discovery                // owned by the Member; a Member that is restarted goes on with it
	addressBook  router.AddressBook        // owned by the Member, likewise
	status       *statusBoard
	copyRate     *migrationRate // limits the bytes per second of bucket migrations to this node
	client       *client.Client
	pids         struct{ writer, logReader, stateWriter, stateSyncer, ticker, router, session, host, member *actor.PID }
	listeners    listeners
	metrics      *metrics

	stopOnce sync.Once
	failure  atomic.Pointer[error]
	seed     uint64
	files    fileLimits
	done     chan struct{}
}

// Start starts a node: it locks and reads the data directory, starts the actors, and begins to look for its cluster. It returns as
// soon as the node listens; Node.Ready reports when the node can serve. ctx bounds only the start. An invalid Config is a ConfigError;
// other errors come from the directory, the disk or the listeners.
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

func (n *node) now() time.Duration { return n.system.Clock.Now() }

func (n *node) after(d time.Duration, send func()) (cancel func()) {
	return n.system.Clock.After(d, send)
}

// random draws a number from a random stream of this node. Each start of the node has other numbers.
func (n *node) random(stream string) uint64 { return n.system.Rand(stream).Uint64() }

func (n *node) imported(bytes int) { n.metrics.Migrated(bytes) }

func (n *node) event(e actors.Event) { n.system.Events(e) }

func (n *node) address() string { return n.system.Address() }

func (n *node) replyAddress() string { return n.system.ReplyAddress() }

func (n *node) send(to *actor.PID, message any) { n.system.Root.Send(to, message) }

func (n *node) peer(group messages.GroupID) *actor.PID {
	return actor.NewPID(n.address(), raftactor.PeerPath(group))
}

func (n *node) directory() persistence.Directory {
	return persistence.Directory{Log: n.logEngine, State: n.stateEngine}
}

func (n *node) savedConfig() *messages.Config { return n.configOnDisk }

func (n *node) identity() persistence.Identity { return *n.id.Load() }

func (n *node) storeIdentity(id persistence.Identity) { n.id.Store(&id) }

func (n *node) setIdentity(id persistence.Identity) {
	n.storeIdentity(id)
	n.status.setIdentity(id)
}

// setConfig publishes a newer config. The network accepts the nodes that the config names at the addresses that it names.
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

// requestTimeout bounds the node's own requests to group 0.
const requestTimeout = 5 * time.Second

// request sends an operation through the node's own session, which calls done once on its goroutine.
func (n *node) request(op proto.Message, done func(*messages.Reply)) {
	if c, ok := op.(*messages.MetaCommand); ok && n.status.level() >= messages.RequesterLevel {
		if c.RequestedBy = n.config.Name; c.Reason != "" {
			c.RequestedBy = "placement"
		}
	}
	n.send(n.pids.session, &router.Ask{Op: op, Timeout: requestTimeout, Done: done})
}

// buckets returns the number of buckets of the cluster. It is known before a shard group starts.
func (n *node) buckets() int {
	if config := n.status.snapshot().config; config != nil {
		return len(config.Owners)
	}
	return n.config.Buckets
}

// nodeInfo is what the config should say about this node.
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

// onView takes the view that a Machine of this node has published. Appliers call it on their goroutines.
func (n *node) onView(group messages.GroupID, view any) {
	switch v := view.(type) {
	case *meta.View:
		n.send(n.pids.member, configCommitted{v.Config})
	case *shardkv.View:
		n.status.setView(group, v)
		n.send(actor.NewPID(n.address(), migratorPath(group)), v)
	}
}

// onReplicaStatus takes the status of a replica of this node. Peers call it on their goroutines.
func (n *node) onReplicaStatus(status *messages.ReplicaStatus) {
	group := messages.GroupID(status.Group)
	led := n.status.leads(group)
	n.status.setReplica(status)
	if !led && group != messages.Meta && n.status.leads(group) {
		n.send(actor.NewPID(n.address(), migratorPath(group)), poll{})
	}
}

// Client returns the Go client of this node's own session, which reaches the Router without the network. It is closed with the node.
func (n *Node) Client() *client.Client { return n.n.client }

// Close transfers leadership to other nodes, stops the node and unlocks its directory. No acknowledged write is lost. ctx bounds the
// wait; after its end the node stops all the same.
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

// Done returns a channel that is closed when the node has stopped, by Close or by itself.
func (n *Node) Done() <-chan struct{} { return n.n.done }

// Err returns the reason why the node stopped by itself; nil if it did not.
func (n *Node) Err() error {
	if err := n.n.failure.Load(); err != nil {
		return *err
	}
	return nil
}
