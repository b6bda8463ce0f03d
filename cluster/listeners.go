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

// listeners are a node's listeners for Redis clients and for HTTP; nil: none.
type listeners struct {
	resp *gateway.Gateway
	http *console.Console
}

func (e *listeners) respAddress() string {
	if e.resp == nil {
		return ""
	}
	return e.resp.Address()
}

func (e *listeners) httpAddress() string {
	if e.http == nil {
		return ""
	}
	return e.http.Address()
}

func (e *listeners) close() error {
	var err error
	if e.resp != nil {
		err = e.resp.Close()
	}
	if e.http != nil {
		err = errors.Join(err, e.http.Close())
	}
	return err
}

// gatewaySession sends the gateway's operations through a session of their own.
type gatewaySession struct {
	node    *node
	session *actor.PID
}

func (a gatewaySession) Ask(op proto.Message, timeout time.Duration, room int, done func(*messages.Reply)) {
	began := a.node.system.Clock.Now()
	a.node.send(a.session, &router.Ask{Op: op, Timeout: timeout, ReplyBudget: room, Done: func(r *messages.Reply) {
		a.node.metrics.Request(op, r.Code, a.node.system.Clock.Now()-began)
		done(r)
	}})
}

// openListeners opens the RESP and HTTP listeners. It runs before the Member is started, which announces their addresses.
func (n *node) openListeners() (err error) {
	if n.config.RESP != "" {
		session, err := router.StartSession(n.system, router.Options{Name: "gateway", InFlight: gatewayInFlight})
		if err != nil {
			return err
		}
		n.listeners.resp, err = gateway.Start(gateway.Options{
			Listen: n.config.RESP, Backend: gatewaySession{n, session}, Info: n.info, Loading: n.loading, Topology: n.topology, OwnKeys: n.config.OwnKeys,
			MaxConnections: n.files.resp, ConnectionRefused: func() { n.metrics.Refused("resp") },
			CommandDone:   n.metrics.Command,
			ClientStalled: func(client string) { n.system.Events(ClientStalled{Client: client}) },
		})
		if err != nil {
			return err
		}
	}
	if n.config.HTTP != "" {
		n.listeners.http, err = console.Start(console.Options{
			Listen: n.config.HTTP, Failing: n.failing, Registry: n.metrics.registry,
			Bound:  func(l net.Listener) net.Listener { return remoting.LimitListener(l, n.files.http, n.refuseHTTP) },
			Status: func() []byte { return n.statusJSON(n.status.snapshot()) }, Profiles: n.config.Profiles,
		})
	}
	return err
}

// gatewayInFlight bounds the unanswered commands of all Redis clients of a node.
const gatewayInFlight = 1 << 14

func (n *node) tcpNetwork() actors.Network {
	return remoting.New(remoting.Options{
		Listen: n.config.Listen, Advertise: n.config.Advertise, Rules: router.Rules(),
		MaxConnections: n.files.nodes, OnRefused: func() { n.metrics.Refused("listen") },
	})
}

// refuseHTTP answers a connection above the limit with the reason, over HTTP.
func (n *node) refuseHTTP(conn net.Conn) {
	n.metrics.Refused("http")
	const text = "this node has as many connections as its process may open files for: close some, or raise ulimit -n\n"
	_, _ = fmt.Fprintf(conn, "HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s",
		len(text), text) // the connection is new, so its send buffer has space; it may be closed already
	_ = conn.Close()
}

// topology returns what Redis Cluster clients are told about the cluster.
func (n *node) topology() gateway.Topology {
	s := n.status.snapshot()
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

// loading says why no data can be reached through this node; "": it can. A node without a config is loading. Later problems are
// reported by the replies of commands.
func (n *node) loading() string {
	if s := n.status.snapshot(); s.config == nil {
		return strings.Join(failing(s), "; ")
	}
	return ""
}
