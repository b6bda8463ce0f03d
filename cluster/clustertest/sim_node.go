package clustertest

import (
	"context"
	"fmt"
	"slices"

	"github.com/eraft-io/eraft/actors"
	"github.com/eraft-io/eraft/actors/actortest"
	"github.com/eraft-io/eraft/cluster"
	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/persistence"
	"github.com/eraft-io/eraft/persistence/memory"
	"github.com/eraft-io/eraft/raftactor"
)

// SimNode is a node of a Simulation, running or stopped: its machine, its disks, and its process while it runs.
type SimNode struct {
	Node          *cluster.Node  // the running node; nil: stopped
	Failure       error          // why the node stopped by itself or did not start, at its last start; nil: it did not
	Level         messages.Level // feature level of its program from the next start on; 0: the newest
	sim           *Simulation
	number        int
	seeds         []string // addresses, for the next start
	machine       *actortest.Node
	disks         [2]*memory.Engine           // log and state, as mounted
	unmounted     *[2]*memory.Engine          // the node's own disks while they are not mounted; nil: they are
	readdressed   bool                        // the node has come back at another address
	damaged       bool                        // an injected fault makes a disk return wrong data
	halfMounted   bool                        // the next start finds only one of its two disks
	freeBytes     uint64                      // free space of its disks
	configVersion uint64                      // of the newest config that it has adopted since its start
	cursor        map[messages.GroupID]cursor // positions of its replicas, for the Oracle

	configure []func(*cluster.Config) // changes of its Config, at every start
}

// Wipe stops a node and empties both of its disks.
func (m *SimNode) Wipe() {
	m.Kill()
	m.sim.Oracle.onWipe(m)
	m.disks, m.damaged = [2]*memory.Engine{memory.NewSingleThreaded(), memory.NewSingleThreaded()}, false
}

// Unmount stops the node and lets it find empty disks from now on, as when its volumes are not mounted. mount stops it again and gives
// it its own disks back.
func (m *SimNode) Unmount() (mount func()) {
	m.Kill()
	disks := m.disks
	m.disks = [2]*memory.Engine{memory.New(), memory.New()}
	m.unmounted = &disks
	return func() {
		m.Kill()
		m.disks, m.unmounted = disks, nil
		m.sim.Oracle.forgetsInterim(m)
		m.sim.Oracle.noteIdentity(m)
	}
}

// log returns the synced log of the node's own disks, mounted or not.
func (m *SimNode) log() persistence.Reader {
	if m.unmounted != nil {
		return m.unmounted[0].Synced()
	}
	return m.disks[0].Synced()
}

// Readdress stops the node; its next start is at a new address, as that of a container. Nodes that have it as a seed get the new
// address at their next start.
func (m *SimNode) Readdress() {
	m.Kill()
	m.sim.addressChanges++
	was := m.machine.Address()
	m.machine = m.sim.World.Node(fmt.Sprintf("n%d-%d:1", m.number, m.sim.addressChanges))
	for _, other := range m.sim.Nodes {
		seeds := slices.Clone(other.seeds)
		for i, seed := range seeds {
			if seed == was {
				seeds[i] = m.machine.Address()
			}
		}
		other.seeds = seeds
	}
}

// TakeAddress lets a stopped node start next at the machine of another stopped node.
func (m *SimNode) TakeAddress(of *actortest.Node) { m.machine = of }

// Seeds sets the seeds of the node's next start.
func (m *SimNode) Seeds(seeds ...*SimNode) {
	m.seeds = nil
	for _, seed := range seeds {
		m.seeds = append(m.seeds, seed.machine.Address())
	}
}

// Machine returns the node of the World on which this node runs, for pauses, clock skew and cut links.
func (m *SimNode) Machine() *actortest.Node { return m.machine }

// id returns the node's id in the cluster as its disk says; 0: it has none.
func (m *SimNode) id() messages.NodeID {
	id, _, err := persistence.LoadIdentity(m.disks[0].Synced())
	if err != nil {
		return 0
	}
	return id.Node
}

