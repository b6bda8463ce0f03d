package remoting

import (
	"context"
	"sync"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/remote"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/actors"
)

// outgoing is the Process behind every PID of another system. Proto.Actor's own starts a goroutine for every few messages,
// whose stack grows anew each time, and keeps any number of messages for a system that does not answer.
type outgoing struct{ n *Network }

// SendUserMessage queues a message. It must not change afterwards.
func (o outgoing) SendUserMessage(to *actor.PID, m any) {
	_, content, sender := actor.UnwrapEnvelope(m)
	message, ok := content.(proto.Message)
	if !ok {
		o.n.guard.Drop("no protobuf message")
		return
	}
	l := letter{to, sender, message, proto.Size(message)}
	if l.size > maxMessageBytes {
		o.n.guard.Drop("too large to send")
		return
	}
	for posted := false; !posted; {
		e := o.n.endpoint(to.Address)
		if e == nil {
			return
		}
		posted = e.post(l)
	}
}

// SendSystemMessage sends nothing: nobody watches or stops actors of other systems.
func (o outgoing) SendSystemMessage(*actor.PID, any) { o.n.guard.Drop("system message") }

func (o outgoing) Stop(*actor.PID) { o.n.guard.Drop("system message") }

type letter struct {
	to, sender *actor.PID
	message    proto.Message
	size       int // of the message, encoded
}

// endpoint is the way to one other system: a queue, and a goroutine that has a stream to it. It ends with its first
// failure, and all that is queued is lost; who sends then makes a new one.
type endpoint struct {
	n       *Network
	address string
	stream  remote.Remoting_ReceiveClient
	speaker actors.Identity
	header  []byte // of every envelope: the speaker, encoded

	mu    sync.Mutex
	queue []letter
	bytes int // of their messages
	over  bool
	wake  chan struct{} // holds one if the queue may have something new
}

// endpoint finds or makes the endpoint of an address; nil: nothing is sent any more.
func (n *Network) endpoint(address string) *endpoint {
	n.mu.RLock()
	e := n.endpoints[address]
	n.mu.RUnlock()
	if e != nil {
		return e
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if e = n.endpoints[address]; e == nil && n.ctx.Err() == nil {
		e = &endpoint{n: n, address: address, wake: make(chan struct{}, 1)}
		n.endpoints[address] = e
		n.running.Go(e.run)
	}
	return e
}

// post queues a letter, or drops it if too much waits. False: the endpoint is over.
func (e *endpoint) post(l letter) bool {
	e.mu.Lock()
	over, full := e.over, len(e.queue) >= maxQueue || e.bytes >= maxQueueBytes
	if !over && !full {
		e.queue, e.bytes = append(e.queue, l), e.bytes+l.size
	}
	first := len(e.queue) == 1
	e.mu.Unlock()
	switch {
	case over:
		return false
	case full:
		e.n.guard.Drop("queue is full")
	case first:
		select {
		case e.wake <- struct{}{}:
		default:
		}
	}
	return true
}

// take gives all that is queued, and lets the queue use the memory of an earlier one.
func (e *endpoint) take(spare []letter) []letter {
	e.mu.Lock()
	defer e.mu.Unlock()
	all := e.queue
	e.queue, e.bytes = spare[:0], 0
	return all
}

func (e *endpoint) run() {
	ctx, cancel := context.WithCancel(e.n.ctx)
	defer cancel()
	began := time.Now()
	conn, err := e.connect(ctx, cancel)
	if conn != nil {
		defer conn.Close()
	}
	var letters []letter
	for err == nil {
		select {
		case <-ctx.Done():
			err = ctx.Err()
		case <-e.wake:
			letters = e.take(letters)
			err = e.send(letters)
			clear(letters)
		}
	}
	if time.Since(began) < shortLife { // whoever is there does not want us: the next try should not follow at once
		select {
		case <-e.n.ctx.Done():
		case <-time.After(shortLife):
		}
	}
	e.n.mu.Lock()
	delete(e.n.endpoints, e.address)
	e.n.mu.Unlock()
	e.mu.Lock()
	e.over, e.queue = true, nil
	e.mu.Unlock()
}

// connect opens the stream as soon as the other system listens, and gives up after a while or when this one stops. The
// other system says nothing on it but that it goes: then the endpoint is over.
func (e *endpoint) connect(ctx context.Context, cancel context.CancelFunc) (*grpc.ClientConn, error) {
	conn, err := grpc.NewClient("passthrough:///"+e.address, e.n.dial...) // its own resolver asks for more than the address
	if err != nil {
		return nil, err
	}
	timer := time.AfterFunc(dialFor, cancel)
	e.stream, err = remote.NewRemotingClient(conn).Receive(ctx, grpc.WaitForReady(true))
	timer.Stop()
	if err != nil {
		return conn, err
	}
	e.n.running.Go(func() {
		defer cancel()
		for {
			m, err := e.stream.Recv()
			if err != nil || m.GetDisconnectRequest() != nil {
				return
			}
		}
	})
	return conn, e.stream.Send(&remote.RemoteMessage{MessageType: &remote.RemoteMessage_ConnectRequest{
		ConnectRequest: &remote.ConnectRequest{ConnectionType: &remote.ConnectRequest_ServerConnection{
			ServerConnection: &remote.ServerConnection{SystemId: e.n.sys.ID, Address: e.n.sys.Address()},
		}},
	}})
}

// send sends letters in order, as many at a time as the other system should have in memory.
func (e *endpoint) send(letters []letter) error {
	if id := e.n.sys.Identity(); e.header == nil || id != e.speaker {
		e.speaker, e.header = id, encodeHeader(id)
	}
	p := parcel{n: e.n, header: e.header}
	for _, l := range letters {
		if p.bytes > 0 && p.bytes+l.size > partBytes {
			if err := e.stream.SendMsg(&p); err != nil {
				return err
			}
			p = parcel{n: e.n, header: e.header}
		}
		p.add(l)
	}
	if p.bytes == 0 {
		return nil
	}
	return e.stream.SendMsg(&p)
}
