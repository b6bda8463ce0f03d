// Package clustertest runs whole clusters in a test. Sim is a cluster of production nodes in one actortest.World: one
// thread, virtual time, an engine in memory that can lose what was not synced, one seed. It needs no
// cgo. Package loopback has real clusters.
//
// Code that takes a *client.Client runs against it as it is, as a program whose calls block while virtual time passes:
//
//	s := clustertest.Sim(t, 1, clustertest.Options{})
//	require.True(t, s.RunUntil(s.Ready, time.Minute))
//	s.Go("ann", func(ctx context.Context, c *client.Client) error { return transfer(ctx, c, "a", "b") })
//	s.Go("bob", func(ctx context.Context, c *client.Client) error { return transfer(ctx, c, "b", "a") })
//	s.Members[0].Crash()
//	require.NoError(t, s.Finish(time.Minute))
package clustertest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/actors"
	"github.com/eraft-io/eraft/actors/actortest"
	"github.com/eraft-io/eraft/cluster"
	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/persistence"
	"github.com/eraft-io/eraft/persistence/memory"
	"github.com/eraft-io/eraft/raftactor"
	"github.com/eraft-io/eraft/router"
)

// Options of a simulated cluster. A zero field means its default.
type Options struct {
	Nodes     int // default 3
	Groups    int // shard groups, default 4; below 0: as many as nodes
	Buckets   int // default 16
	Limits    raftactor.Limits
	Migration cluster.MigrationLimits
	World     []actortest.Option // beside the seed

	ReplaceAfter time.Duration           // of a silent node; default: as in production
	UnevenBytes  uint64                  // by which groups may differ; default: as in production
	Labels       func(node int) []string // optional

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
	clients        []string // addresses
	admin          *Client
	programs       []*Program
	machines       int
	addressChanges int    // of nodes to other addresses
	seedsDrawn     uint64 // of all nodes and clients, so that no two share a seed
}

// Member is a node of a Simulation, alive or not.
type SimNode struct {
	Node          *cluster.Node  // of this life; nil when dead
	Failure       error          // why the last life ended by itself, or could not begin
	Level         messages.Level // feature level of its program from the next life on; 0: the newest
	sim           *Simulation
	number        int
	seeds         []string
	machine       *actortest.Node
	disks         [2]*memory.Engine  // log and state
	unmounted     *[2]*memory.Engine // that are not mounted; nil: the node has its own
	readdressed   bool               // to another address
	damaged       bool               // something on a disk is read wrong
	halfMounted   bool               // it is started with one of its disks only
	freeBytes     uint64             // bytes that its disks have left
	configVersion uint64             // version of the newest that this life has adopted
	cursor        map[messages.GroupID]cursor

	configure []func(*cluster.Config)
}

// Sim makes a cluster of nodes that begin to look for one another; Ready tells when it serves. It lives as long as the
// test, and every step of it is watched by its Oracle.
func Sim(t actortest.TB, seed uint64, o Options) *Simulation {
	s := newSimulation(t, seed, o)
	for _, m := range s.Nodes {
		m.seeds = s.seeds()
		m.Start()
	}
	return s
}

// prepare makes a simulation whose nodes have not begun to live.
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

// host is a machine with empty disks.
func (s *Simulation) addMachine() *SimNode {
	s.machines++
	m := &SimNode{sim: s, number: s.machines, machine: s.World.Node(fmt.Sprintf("n%d:1", s.machines)), disks: [2]*memory.Engine{memory.NewSingleThreaded(), memory.NewSingleThreaded()}, freeBytes: diskSize}
	s.Nodes = append(s.Nodes, m)
	return m
}

// Join starts one more node, with empty disks, that knows one other. configure, if given, changes its Config.
func (s *Simulation) Join(seed *SimNode, configure ...func(*cluster.Config)) *SimNode {
	m := s.addMachine()
	m.seeds, m.configure = []string{seed.machine.Address()}, configure
	m.Start()
	return m
}

// Gone ends a node for good: nobody expects anything of it any more.
func (s *Simulation) Remove(m *SimNode) {
	m.Kill()
	s.Nodes = slices.DeleteFunc(s.Nodes, func(other *SimNode) bool { return other == m })
}

// Wipe is the loss of both disks of a dead node.
func (m *SimNode) Wipe() {
	m.Kill()
	m.sim.Oracle.onWipe(m)
	m.disks, m.damaged = [2]*memory.Engine{memory.NewSingleThreaded(), memory.NewSingleThreaded()}, false
}

// Unmount ends a life of the node and lets it find empty disks from then on, as when volumes are not mounted, until mount
// ends the life that it has then and gives it its disks back.
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

