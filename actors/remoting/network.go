// Package remoting is the real network between actor systems: the gRPC service and the messages of Proto.Actor's remote, with both ends
// written anew. In Proto.Actor's own, an unknown type or an index out of range ends the process, and any number of messages is queued
// for a system that does not answer. It is the only package that imports remote.
//
// Where to read on: network.go listens and dials; endpoint.go and queue.go send to other systems; frame.go and fields.go encode;
// incoming_stream.go and stream_reader.go receive; peers.go counts what waits and what was dropped.
package remoting

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/remote"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/experimental"
	"google.golang.org/grpc/keepalive"

	"github.com/eraft-io/eraft/actors"
	"github.com/eraft-io/eraft/messages"
)

// Options of a Network.
type Options struct {
	Listen    string // host:port; port 0 takes a free one; "": the system does not listen, and gets replies on the streams that it opens
	Advertise string // host:port that others dial; default: where it listens
	Rules     []actors.Rule

	// QueueBytes bounds the bytes of messages that wait for one connection to another system; above it messages are dropped, which
	// MessagesDropped tells. Default 64 MiB, at least one message.
	QueueBytes int

	// MaxConnections bounds the connections that others open; at least 4. Clients may have three quarters of it, so that members can always
	// connect. Default 16384.
	MaxConnections int
	OnRefused      func() // optional; called for each connection that was refused above MaxConnections
}

const (
	maxMessageBytes = messages.MaxLegacyBytes // one message
	partBytes       = 1 << 20                 // of messages that travel in one frame: the receiver has a whole frame in memory, per connection
	maxPartBytes    = maxMessageBytes + partBytes
	dialTimeout     = 10 * time.Second
	idleTimeout     = 5 * time.Minute // a stream with nothing to send ends
	window          = 4 << 20         // of HTTP/2 flow control: fixed, since grpc pings at every message to measure one
	maxQueue        = 1 << 14         // messages that wait for one connection
	queueBytes      = 64 << 20
	maxEndpoints    = 1 << 11 // connections that this system has opened
	maxParts        = 1 << 15 // types, targets, senders or envelopes of what arrives at once
	maxConnections  = 1 << 14 // that others have opened
	minEndpointLife = 200 * time.Millisecond
)

// Network is one system's end of the network.
type Network struct {
	o        Options
	server   *grpc.Server
	listener *LimitedListener // that server listens on
	guard    *actors.Guard
	sys      *actors.System
	dial     []grpc.DialOption
	bulk     map[string]bool // types of messages
	ctx      context.Context
	cancel   context.CancelFunc

	mu         sync.RWMutex
	endpoints  map[route]*endpoint
	dropped    map[string]uint64 // messages to each address; clients count together
	dialErrors map[string]error  // why addresses cannot be reached
	clients    clientStreams
	clientRate tokenBucket                // of all outsiders
	members    map[string]messages.NodeID // by address
	running    sync.WaitGroup             // all goroutines of this network
}

// New makes a network, which actors.NewSystem attaches.
func New(o Options) *Network {
	ctx, cancel := context.WithCancel(context.Background())
	n := &Network{
		o: o, ctx: ctx, cancel: cancel, bulk: map[string]bool{}, endpoints: map[route]*endpoint{}, dropped: map[string]uint64{},
		dialErrors: map[string]error{},
	}
	n.o.QueueBytes = max(cmp.Or(o.QueueBytes, queueBytes), maxMessageBytes)
	for _, rule := range o.Rules {
		n.bulk[rule.Type] = n.bulk[rule.Type] || rule.Bulk
	}
	n.o.MaxConnections = max(cmp.Or(o.MaxConnections, maxConnections), 4)
	n.clientRate.rate = totalClientRate
	n.clients = clientStreams{n: n, limit: min(maxClients, n.o.MaxConnections*3/4), streams: map[string][]*incomingStream{}, budget: &budget{limit: maxClientBytes}}
	return n
}

