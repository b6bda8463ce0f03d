package remoting

import (
	"context"
	"strings"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/remote"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
)

// remoteProcess is the Process of all PIDs of other systems. Proto.Actor's own starts a goroutine for every few messages, whose stack grows
// anew each time, and keeps any number of messages for a system that does not answer.
type remoteProcess struct{ n *Network }

// SendUserMessage queues a message. It must not change afterwards.
func (o remoteProcess) SendUserMessage(to *actor.PID, m any) {
	_, content, sender := actor.UnwrapEnvelope(m)
	message, ok := content.(proto.Message)
	if !ok {
		o.n.guard.CountDrop("no protobuf message")
		return
	}
	l := outgoingMessage{to, sender, message, proto.Size(message)}
	if !o.n.guard.Sendable(to, message, l.size, func(to *actor.PID, m proto.Message) { o.n.sys.Root.Send(to, m) }) {
		return
	}
	if strings.HasPrefix(to.Address, clientAddress) {
		o.n.clients.post(l)
		return
	}
	way := o.n.route(l)
	for result := queueClosed; result == queueClosed; {
		e := o.n.endpoint(way)
		if e == nil {
			return
		}
		if result = e.queue.post(l); result == queueFull {
			o.n.countQueueFull(to.Address)
		}
	}
}

// SendSystemMessage sends nothing: actors cannot watch or stop actors of other systems.
func (o remoteProcess) SendSystemMessage(*actor.PID, any) { o.n.guard.CountDrop("system message") }

func (o remoteProcess) Stop(*actor.PID) { o.n.guard.CountDrop("system message") }

// route names a connection to another system. Between members there are two, so that Raft's own messages never wait behind requests and
// replies of clients, nor behind snapshots: not in a queue here, not for a slow receiver, and not on the wire.
type route struct {
	address string
	bulk    bool // the one for messages whose Rule says Bulk
}

func (n *Network) route(l outgoingMessage) route {
	return route{l.to.Address, n.bulk[string(l.message.ProtoReflect().Descriptor().FullName())] && !n.sys.Identity().Unauthenticated()}
}

// endpoint is one connection to another system: a queue, and a goroutine with a stream. It ends with its first failure, and all queued
// messages are lost; the next message makes a new one.
type endpoint struct {
	n      *Network
	route  route
	queue  *queue
	stream remote.Remoting_ReceiveClient
	header identityHeader
}

// endpoint finds or makes the endpoint of a route; nil: nothing is sent any more.
func (n *Network) endpoint(way route) *endpoint {
	n.mu.RLock()
	e := n.endpoints[way]
	n.mu.RUnlock()
	if e != nil {
		return e
	}
	n.mu.Lock()
	e = n.endpoints[way]
	crowded := e == nil && len(n.endpoints) >= maxEndpoints
	if e == nil && !crowded && n.ctx.Err() == nil {
		e = &endpoint{n: n, route: way, queue: newQueue(n.o.QueueBytes, nil)}
		n.endpoints[way] = e
		n.running.Go(e.run)
	}
	n.mu.Unlock()
	if crowded {
		n.guard.CountDrop("too many systems")
	}
	return e
}

func (e *endpoint) run() {
	ctx, cancel := context.WithCancel(e.n.ctx)
	defer cancel()
	began := time.Now()
	conn, err := e.connect(ctx, cancel)
	if conn != nil {
		defer conn.Close()
	}
	var batch []outgoingMessage
	idle := time.NewTimer(idleTimeout)
	defer idle.Stop()
	for err == nil {
		select {
		case <-ctx.Done():
			err = ctx.Err()
		case <-idle.C:
			if e.queue.closeIfEmpty() {
				err = context.Canceled
			}
			idle.Reset(idleTimeout)
		case <-e.queue.wake:
			batch = e.queue.drain(batch)
			err = e.queue.send(e.n, e.stream, e.header.of(e.n.sys), batch)
			clear(batch)
			idle.Reset(idleTimeout)
		}
	}
	if time.Since(began) < minEndpointLife { // the other system does not accept the stream: the next attempt should not follow at once
		select {
		case <-e.n.ctx.Done():
		case <-time.After(minEndpointLife):
		}
	}
	e.n.mu.Lock()
	delete(e.n.endpoints, e.route)
	e.n.mu.Unlock()
	e.n.countLost(e.route.address, e.queue.close())
}

// connect opens the stream as soon as the other system listens, and gives up after dialTimeout or when this system stops. A system that
// does not listen, or is no member yet, gets its replies on this stream. When the other system disconnects, the endpoint ends.
func (e *endpoint) connect(ctx context.Context, cancel context.CancelFunc) (*grpc.ClientConn, error) {
	conn, err := grpc.NewClient("passthrough:///"+e.route.address, e.n.dial...) // its own resolver asks for more than the address
	if err != nil {
		return nil, err
	}
	timer := time.AfterFunc(dialTimeout, cancel)
	e.stream, err = remote.NewRemotingClient(conn).Receive(ctx, grpc.WaitForReady(true))
	timer.Stop()
	if err != nil {
		return conn, err
	}
	e.n.running.Go(func() {
		defer cancel()
		in := streamReader{n: e.n, dialed: e.route.address}
		for over := false; !over; {
			over = in.next(e.stream, in.control) != nil
		}
	})
	return conn, e.stream.Send(e.n.connectRequest())
}

// connectRequest is the first message of a stream that this system opens: what it is called, and where it listens.
func (n *Network) connectRequest() *remote.RemoteMessage {
	request := &remote.ConnectRequest{ConnectionType: &remote.ConnectRequest_ClientConnection{
		ClientConnection: &remote.ClientConnection{SystemId: n.sys.ID},
	}}
	if n.server != nil {
		request.ConnectionType = &remote.ConnectRequest_ServerConnection{
			ServerConnection: &remote.ServerConnection{SystemId: n.sys.ID, Address: n.sys.Address()},
		}
	}
	return &remote.RemoteMessage{MessageType: &remote.RemoteMessage_ConnectRequest{ConnectRequest: request}}
}
