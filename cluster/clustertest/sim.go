// Package clustertest runs whole clusters in a test. Sim starts production nodes in one actortest.World: one thread, virtual time,
// engines in memory that can lose what was not synced, and one seed. It needs no cgo. Package loopback runs real clusters.
//
// Code that takes a *client.Client runs in it unchanged, as a program whose calls block while virtual time passes:
//
//	s := clustertest.Sim(t, 1, clustertest.Options{})
//	require.True(t, s.RunUntil(s.Ready, time.Minute))
//	s.Go("ann", func(ctx context.Context, c *client.Client) error { return transfer(ctx, c, "a", "b") })
//	s.Go("bob", func(ctx context.Context, c *client.Client) error { return transfer(ctx, c, "b", "a") })
//	s.Members[0].Crash()
//	require.NoError(t, s.Finish(time.Minute))
package clustertest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/eraft-io/eraft/actors/actortest"
	"github.com/eraft-io/eraft/cluster"
	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/persistence/memory"
	"github.com/eraft-io/eraft/raftactor"
)

// Options of a simulated cluster. A zero field means its default.
type Options struct {
	Nodes     int // default 3
	Groups    int // shard groups, default 4; below 0: as many as nodes
	Buckets   int // default 16
	Limits    raftactor.Limits
	Migration cluster.MigrationLimits
	World     []actortest.Option // beside the seed

	ReplaceAfter time.Duration           // see cluster.Config; default: as in production
	UnevenBytes  uint64                  // see cluster.Config; default: as in production
	Labels       func(node int) []string // optional; labels of node 1, 2, ...

	Level func(node int) messages.Level // feature level of the first nodes' programs; default: the newest
}

func (o Options) withDefaults() Options {
	for _, f := range []struct {
		field *int
		value int
	}{{&o.Nodes, 3}, {&o.Groups, 4}, {&o.Buckets, 16}} {
		if *f.field == 0 {
			*f.field = f.value
		}
	}
	return o
}

// Simulation is a cluster in a World. Like the World it is not safe for concurrent use.
type Simulation struct {
	*actortest.World
	t              actortest.TB
	o              Options
	network        *guardedNetwork
	Nodes          []*SimNode
	Oracle         *Oracle
	clients        []string   // addresses of clients
	admin          *Client    // sends the requests of operators; nil: not used yet
	programs       []*Program // started by Go
	machines       int        // machines so far: the number of the newest
	addressChanges int        // nodes that came back at another address so far
	seedsDrawn     uint64     // seeds drawn for nodes and clients, so that no two share one
}

// Sim starts the nodes of a new cluster, which look for one another as virtual time passes; Ready reports when it serves. The cluster
// ends with the test. Its Oracle checks every step.
func Sim(t actortest.TB, seed uint64, o Options) *Simulation {
	s := newSimulation(t, seed, o)
	for _, m := range s.Nodes {
		m.seeds = s.seeds()
		m.Start()
	}
	return s
}

// newSimulation returns a simulation whose nodes are not started.
func newSimulation(t actortest.TB, seed uint64, o Options) *Simulation {
	o = o.withDefaults()
	s := &Simulation{t: t, o: o, World: actortest.NewWorld(t, append(o.World, actortest.Seed(seed))...)}
	s.Oracle = newOracle(s)
	s.AllowPanics(s.Oracle.onPanic)
	s.network = &guardedNetwork{s: s, endpoints: map[string]*endpoint{}}
	s.Network().SetGate(s.network)
	s.Network().Observe(s.Oracle.onSend)
	for range o.Nodes {
		if m := s.addMachine(); o.Level != nil {
			m.Level = o.Level(m.number)
		}
	}
	return s
}

// addMachine adds a machine with empty disks.
func (s *Simulation) addMachine() *SimNode {
	s.machines++
	m := &SimNode{sim: s, number: s.machines, machine: s.World.Node(fmt.Sprintf("n%d:1", s.machines)), disks: [2]*memory.Engine{memory.NewSingleThreaded(), memory.NewSingleThreaded()}, freeBytes: diskSize}
	s.Nodes = append(s.Nodes, m)
	return m
}

// Join starts one more node with empty disks and one seed. configure, if given, changes its Config.
func (s *Simulation) Join(seed *SimNode, configure ...func(*cluster.Config)) *SimNode {
	m := s.addMachine()
	m.seeds, m.configure = []string{seed.machine.Address()}, configure
	m.Start()
	return m
}

// Remove stops a node for good and takes it out of Nodes.
func (s *Simulation) Remove(m *SimNode) {
	m.Kill()
	s.Nodes = slices.DeleteFunc(s.Nodes, func(other *SimNode) bool { return other == m })
}

func (s *Simulation) seeds() []string {
	var all []string
	for _, m := range s.Nodes {
		all = append(all, m.machine.Address())
	}
	return all
}

func (s *Simulation) nextSeed() uint64 {
	s.seedsDrawn++
	return s.World.Seed()*1_000_003 + s.seedsDrawn
}

// Ready reports whether every node runs and can serve.
func (s *Simulation) Ready() bool {
	for _, m := range s.Nodes {
		if m.Node == nil || !m.Node.Ready() {
			return false
		}
	}
	return true
}

// random returns a random source for one purpose: draws for one purpose never shift those for another.
func (s *Simulation) random(purpose uint64) *rand.Rand {
	return rand.New(rand.NewPCG(s.World.Seed(), purpose))
}
