// Package gateway speaks RESP: it turns Redis commands into messages for a Session and answers back into bytes. Any
// node answers for any key.
package gateway

import (
	"errors"
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
	listener net.Listener
	room     *room
	ids      atomic.Uint64
	accepts  sync.WaitGroup

	mu   sync.Mutex
	open map[net.Conn]bool

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
	listener, err := net.Listen("tcp", o.Listen)
	if err != nil {
		return nil, fmt.Errorf("resp: %w: is another process on that port?", err)
	}
	g := &Gateway{o: o, listener: listener, room: &room{free: roomBytes}, open: map[net.Conn]bool{}}
	g.accepts.Go(g.accept)
	return g, nil
}

// Address is where it listens.
func (g *Gateway) Address() string { return g.listener.Addr().String() }

// Connections is how many are open.
func (g *Gateway) Connections() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.open)
}

// Close ends all connections. Commands that wait for an answer get none.
func (g *Gateway) Close() error {
	err := g.listener.Close()
	g.accepts.Wait()
	g.mu.Lock()
	defer g.mu.Unlock()
	for conn := range g.open {
		err = errors.Join(err, conn.Close())
	}
	clear(g.open)
	return err
}

func (g *Gateway) accept() {
	for {
		conn, err := g.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			<-time.After(acceptPause) // out of files, say
			continue
		}
		if !g.enter(conn) {
			go farewell(conn, "ERR max number of clients reached")
			continue
		}
		go g.serve(conn)
	}
}

const acceptPause = 10 * time.Millisecond

func (g *Gateway) enter(conn net.Conn) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.open) >= g.o.MaxConnections {
		return false
	}
	g.open[conn] = true
	return true
}

// leave ends a connection, unless Close has done so.
func (g *Gateway) leave(conn net.Conn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.open[conn] {
		delete(g.open, conn)
		_ = conn.Close() // nothing is left to be lost
	}
}

// farewell says why a connection is not served.
func farewell(conn net.Conn, why string) {
	w := redcon.NewWriter(conn)
	w.WriteError(why)
	_ = w.Flush()    // it may be gone already
	_ = conn.Close() // and nothing is left to be lost
}

// client is what a connection said about itself.
type client struct {
	id   uint64
	name string
	from messages.ReadFrom // READONLY

	inMulti bool
}

// serve answers what comes on a connection until it ends.
func (g *Gateway) serve(conn net.Conn) {
	defer g.leave(conn)
	r, w, cl := newReader(conn, g.room), redcon.NewWriter(conn), &client{id: g.ids.Add(1)}
	defer r.release(false)
	for {
		batch, err := gather(r)
		quit := g.answer(w, cl, batch, r.release)
		var garbage errProtocol
		if errors.As(err, &garbage) {
			w.WriteError(garbage.Error())
		}
		if gone := w.Flush(); quit || err != nil || gone != nil {
			return
		}
		if cap(w.Buffer()) > highBuffer {
			w.SetBuffer(nil) // a large answer is no reason to keep so much for the next
		}
	}
}

const (
	maxBatch   = 1024    // commands of a connection that are at work at once
	flushBytes = 1 << 20 // of answers, that leave before the others are written
)

// gather waits for a command, and takes along what has been pipelined behind it.
func gather(r *reader) (batch []words, err error) {
	for more := true; more && len(batch) < maxBatch; {
		var w words
		if w, more, err = r.next(len(batch) == 0); more {
			batch = append(batch, w)
		}
	}
	return batch, err
}

// answer carries out a batch. Commands go out together, but one waits for those before it that touch one of its keys,
// unless all of them only read. It reports whether the client wants to leave.
func (g *Gateway) answer(w *redcon.Writer, cl *client, batch []words, release func(served bool)) (quit bool) {
	started := make([]*call, 0, len(batch))
	busy := map[string]*call{}
	for _, command := range batch {
		c := g.parse(cl, command)
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
	served := true
	for _, c := range started {
		c.wait()
		served = served && !strings.HasPrefix(c.failure(), word(messages.Code_OVERLOADED))
	}
	release(served)
	for _, c := range started {
		c.write(w)
		if len(w.Buffer()) > flushBytes && w.Flush() != nil {
			return true
		}
		if g.o.Event != nil {
			g.o.Event(c.name, !c.failed())
		}
		quit = quit || c.quit
	}
	return quit
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
	render  func(*redcon.Writer, []*messages.Reply)
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

// failure is the error to write; "" if all operations were carried out. A condition that did not hold is an answer, not a
// failure. Of several writes, all may be refused; if only some are, or of one it is not known, the command is UNCERTAIN.
func (c *call) failure() string {
	if c.refused != "" {
		return c.refused
	}
	var failed *messages.Reply
	written, unknown := 0, 0
	for _, r := range c.answers {
		switch r.Code {
		case messages.Code_OK:
			written++
			continue
		case messages.Code_CONFLICT:
			continue
		case messages.Code_UNCERTAIN:
			unknown++
		}
		if failed == nil || failed.Code != messages.Code_UNCERTAIN && r.Code == messages.Code_UNCERTAIN {
			failed = r
		}
	}
	switch {
	case failed == nil:
		return ""
	case c.writes && len(c.answers) > 1 && written+unknown > 0:
		return fmt.Sprintf("%s %d of %d keys were written, of %d it is not known; of the others the first: %s",
			word(messages.Code_UNCERTAIN), written, len(c.answers), unknown, ErrorText(failed))
	}
	return ErrorText(failed)
}

func (c *call) write(conn *redcon.Writer) {
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

// word: ERR is wrong and not applied, TRYAGAIN, CLUSTERDOWN and OVERLOADED are not applied, UNCERTAIN may be; the text of
// ANSWER_GONE says whether it was. LOADING, which no code stands for, is not applied either: see call.refuse.
func word(code messages.Code) string {
	switch code {
	case messages.Code_NOT_LEADER, messages.Code_WRONG_GROUP:
		return "TRYAGAIN"
	case messages.Code_OVERLOADED:
		return "OVERLOADED"
	case messages.Code_UNAVAILABLE:
		return "CLUSTERDOWN"
	case messages.Code_UNCERTAIN, messages.Code_ANSWER_GONE:
		return "UNCERTAIN"
	}
	return "ERR"
}
