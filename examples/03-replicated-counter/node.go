package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync/atomic"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/eraft-io/eraft/actors"
	"github.com/eraft-io/eraft/actors/remoting"
	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/persistence"
	"github.com/eraft-io/eraft/persistence/rocksdb"
	"github.com/eraft-io/eraft/raftactor"
	"github.com/eraft-io/eraft/router"
)

// group is the only Raft group of this program.
const group messages.GroupID = 1

// node is a process of the cluster: an actor system that listens on TCP, two RocksDB engines, the persistence actors on them, and one
// replica. Package cluster does the same for many groups, and finds its nodes by itself.
type node struct {
	id        messages.NodeID
	addresses []string // of node 1, 2, …
	system    *actors.System
	network   *remoting.Network
	lock      *persistence.DirLock
	log       persistence.Engine
	state     persistence.Engine
	pids      []*actor.PID                           // in the order in which they are stopped
	failed    chan error                             // why the node must stop
	status    atomic.Pointer[messages.ReplicaStatus] // the newest that the replica has told; nil: none yet
}

// start brings a node up on what its directory holds. An empty one becomes a founding member of the group.
func start(dir string, id messages.NodeID, addresses []string) (*node, error) {
	n := &node{
		id: id, addresses: addresses, failed: make(chan error, 16),
		network: remoting.New(remoting.Options{Listen: addresses[id-1], Rules: router.Rules()}),
	}
	identity, err := n.open(dir)
	if err != nil {
		return nil, errors.Join(err, n.stop())
	}
	n.system, err = actors.NewSystem(actors.Env{
		Clock: actors.NewSystemClock(), Rand: actors.SeededRand(rand.Uint64()),
		Events: func(actors.Event) {}, Fatal: func(err error) { n.failed <- err },
	}, n.network)
	if err != nil {
		return nil, errors.Join(err, n.stop())
	}
	n.system.SetIdentity(actors.Identity{Cluster: identity.Cluster, Node: identity.Node, Epoch: identity.Epoch})
	if err := n.spawn(); err != nil {
		return nil, errors.Join(err, n.stop())
	}
	return n, nil
}

// open takes the directory, and says whose it is: the boot epoch rises with every start, and is on disk before anybody hears of it.
func (n *node) open(dir string) (id persistence.Identity, err error) {
	if n.lock, err = persistence.LockDir(dir); err != nil {
		return id, err
	}
	if n.log, err = rocksdb.Open(filepath.Join(dir, "log"), rocksdb.Log); err != nil {
		return id, err
	}
	if n.state, err = rocksdb.Open(filepath.Join(dir, "state"), rocksdb.State); err != nil {
		return id, err
	}
	directory := persistence.Directory{Log: n.log, State: n.state}
	if id, err = directory.StartEpoch(fmt.Sprintf("n%d", n.id), rand.Uint64); err != nil || id.Cluster != 0 {
		return id, err
	}
	id.Cluster, id.Node = 1, n.id
	if err := directory.JoinCluster(id); err != nil {
		return id, err
	}
	batch := new(persistence.Batch)
	err = persistence.OpenLog(n.log).Add(batch, persistence.LogUpdate{
		Group: group, HardState: &messages.HardState{Term: 1, Commit: 1}, Snapshot: raftactor.InitialSnapshot([]uint64{1, 2, 3}),
	})
	return id, errors.Join(err, n.log.Write(batch, true))
}

// spawn starts the actors, the replica last.
func (n *node) spawn() error {
	log := persistence.OpenLog(n.log)
	fatal, batching := n.system.Fatal, actors.Batching(actors.MailboxBound{}, nil)
	var problems error
	spawn := func(path string, producer func() actor.Actor, options ...actors.Option) *actor.PID {
		pid, err := n.system.Spawn(path, producer, options...)
		problems = errors.Join(problems, err)
		n.pids = append(n.pids, pid)
		return pid
	}
	spawn(raftactor.HeartbeatCoalescerPath, func() actor.Actor { return raftactor.NewHeartbeatCoalescer(n.system) }, batching)
	ticker := spawn(raftactor.TickerPath, func() actor.Actor { return raftactor.NewTicker(n.system) }, actors.Durable())
	writer := spawn("persistence/log", func() actor.Actor {
		return persistence.NewWriter(log, persistence.WriterOptions{Fatal: fatal, Now: n.system.Clock.Now})
	}, actors.Durable(), batching)
	reader := spawn("persistence/log/reader", func() actor.Actor { return persistence.NewLogReader(log, fatal) }, actors.Durable())
	syncer := spawn("persistence/state/sync", func() actor.Actor { return persistence.NewStateSyncer(n.state, fatal) }, actors.Durable())
	stateWriter := spawn("persistence/state", func() actor.Actor {
		return persistence.NewStateWriter(n.state, persistence.StateWriterOptions{Fatal: fatal, Syncer: syncer})
	}, actors.Durable(), batching)
	if problems != nil {
		return problems
	}
	loaded, err := log.Load(group)
	if err != nil {
		return err
	}
	return raftactor.Start(raftactor.Options{
		Group: group, Node: n.id, System: n.system, Writer: writer, LogReader: reader, StateWriter: stateWriter, Ticker: ticker,
		State: n.state, Log: loaded, Machine: new(counter),
		Address: func(id messages.NodeID) string { return n.addresses[id-1] },
		OnState: n.status.Store, OnDestroyed: func(messages.GroupID) {},
	})
}

// stop ends a node without a word to the others: nobody is told who shall lead instead. Then another node may use its directory.
func (n *node) stop() (err error) {
	if n.system != nil {
		err = errors.Join(n.network.Detach(), raftactor.Stop(n.system, group))
		for _, pid := range n.pids {
			err = errors.Join(err, n.system.Root.StopFuture(pid).Wait())
		}
	}
	for _, engine := range []persistence.Engine{n.log, n.state} {
		if engine != nil {
			err = errors.Join(err, engine.Close())
		}
	}
	if n.lock != nil {
		err = errors.Join(err, n.lock.Unlock())
	}
	return err
}

// digest is what the node's data is at: an index of the log, and a sum over all of it.
func (n *node) digest() (index, sum uint64) {
	type answer struct{ index, sum uint64 }
	answers := make(chan answer, 1)
	n.system.Root.Send(actor.NewPID(n.system.Address(), raftactor.ApplierPath(group)),
		raftactor.Digest{Done: func(index, sum uint64) { answers <- answer{index, sum} }})
	a := <-answers
	return a.index, a.sum
}
