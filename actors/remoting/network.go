// Package remoting is the real network between actor systems: Proto.Actor's remote over gRPC, behind guard rails.
// It is the only package that imports remote. Whatever arrives is checked before Proto.Actor sees it, since there an
// unknown type or an index out of range ends the process.
package remoting

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/asynkron/protoactor-go/remote"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/experimental"
	"google.golang.org/grpc/keepalive"

	"github.com/eraft-io/eraft/actors"
)

// Options of a Network.
type Options struct {
	Listen    string // host:port; port 0 takes a free one
	Advertise string // host:port that others dial; default: where it listens
	Rules     []actors.Rule
}

const (
	maxMessageBytes = 4 << 20 // one message
	batchMessages   = 16      // of Proto.Actor into one gRPC message,
	partBytes       = 1 << 20 // unless they are so large: the receiver has all of a gRPC message in memory, per connection
	maxPartBytes    = maxMessageBytes + partBytes
	dialFor         = 10 * time.Second
	window          = 4 << 20 // of HTTP/2 flow control: fixed, since grpc pings at every message to measure one
	endpointQueue   = 1024
)

// Network is one system's end of the network.
type Network struct {
	o      Options
	remote *remote.Remote
	guard  *actors.Guard
	sys    *actors.System
	ctx    context.Context
	cancel context.CancelFunc
}

// New makes a network; NewSystem attaches it.
func New(o Options) *Network {
	ctx, cancel := context.WithCancel(context.Background())
	return &Network{o: o, ctx: ctx, cancel: cancel}
}

// Attach listens and gives the system its address: exactly the string that others must use in PIDs.
func (n *Network) Attach(sys *actors.System) error {
	host, port, err := resolve(n.o.Listen)
	if err != nil {
		return err
	}
	advertise := n.o.Advertise
	if advertise == "" {
		if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
			return fmt.Errorf("listening on %s needs an address that others can dial: say --advertise host:port", n.o.Listen)
		}
		advertise = net.JoinHostPort(host, strconv.Itoa(port))
	}
	n.sys, n.guard = sys, actors.NewGuard(n.o.Rules, sys)
	config := remote.Configure(host, port,
		remote.WithAdvertisedHost(advertise),
		remote.WithEndpointWriterQueueSize(endpointQueue),
		remote.WithEndpointWriterBatchSize(batchMessages),
		remote.WithServerOptions(
			grpc.MaxRecvMsgSize(maxPartBytes), experimental.BufferPool(buffers), grpc.ForceServerCodecV2(codec{}),
			grpc.InitialWindowSize(window), grpc.InitialConnWindowSize(window),
			grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second, PermitWithoutStream: true}),
			grpc.StreamInterceptor(n.receive), grpc.UnaryInterceptor(rejectUnary),
		),
		remote.WithDialOptions(
			grpc.WithTransportCredentials(insecure.NewCredentials()),
			experimental.WithBufferPool(buffers), grpc.WithDefaultCallOptions(grpc.ForceCodecV2(codec{})),
			grpc.WithInitialWindowSize(window), grpc.WithInitialConnWindowSize(window),
			grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 10 * time.Second, Timeout: 3 * time.Second, PermitWithoutStream: true}),
			grpc.WithConnectParams(grpc.ConnectParams{
				Backoff:           backoff.Config{BaseDelay: 50 * time.Millisecond, Multiplier: 1.5, MaxDelay: 300 * time.Millisecond},
				MinConnectTimeout: time.Second,
			}),
			grpc.WithStreamInterceptor(n.send),
		),
	)
	config.MaxRetryCount = 1 // more would abandon connections
	n.remote = remote.NewRemote(sys.ActorSystem, config)
	return n.start()
}

// resolve checks that the address can be listened on, because remote panics if it cannot.
func resolve(address string) (host string, port int, err error) {
	host, _, err = net.SplitHostPort(address)
	if err != nil {
		return "", 0, fmt.Errorf("listen: %q is not an address of the form host:port", address)
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return "", 0, fmt.Errorf("listen: %w: is another process on that port?", err)
	}
	return host, l.Addr().(*net.TCPAddr).Port, l.Close()
}

func (n *Network) start() (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("listen: %v", r)
		}
	}()
	n.remote.Start()
	return nil
}

// Detach ends all connections, and waits for it.
func (n *Network) Detach() error {
	if n.remote == nil {
		return nil
	}
	n.cancel()
	n.remote.Shutdown(false)
	return nil
}

// Guard is what decides over incoming messages; it counts what it refused.
func (n *Network) Guard() *actors.Guard { return n.guard }

var errUnary = errors.New("no such call here")

// rejectUnary refuses Proto.Actor's diagnostic calls: their implementation panics.
func rejectUnary(context.Context, any, *grpc.UnaryServerInfo, grpc.UnaryHandler) (any, error) {
	return nil, errUnary
}