// Start starts the node on its disks, unless it runs.
func (m *SimNode) Start() {
	if m.Node != nil {
		return
	}
	m.Failure, m.configVersion, m.cursor = nil, 0, map[messages.GroupID]cursor{}
	m.sim.Oracle.noteIdentity(m)
	var labels []string
	if m.sim.o.Labels != nil {
		labels = m.sim.o.Labels(m.number)
	}
	config := cluster.Config{
		Name: fmt.Sprintf("n%d", m.number), Dir: "simulated", Listen: m.machine.Address(), Seeds: m.seeds, Expect: len(m.seeds),
		Groups: max(0, m.sim.o.Groups), Buckets: m.sim.o.Buckets, Limits: m.sim.o.Limits, Migration: m.sim.o.Migration, Insecure: true,
		Labels: labels, ReplaceAfter: m.sim.o.ReplaceAfter, UnevenBytes: m.sim.o.UnevenBytes,
		Events: func(e actors.Event) { m.sim.Oracle.onEvent(m, e) },
		Overrides: cluster.Overrides{
			Network: func(cluster.Config) actors.Network { return m.sim.network.endpoint(m.machine) },
			Engines: func(string) (log, state persistence.Engine, err error) { return m.disks[0], m.disks[1], nil },
			Free:    func(string) (free, total uint64, err error) { return m.freeBytes, diskSize, nil },
			Clock:   m.machine.Clock(), Seed: m.sim.nextSeed(), Fatal: m.fail, Level: m.Level,
			OnApply: func(_ messages.NodeID, at raftactor.Position, command []byte, reply *messages.Reply) {
				m.sim.Oracle.onApply(m, at, command, reply)
			},
			OnRead: func(_ messages.NodeID, group messages.GroupID, index uint64, query []byte, reply *messages.Reply) {
				m.sim.Oracle.onRead(m, group, index, query, reply)
			},
		},
	}
	for _, change := range m.configure {
		change(&config)
	}
	node, err := cluster.Start(context.Background(), config)
	if err != nil {
		m.Failure = err
		m.replaceDisks((*memory.Engine).Kill) // the failed start has closed the engines
		m.sim.Oracle.onNodeFailed(m, err)
		return
	}
	m.Node = node
}

// fail stops a node that says that it must not go on. Its messages are still delivered.
func (m *SimNode) fail(err error) {
	if m.Node == nil {
		return
	}
	m.Crash()
	m.Failure = err
	m.sim.Oracle.onNodeFailed(m, err)
}

// Crash cuts the power of the node: its disks keep what was synced and a random part of the rest.
func (m *SimNode) Crash() {
	m.stop(func(e *memory.Engine) *memory.Engine { return e.Crash(m.sim.Rand()) })
}

// Kill kills the process of the node: the log keeps all that was written to it. The state has no write-ahead log of its own: it keeps
// what was synced and a random part of the rest.
func (m *SimNode) Kill() {
	m.stop(func(e *memory.Engine) *memory.Engine {
		if e == m.disks[1] {
			return e.Crash(m.sim.Rand())
		}
		return e.Kill()
	})
}

func (m *SimNode) stop(left func(*memory.Engine) *memory.Engine) {
	if m.Node == nil {
		return
	}
	m.Node = nil
	m.machine.Crash()
	m.replaceDisks(left)
}

func (m *SimNode) replaceDisks(left func(*memory.Engine) *memory.Engine) {
	for i, disk := range m.disks {
		m.disks[i] = left(disk)
	}
}

// Copy returns a backup of the disks of a stopped node.
func (m *SimNode) Copy() (disks [2]*memory.Engine) {
	for i, disk := range m.disks {
		disks[i], m.disks[i] = disk.Kill(), disk.Kill()
	}
	return disks
}

// Restore replaces the disks of a stopped node by a backup.
func (m *SimNode) Restore(copied [2]*memory.Engine) { m.disks = copied }

// Disks returns the engines of the log and the state, to inject faults or to read.
func (m *SimNode) Disks() (log, state *memory.Engine) { return m.disks[0], m.disks[1] }

// Pledged returns the feature level below which no program starts on the node's disks; 0: any program may.
func (m *SimNode) Pledged() messages.Level {
	id, _, err := persistence.LoadIdentity(m.disks[0].Synced())
	if err != nil {
		return 0
	}
	return id.Level
}
