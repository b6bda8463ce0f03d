package cluster

import (
	"context"
	"errors"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/eraft-io/eraft/actors"
	"github.com/eraft-io/eraft/client"
	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/persistence"
	"github.com/eraft-io/eraft/raftactor"
	"github.com/eraft-io/eraft/router"
)

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

// open locks the data directory, opens its engines and reads this node's identity. It raises the boot epoch and syncs it before the
// node sends its first message.
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

// connect creates the actor system and attaches it to the network.
func (n *node) connect() error {
	clock := n.config.Overrides.Clock
	if clock == nil {
		clock = actors.NewSystemClock()
	}
	n.status, n.copyRate = newStatusBoard(clock.Now), newMigrationRate(n.config.Migration.BytesPerSecond)
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

// spawn starts the actors of the node. The Member comes last: it uses all others.
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
