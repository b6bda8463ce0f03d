package gateway

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/eraft-io/eraft/messages"
)

// Section is a section of INFO: lines of name:value.
type Section struct{ Name, Text string }

// Stats is what a Gateway has counted since it was started.
type Stats struct {
	Since                   time.Time
	Clients, MaxClients     int // connections: open, and the limit
	Connections, Rejected   uint64
	Commands, Errors        uint64
	InputBytes, OutputBytes uint64
}

type stats struct {
	since                                                  time.Time
	connections, rejected, commands, errors, input, output atomic.Uint64
}

// Stats gives the current counts.
func (g *Gateway) Stats() Stats {
	s := Stats{
		Since:      g.stats.since,
		MaxClients: g.options.MaxConnections, Connections: g.stats.connections.Load(), Rejected: g.stats.rejected.Load(),
		Commands: g.stats.commands.Load(), Errors: g.stats.errors.Load(),
		InputBytes: g.stats.input.Load(), OutputBytes: g.stats.output.Load(),
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	s.Clients = len(g.connections)
	return s
}

// counted is a connection whose bytes are counted.
type counted struct {
	net.Conn
	stats *stats
}

func (c counted) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.stats.input.Add(uint64(n))
	return n, err
}

func (c counted) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.stats.output.Add(uint64(n))
	return n, err
}

// info is INFO with the sections asked for, each once, in a fixed order.
func info(c *call, r *request) string {
	asked := lower(r.args[1:])
	c.render = func(conn *writer, _ []*messages.Reply) { conn.WriteText(r.g.info(asked)) }
	return ""
}

func (g *Gateway) info(asked []string) string {
	var all []Section
	if g.options.Info != nil {
		all = g.options.Info(g)
	}
	whole := len(asked) == 0 || slices.ContainsFunc(asked, func(s string) bool { return s == "all" || s == "default" || s == "everything" })
	if whole || slices.Contains(asked, "keyspace") {
		all = append(all, Section{"Keyspace", g.keyCount.text(g)})
	}
	var parts []string
	for _, s := range all {
		if whole || slices.Contains(asked, strings.ToLower(s.Name)) {
			parts = append(parts, "# "+s.Name+"\r\n"+s.Text)
		}
	}
	return strings.Join(parts, "\r\n")
}

// keyCounter keeps the number of keys for INFO, which is asked for often and must answer also while no key can be reached.
type keyCounter struct {
	mu       sync.Mutex
	keys     int64
	at       time.Time // time of the last count; zero: none yet
	counting bool
}

const countInterval = 10 * time.Second // between two counts

// text is the result of the last count. If that is old, another count begins.
func (k *keyCounter) text(g *Gateway) string {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.counting && time.Since(k.at) > countInterval {
		k.counting = true
		go k.count(g)
	}
	if k.keys == 0 {
		return "" // Redis omits an empty database
	}
	return fmt.Sprintf("db0:keys=%d,expires=0,avg_ttl=0\r\n", k.keys)
}

func (k *keyCounter) count(g *Gateway) {
	keys, refused := g.count()
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.counting = false; refused == nil {
		k.keys = keys
	}
	k.at = time.Now()
}
