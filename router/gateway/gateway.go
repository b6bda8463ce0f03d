// Package gateway speaks RESP: it turns Redis commands into messages for a Session and answers back into bytes. Any
// node answers for any key.
package gateway

import (
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tidwall/redcon"
	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/messages"
)

// Asker is the way to the cluster. done is called once and must not block.
type Asker interface {
	Ask(op proto.Message, timeout time.Duration, done func(*messages.Reply))
}

// Options of a Gateway.
type Options struct {
	Listen         string // host:port; port 0 takes a free one
	Asker          Asker
	Timeout        time.Duration                 // of one command; default 5 s
	MaxConnections int                           // default 10000
	Info           func(section string) string   // the text of INFO
	Loading        func() string                 // optional; why this node can reach no data yet, "" when it can
	Topology       func() Topology               // optional; what CLUSTER tells
	Event          func(command string, ok bool) // optional; after each command
}

// Gateway is a RESP listener.
type Gateway struct {
	o        Options
	server   *redcon.Server
	listener net.Listener
	open     atomic.Int64
	ids      atomic.Uint64
	served   sync.WaitGroup

	positions positions
}

// Start listens. It returns when connections are accepted.
func Start(o Options) (*Gateway, error) {
	if o.Timeout <= 0 {
		o.Timeout = 5 * time.Second
	}
	if o.MaxConnections <= 0 {
		o.MaxConnections = 10000
	}
	g := &Gateway{o: o}
	listener, err := net.Listen("tcp", o.Listen)
	if err != nil {
		return nil, fmt.Errorf("resp: %w: is another process on that port?", err)
	}
	g.listener = listener
	g.server = redcon.NewServer(listener.Addr().String(), g.serve, g.accept, g.closed)
	g.server.SetIdleClose(0)
	g.served.Go(func() {
		if err := g.server.Serve(listener); err != nil {
			return // closed
		}
	})
	return g, nil
}

// Address is where it listens.
func (g *Gateway) Address() string { return g.listener.Addr().String() }

// Connections is how many are open.
func (g *Gateway) Connections() int { return int(g.open.Load()) }

// Close ends all connections.
func (g *Gateway) Close() error {
	err := g.server.Close()
	g.served.Wait()
	return err
}

// client is what a connection said about itself.
type client struct {
	id   uint64
	name string
	from messages.ReadFrom // READONLY
}

func (g *Gateway) accept(conn redcon.Conn) bool {
	if int(g.open.Add(1)) > g.o.MaxConnections {
		g.open.Add(-1)
		conn.WriteError("ERR max number of clients reached")
		return false
	}
	conn.SetContext(&client{id: g.ids.Add(1)})
	return true
}

func (g *Gateway) closed(conn redcon.Conn, _ error) { g.open.Add(-1) }

// serve answers a command and everything that has been pipelined behind it. Commands go out together, but one waits
// for those before it that touch one of its keys, unless all of them only read.
func (g *Gateway) serve(conn redcon.Conn, first redcon.Command) {
	commands := append([]redcon.Command{first}, conn.ReadPipeline()...)
	started := make([]*call, 0, len(commands))
	busy := map[string]*call{}
	for _, command := range commands {
		c := g.parse(conn, command.Args)
		c.refuse(g.o.Loading)
		for _, key := range c.keys {
			if before := busy[key]; before != nil && (c.writes || before.writes) {
				before.wait()
			}
			if c.writes || busy[key] == nil {
				busy[key] = c
			}
		}
		if c.work != nil {
			for _, before := range started {
				before.wait()
			}
			c.work()
		}
		c.start(g)
		if started = append(started, c); c.quit {
			break
		}
	}
	for _, c := range started {
		c.wait()
		c.write(conn)
		if g.o.Event != nil {
			g.o.Event(c.name, !c.failed())
		}
		if c.quit {
			if err := conn.Close(); err != nil {
				return
			}
		}
	}
}

// call is one command at work: the operations it asks for and how to write their answers.
type call struct {
	name    string
	keys    []string
	writes  bool
	quit    bool
	ops     []proto.Message
	work    func() // instead of ops: asks in several steps; those before it are answered, those behind it wait
	refused string // an error to answer at once instead
	answers []*messages.Reply
	open    sync.WaitGroup
	render  func(redcon.Conn, []*messages.Reply)
}

// refuse answers what needs data with LOADING as long as there is none to reach.
func (c *call) refuse(loading func() string) {
	if loading == nil || len(c.ops) == 0 && c.work == nil {
		return
	}
	if why := loading(); why != "" {
		c.refused, c.keys, c.ops, c.work = "LOADING "+why, nil, nil, nil
	}
}

func (c *call) start(g *Gateway) {
	if c.work != nil {
		return
	}
	c.answers = make([]*messages.Reply, len(c.ops))
	c.open.Add(len(c.ops))
	for i, op := range c.ops {
		g.o.Asker.Ask(op, g.o.Timeout, func(r *messages.Reply) {
			c.answers[i] = r
			c.open.Done()
		})
	}
}

func (c *call) wait() { c.open.Wait() }

func (c *call) failed() bool { return c.failure() != "" }

// failure is the error to write for the first operation that failed; "" if none. A condition that did not hold is
// an answer, not a failure.
func (c *call) failure() string {
	if c.refused != "" {
		return c.refused
	}
	for _, r := range c.answers {
		if r.Code != messages.Code_OK && r.Code != messages.Code_CONFLICT {
			return ErrorText(r)
		}
	}
	return ""
}

func (c *call) write(conn redcon.Conn) {
	if text := c.failure(); text != "" {
		conn.WriteError(text)
		return
	}
	c.render(conn, c.answers)
}

// ErrorText is a refusal as RESP says it: the first word tells what to do next.
func ErrorText(r *messages.Reply) string {
	text := strings.Map(func(c rune) rune {
		if c == '\r' || c == '\n' {
			return ' '
		}
		return c
	}, r.Text)
	return word(r.Code) + " " + text
}

// word: ERR is wrong and not applied, TRYAGAIN, CLUSTERDOWN and OVERLOADED are not applied, UNCERTAIN may be. LOADING,
// which no code stands for, is not applied either: see call.refuse.
func word(code messages.Code) string {
	switch code {
	case messages.Code_NOT_LEADER, messages.Code_WRONG_GROUP:
		return "TRYAGAIN"
	case messages.Code_OVERLOADED:
		return "OVERLOADED"
	case messages.Code_UNAVAILABLE:
		return "CLUSTERDOWN"
	case messages.Code_UNCERTAIN:
		return "UNCERTAIN"
	}
	return "ERR"
}