// Attach listens, if Options.Listen says so, and gives the system its address.
func (n *Network) Attach(sys *actors.System) error {
	replies := clientAddress + sys.ID
	sys.SetReplyAddress(replies)
	n.sys, n.guard = sys, actors.NewGuard(n.o.Rules, sys)
	n.dial = append(dialOptions(), grpc.WithContextDialer(n.connect))
	sys.ProcessRegistry.Address = replies
	sys.ProcessRegistry.RegisterAddressResolver(func(*actor.PID) (actor.Process, bool) { return remoteProcess{n}, true })
	if n.o.Listen == "" {
		return nil
	}
	l, err := listen(n.o.Listen)
	if err != nil {
		return err
	}
	address, err := advertised(n.o, l)
	if err != nil {
		return errors.Join(err, l.Close())
	}
	n.server = grpc.NewServer(
		grpc.MaxRecvMsgSize(maxPartBytes), experimental.BufferPool(buffers), grpc.ForceServerCodecV2(codec{}),
		grpc.InitialWindowSize(window), grpc.InitialConnWindowSize(window), grpc.WaitForHandlers(true),
		grpc.MaxConcurrentStreams(maxStreams), grpc.MaxHeaderListSize(maxMetadata),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second, PermitWithoutStream: true}),
		grpc.KeepaliveParams(keepalive.ServerParameters{MaxConnectionIdle: introductionTimeout, Time: 10 * time.Second, Timeout: 10 * time.Second}),
		grpc.ConnectionTimeout(introductionTimeout),
	)
	remote.RegisterRemotingServer(n.server, server{n: n})
	sys.ProcessRegistry.Address = address
	n.listener = LimitListener(l, n.o.MaxConnections, n.refuseConnection)
	n.running.Go(func() { _ = n.server.Serve(n.listener) }) // ends with an error when it is stopped
	return nil
}

// refuseConnection ends a connection that is above the bound. It is closed without a word: before the first message there is no protocol.
func (n *Network) refuseConnection(conn net.Conn) {
	n.guard.CountDrop("too many connections")
	if n.o.OnRefused != nil {
		n.o.OnRefused()
	}
	_ = conn.Close()
}

func dialOptions() []grpc.DialOption {
	return []grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()), experimental.WithBufferPool(buffers),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(codec{}), grpc.MaxCallRecvMsgSize(maxPartBytes)),
		grpc.WithInitialWindowSize(window), grpc.WithInitialConnWindowSize(window),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 10 * time.Second, Timeout: 3 * time.Second, PermitWithoutStream: true}),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 50 * time.Millisecond, Multiplier: 1.5, MaxDelay: 300 * time.Millisecond},
			MinConnectTimeout: time.Second,
		}),
	}
}

// listen opens a listener; its errors say what is wrong with the address.
func listen(address string) (net.Listener, error) {
	if _, _, err := net.SplitHostPort(address); err != nil {
		return nil, fmt.Errorf("listen: %q is not an address of the form host:port", address)
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen: %w: is another process on that port?", err)
	}
	return l, nil
}

// advertised is the address at which others reach a listener.
func advertised(o Options, l net.Listener) (string, error) {
	if o.Advertise != "" {
		return o.Advertise, nil
	}
	host, _, _ := net.SplitHostPort(o.Listen) // it listens there
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		return "", fmt.Errorf("listening on %s needs an address that others can dial: say --advertise host:port", o.Listen)
	}
	return net.JoinHostPort(host, strconv.Itoa(l.Addr().(*net.TCPAddr).Port)), nil
}

// Detach ends all connections, and waits until no goroutine of the network runs.
func (n *Network) Detach() error {
	n.mu.Lock()
	n.cancel()
	n.mu.Unlock()
	var err error
	if n.server != nil {
		err = n.listener.CloseAll()
		n.server.Stop()
	}
	n.running.Wait()
	return err
}

// SetMembers sets the addresses of the members of the cluster. A system that answers there is believed to be that member.
func (n *Network) SetMembers(at map[string]messages.NodeID) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.members = at
}

// memberAt is the member with an address; 0: there is none.
func (n *Network) memberAt(address string) messages.NodeID {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return n.members[address]
}

// Guard decides which messages come in, and counts those that do not.
func (n *Network) Guard() *actors.Guard { return n.guard }
