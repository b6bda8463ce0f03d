package cluster

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/actors"
	"github.com/eraft-io/eraft/actors/remoting"
	"github.com/eraft-io/eraft/cluster/console"
	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/router"
	"github.com/eraft-io/eraft/router/gateway"
)

// edge is what of a node faces people and Redis clients.
type edge struct {
	resp *gateway.Gateway
	http *console.Console
}

func (e *edge) respAddress() string {
	if e.resp == nil {
		return ""
	}
	return e.resp.Address()
}

func (e *edge) httpAddress() string {
	if e.http == nil {
		return ""
	}
	return e.http.Address()
}

func (e *edge) close() error {
	var err error
	if e.resp != nil {
		err = e.resp.Close()
	}
	if e.http != nil {
		err = errors.Join(err, e.http.Close())
	}
	return err
}

// asking sends the gateway's operations through a session of their own.
type asking struct {
	n       *node
	session *actor.PID
}

func (a asking) Ask(op proto.Message, timeout time.Duration, room int, done func(*messages.Reply)) {
	began := a.n.system.Clock.Now()
	a.n.send(a.session, &router.Ask{Op: op, Timeout: timeout, ReplyBudget: room, Done: func(r *messages.Reply) {
		a.n.metrics.Request(op, r.Code, a.n.system.Clock.Now()-began)
		done(r)
	}})
}

// listen opens the RESP and HTTP listeners; it comes before Member speaks of them.
func (n *node) listen() (err error) {
	if n.c.RESP != "" {
		session, err := router.StartSession(n.system, router.Options{Name: "gateway", InFlight: gatewayFlight})
		if err != nil {
			return err
		}
		n.edge.resp, err = gateway.Start(gateway.Options{
			Listen: n.c.RESP, Backend: asking{n, session}, Info: n.info, Loading: n.loading, Topology: n.topology, OwnKeys: n.c.OwnKeys,
			MaxConnections: n.files.resp, ConnectionRefused: func() { n.metrics.Refused("resp") },
			CommandDone:   n.metrics.Command,
			ClientStalled: func(client string) { n.system.Events(ClientStalled{Client: client}) },
		})
		if err != nil {
			return err
		}
	}
	if n.c.HTTP != "" {
		n.edge.http, err = console.Start(console.Options{
			Listen: n.c.HTTP, Failing: n.failing, Registry: n.metrics.registry,
			Bound:  func(l net.Listener) net.Listener { return remoting.LimitListener(l, n.files.http, n.refuseHTTP) },
			Status: func() []byte { return n.statusJSON(n.board.snapshot()) }, Profiles: n.c.Profiles,
		})
	}
	return err
}

// gatewayFlight bounds the unanswered commands of all Redis clients of a node.
const gatewayFlight = 1 << 14

func (n *node) overTCP() actors.Network {
	return remoting.New(remoting.Options{
		Listen: n.c.Listen, Advertise: n.c.Advertise, Rules: router.Rules(),
		MaxConnections: n.files.nodes, OnRefused: func() { n.metrics.Refused("listen") },
	})
}

// refuseHTTP says over HTTP why a connection is not served.
func (n *node) refuseHTTP(conn net.Conn) {
	n.metrics.Refused("http")
	const text = "this node has as many connections as its process may open files for: close some, or raise ulimit -n\n"
	_, _ = fmt.Fprintf(conn, "HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s",
		len(text), text) // it is new, so there is room for it; it may be gone already
	_ = conn.Close()
}

// topology is what Redis Cluster clients are told.
func (n *node) topology() gateway.Topology {
	s := n.board.snapshot()
	t := gateway.Topology{
		Config: s.config, Self: uint64(s.identity.Node), Leaders: map[uint64]uint64{}, Up: map[uint64]bool{uint64(s.identity.Node): true},
	}
	for _, g := range s.config.GetGroups() {
		t.Leaders[g.Id], _ = s.leader(messages.GroupID(g.Id))
	}
	for id := range s.others {
		t.Up[uint64(id)] = true
	}
	return t
}

// loading tells why no data can be reached through this node: it knows of no cluster. Later the answer of a command says
// what is wrong.
func (n *node) loading() string {
	if s := n.board.snapshot(); s.config == nil {
		return strings.Join(failing(s), "; ")
	}
	return ""
}