// log is the log of the node's own directory, also while its volumes are not mounted.
func (m *SimNode) log() persistence.Reader {
	if m.unmounted != nil {
		return m.unmounted[0].Synced()
	}
	return m.disks[0].Synced()
}

// Readdress ends a life of the node, whose next one is at an address that nobody has heard of, as of a container. Nodes that
// start from then on with this one as a seed are told the new one.
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

// TakeAddress lets the next life of a node that is dead be where another dead one was.
func (m *SimNode) TakeAddress(of *actortest.Node) { m.machine = of }

// Seeds are what the next life of the node is told.
func (m *SimNode) Seeds(seeds ...*SimNode) {
	m.seeds = nil
	for _, seed := range seeds {
		m.seeds = append(m.seeds, seed.machine.Address())
	}
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

// Host is the node in the World, for pauses, skews and cuts.
func (m *SimNode) Machine() *actortest.Node { return m.machine }

// id is who the node is in the cluster, 0 if nobody yet.
func (m *SimNode) id() messages.NodeID {
	id, _, err := persistence.LoadIdentity(m.disks[0].Synced())
	if err != nil {
		return 0
	}
	return id.Node
}

// Start begins a life of the node on its disks.
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
		m.replaceDisks((*memory.Engine).Kill) // what did not start has closed them
		m.sim.Oracle.onNodeFailed(m, err)
		return
	}
	m.Node = node
}

// fail ends a life that says that it must not go on. What it has sent stays sent.
func (m *SimNode) fail(err error) {
	if m.Node == nil {
		return
	}
	m.Crash()
	m.Failure = err
	m.sim.Oracle.onNodeFailed(m, err)
}

// Crash is the loss of power: the node is gone, and of its disks stays what was synced and a random part of the rest.
func (m *SimNode) Crash() {
	m.stop(func(e *memory.Engine) *memory.Engine { return e.Crash(m.sim.Rand()) })
}

// Kill is the death of the process: the node is gone. The log has all that was written to it; of the state, which has no
// log of its own, stays what was synced and a random part of the rest.
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

// Copy is what a backup of the disks of a dead node has.
func (m *SimNode) Copy() (disks [2]*memory.Engine) {
	for i, disk := range m.disks {
		disks[i], m.disks[i] = disk.Kill(), disk.Kill()
	}
	return disks
}

// Restore puts a copy in the place of the disks of a dead node.
func (m *SimNode) Restore(copied [2]*memory.Engine) { m.disks = copied }

// Disks are the engines of the log and the state, to break or to look at.
func (m *SimNode) Disks() (log, state *memory.Engine) { return m.disks[0], m.disks[1] }

// Ready tells whether every node lives and can serve.
func (s *Simulation) Ready() bool {
	for _, m := range s.Nodes {
		if m.Node == nil || !m.Node.Ready() {
			return false
		}
	}
	return true
}

// Client is a Go client on a host of its own.
type Client struct {
	s      *Simulation
	system *actors.System
	ask    func(*router.Ask)
}

// Client makes a client.
func (s *Simulation) Client(name string) *Client { return s.client(router.Options{Name: name}) }

// client makes a client with bounds of its own.
func (s *Simulation) client(o router.Options) *Client {
	system, session := s.session(o)
	return &Client{s: s, system: system, ask: func(a *router.Ask) { system.Root.Send(session, a) }}
}

// session starts a session on a host of its own.
func (s *Simulation) session(o router.Options) (*actors.System, *actor.PID) {
	name := o.Name
	o.Contacts = s.seeds()
	at := s.World.Node(name + ":1")
	s.clients = append(s.clients, at.Address())
	system, err := actors.NewSystem(actors.Env{
		Clock: at.Clock(), Rand: actors.SeededRand(s.nextSeed()), Events: func(actors.Event) {},
		Fatal: func(err error) { s.Fail("client: %v", err) },
	}, s.network.endpoint(at))
	if err != nil {
		s.Fail("client: %v", err)
	}
	session, err := router.Start(system, o)
	if err != nil {
		s.Fail("client: %v", err)
	}
	return system, session
}

// Gateway is a client at a node that lives: it asks as Redis clients of the node do.
func (m *SimNode) Gateway() *Client {
	system := m.sim.network.endpoints[m.machine.Address()].sys
	session, err := router.StartSession(system, router.Options{Name: "gateway"})
	if err != nil {
		m.sim.Fail("gateway: %v", err)
	}
	return &Client{s: m.sim, system: system, ask: func(a *router.Ask) { system.Root.Send(session, a) }}
}

