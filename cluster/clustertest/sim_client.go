package clustertest

import (
	"errors"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/actors"
	"github.com/eraft-io/eraft/actors/actortest"
	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/raftactor"
	"github.com/eraft-io/eraft/router"
)

// Client is a Go client on a machine of its own.
type Client struct {
	s      *Simulation
	system *actors.System
	ask    func(*router.Ask)
}

// Client returns a new client.
func (s *Simulation) Client(name string) *Client { return s.client(router.Options{Name: name}) }

// client returns a new client with bounds of its own.
func (s *Simulation) client(o router.Options) *Client {
	system, session := s.session(o)
	return &Client{s: s, system: system, ask: func(a *router.Ask) { system.Root.Send(session, a) }}
}

// session starts a Session on a machine of its own.
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

// Gateway returns a client inside a running node, which sends its requests as the node's RESP gateway does.
func (m *SimNode) Gateway() *Client {
	system := m.sim.network.endpoints[m.machine.Address()].sys
	session, err := router.StartSession(system, router.Options{Name: "gateway"})
	if err != nil {
		m.sim.Fail("gateway: %v", err)
	}
	return &Client{s: m.sim, system: system, ask: func(a *router.Ask) { system.Root.Send(session, a) }}
}

// Ask sends an operation; done is called once with the reply, while the World runs.
func (c *Client) Ask(op proto.Message, timeout time.Duration, done func(*messages.Reply)) {
	c.ask(&router.Ask{Op: op, Timeout: timeout, Done: done})
}

// Do sends an operation and runs the World until the reply comes.
func (c *Client) Do(op proto.Message) (*messages.Reply, error) {
	var answer *messages.Reply
	c.Ask(op, router.MaxTimeout, func(r *messages.Reply) { answer = r })
	if !c.s.RunUntil(func() bool { return answer != nil }, 2*router.MaxTimeout) {
		return nil, errors.New("the session never answered")
	}
	return answer, answer.Err()
}

// RawClient is a machine that belongs to no cluster and has no Session: it sends any bytes to nodes.
type RawClient struct {
	s       *Simulation
	system  *actors.System
	machine *actortest.Node
}

// RawClient returns a new RawClient.
func (s *Simulation) RawClient(name string) *RawClient {
	at := s.World.Node(name + ":1")
	s.clients = append(s.clients, at.Address())
	system, err := actors.NewSystem(actors.Env{
		Clock: at.Clock(), Rand: actors.SeededRand(s.nextSeed()), Events: func(actors.Event) {},
		Fatal: func(err error) { s.Fail("raw client: %v", err) },
	}, s.network.endpoint(at))
	if err != nil {
		s.Fail("raw client: %v", err)
	}
	return &RawClient{s: s, system: system, machine: at}
}

// Send sends encoded commands to a node's replica of a group.
func (x *RawClient) Send(m *SimNode, group messages.GroupID, commands ...[]byte) {
	x.system.Root.Send(x.system.PID(m.machine.Address(), raftactor.PeerPath(group)), &messages.Requests{
		Group: uint64(group), Sessions: []*messages.SessionRequests{{Address: x.machine.Address(), Id: "session/none", Commands: commands}},
	})
}
