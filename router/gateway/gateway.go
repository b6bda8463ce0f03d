// Package gateway serves RESP: it parses Redis commands, sends them to the cluster through a Backend, and writes the replies. Any
// node answers for any key.
package gateway

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tidwall/redcon"
	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/messages"
)

// Backend is the way to the cluster. Ask sends an operation and calls done once with the reply; done must not block. replyBudget is
// as in router.Ask.
type Backend interface {
	// replyBudget is as in router.Ask.
	Ask(op proto.Message, timeout time.Duration, replyBudget int, done func(*messages.Reply))
}

// Options of a Gateway.
type Options struct {
	Listen            string // host:port; port 0 chooses a free one
	Backend           Backend
	Timeout           time.Duration                 // of one operation; default 5 s
	MaxConnections    int                           // default 10000
	ConnectionRefused func()                        // optional; called for each connection refused above MaxConnections
	Info              func(*Gateway) []Section      // optional; the sections of INFO beside the keyspace
	Loading           func() string                 // optional; why this node cannot reach data yet; "": it can
	Topology          func() Topology               // optional; for the CLUSTER commands
	OwnKeys           bool                          // SCAN, KEYS and DBSIZE cover only keys that this node leads
	CommandDone       func(command string, ok bool) // optional; called after each command
	ReplyBytes        int                           // budget for replies that clients have not read; default 64 MiB
	WriteTimeout      time.Duration                 // for a client to take 256 KiB of its replies; default 10 s
	ClientStalled     func(client string)           // optional; called for a client that was disconnected because it did not read
}

// Gateway is a RESP listener.
type Gateway struct {
	options       Options
	listener      net.Listener
	commandBudget *byteBudget // for commands that are being received or carried out
	replyBudget   *byteBudget // for replies that clients have not read
	ids           atomic.Uint64
	stats         stats
	keyCount      keyCounter
	accepts       sync.WaitGroup

	mu          sync.Mutex
	connections map[net.Conn]*client
}

// Start listens on Options.Listen, and returns when connections are accepted.
func Start(o Options) (*Gateway, error) {
	if o.Timeout <= 0 {
		o.Timeout = 5 * time.Second
	}
	if o.MaxConnections <= 0 {
		o.MaxConnections = 10000
	}
	if o.ReplyBytes <= 0 {
		o.ReplyBytes = defaultReplyBytes
	}
	if o.WriteTimeout <= 0 {
		o.WriteTimeout = defaultWriteTimeout
	}
	listener, err := net.Listen("tcp", o.Listen)
	if err != nil {
		return nil, fmt.Errorf("resp: %w: is another process on that port?", err)
	}
	g := &Gateway{options: o, listener: listener, commandBudget: newByteBudget(commandBytes), replyBudget: newByteBudget(o.ReplyBytes), connections: map[net.Conn]*client{}}
	g.stats.since = time.Now()
	g.accepts.Go(g.accept)
	return g, nil
}

// Address is the address that the Gateway listens on, host:port.
func (g *Gateway) Address() string { return g.listener.Addr().String() }

// clients are the clients whose connections are open.
func (g *Gateway) clients() []*client {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Collect(maps.Values(g.connections))
}

// Close stops listening and closes all connections. Commands in progress get no reply.
func (g *Gateway) Close() error {
	err := g.listener.Close()
	g.accepts.Wait()
	g.mu.Lock()
	defer g.mu.Unlock()
	for conn := range g.connections {
		err = errors.Join(err, conn.Close())
	}
	clear(g.connections)
	return err
}

func (g *Gateway) accept() {
	for {
		conn, err := g.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			<-time.After(acceptPause) // for example: no file descriptor is free
			continue
		}
		cl := newClient(g.ids.Add(1), conn)
		if !g.register(conn, cl) {
			g.stats.rejected.Add(1)
			if g.options.ConnectionRefused != nil {
				g.options.ConnectionRefused()
			}
			go refuseConnection(conn, "ERR max number of clients reached")
			continue
		}
		g.stats.connections.Add(1)
		go g.serve(conn, cl)
	}
}

const acceptPause = 10 * time.Millisecond

func (g *Gateway) register(conn net.Conn, cl *client) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.connections) >= g.options.MaxConnections {
		return false
	}
	g.connections[conn] = cl
	return true
}

// unregister closes a connection, unless Close has done so.
func (g *Gateway) unregister(conn net.Conn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.connections[conn] != nil {
		delete(g.connections, conn)
		_ = conn.Close() // every reply was flushed or failed
	}
}

// refuseConnection writes an error to a new connection, and closes it.
func refuseConnection(conn net.Conn, why string) {
	w := redcon.NewWriter(conn)
	w.WriteError(why)
	_ = w.Flush()    // the client may have closed it
	_ = conn.Close() // no reply is pending
}