// Ask sends an operation; done is called once with its answer, while the World runs.
func (c *Client) Ask(op proto.Message, timeout time.Duration, done func(*messages.Reply)) {
	c.ask(&router.Ask{Op: op, Timeout: timeout, Done: done})
}

// Do sends an operation and runs the World until it is answered.
func (c *Client) Do(op proto.Message) (*messages.Reply, error) {
	var answer *messages.Reply
	c.Ask(op, router.MaxTimeout, func(r *messages.Reply) { answer = r })
	if !c.s.RunUntil(func() bool { return answer != nil }, 2*router.MaxTimeout) {
		return nil, errors.New("the session never answered")
	}
	return answer, answer.Err()
}

// wires are the ends of the simulated network: they say who speaks, and let in what the guards of the real one would.
type guardedNetwork struct {
	s         *Simulation
	endpoints map[string]*endpoint
}

type endpoint struct {
	network *guardedNetwork
	machine *actortest.Node
	sys     *actors.System
	guard   *actors.Guard
}

func (w *guardedNetwork) endpoint(at *actortest.Node) *endpoint {
	return &endpoint{network: w, machine: at}
}

// Attach implements actors.Network.
func (e *endpoint) Attach(sys *actors.System) error {
	e.sys, e.guard = sys, actors.NewGuard(router.Rules(), sys)
	e.machine.RestartWith(sys.ActorSystem)
	e.network.endpoints[e.machine.Address()] = e
	return nil
}

// Detach implements actors.Network.
func (e *endpoint) Detach() error { return nil }

func (w *guardedNetwork) Stamp(from *actortest.Node) any {
	if e := w.endpoints[from.Address()]; e != nil {
		return e.sys.Identity()
	}
	return actors.Identity{}
}

func (w *guardedNetwork) Admit(at *actortest.Node, m actortest.Envelope) bool {
	e, from := w.endpoints[at.Address()], m.Stamp.(actors.Identity)
	if e == nil {
		return false
	}
	var encoded []byte
	if e.guard.Outsider(from) { // only the messages of outsiders are looked into
		var err error
		if encoded, err = proto.Marshal(m.Message); err != nil {
			return false
		}
	}
	origin, kind := actors.Origin{Identity: from, ReplyAddress: m.From}, string(m.Message.ProtoReflect().Descriptor().FullName())
	e.guard.ConfirmEpoch(from) // in the World nobody lies about where it lives
	if newest := e.guard.SupersededBy(from); newest != 0 {
		if other := w.endpoints[m.From]; other != nil && other.sys.Identity() == from { // the real one answers over the connection
			other.sys.Clock.After(time.Millisecond, func() { other.sys.ReportSuperseded(newest) })
		}
	}
	return e.guard.Admit(origin, kind, m.Target.Id, encoded) && e.guard.CheckSender(origin, kind, m.Message)
}

// source is a random source of the simulation's for one purpose, so that more of one never shifts another.
func (s *Simulation) random(purpose uint64) *rand.Rand {
	return rand.New(rand.NewPCG(s.World.Seed(), purpose))
}

// Stranger is a host that belongs to no cluster and has no Session: it says to nodes what it likes.
type RawClient struct {
	s       *Simulation
	system  *actors.System
	machine *actortest.Node
}

// Stranger makes one.
func (s *Simulation) RawClient(name string) *RawClient {
	at := s.World.Node(name + ":1")
	s.clients = append(s.clients, at.Address())
	system, err := actors.NewSystem(actors.Env{
		Clock: at.Clock(), Rand: actors.SeededRand(s.nextSeed()), Events: func(actors.Event) {},
		Fatal: func(err error) { s.Fail("stranger: %v", err) },
	}, s.network.endpoint(at))
	if err != nil {
		s.Fail("stranger: %v", err)
	}
	return &RawClient{s: s, system: system, machine: at}
}

// Tell sends encoded commands to a node's replica of a group.
func (x *RawClient) Send(m *SimNode, group messages.GroupID, commands ...[]byte) {
	x.system.Root.Send(x.system.PID(m.machine.Address(), raftactor.PeerPath(group)), &messages.Requests{
		Group: uint64(group), Sessions: []*messages.SessionRequests{{Address: x.machine.Address(), Id: "session/none", Commands: commands}},
	})
}

// Pledged is the feature level below which no program starts on the node's disks any more, 0 if any may.
func (m *SimNode) Pledged() messages.Level {
	id, _, err := persistence.LoadIdentity(m.disks[0].Synced())
	if err != nil {
		return 0
	}
	return id.Level
}
