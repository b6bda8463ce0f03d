package clustertest

import (
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/actors"
	"github.com/eraft-io/eraft/actors/actortest"
	"github.com/eraft-io/eraft/router"
)

// guardedNetwork holds the endpoints of the simulated network. Each stamps the messages of its node with the node's identity, and
// admits only the messages that the guard of the real network admits.
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
