package gateway

import (
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/eraft-io/eraft/messages"
)

// client is the state of one connection. Only the connection's own goroutine uses it, without a lock, except published.
type client struct {
	id          uint64
	addr, laddr string
	connectedAt time.Time
	name        string
	resp3       bool
	readFrom    messages.ReadFrom // set by READONLY and READWRITE
	inMulti     bool

	mu        sync.Mutex
	published activity
}

// activity is what CLIENT LIST shows of a connection.
type activity struct {
	at      time.Time // time of its last batch of commands
	command string    // the last command of that batch
	name    string
	resp3   bool
	inMulti bool
}

func newClient(id uint64, conn net.Conn) *client {
	now := time.Now()
	return &client{id: id, addr: conn.RemoteAddr().String(), laddr: conn.LocalAddr().String(), connectedAt: now, published: activity{at: now}}
}

// publish makes the connection's state visible to CLIENT LIST of other connections.
func (cl *client) publish(at time.Time, command string) {
	cl.mu.Lock()
	defer cl.mu.Unlock()
	cl.published = activity{at, command, cl.name, cl.resp3, cl.inMulti}
}

// listLine is the connection's line in CLIENT LIST.
func (cl *client) listLine(now time.Time) string {
	cl.mu.Lock()
	seen := cl.published
	cl.mu.Unlock()
	resp, multi, flags := 2, -1, "N"
	if seen.resp3 {
		resp = 3
	}
	if seen.inMulti {
		multi, flags = 0, "x"
	}
	return fmt.Sprintf("id=%d addr=%s laddr=%s name=%s age=%d idle=%d flags=%s db=0 sub=0 psub=0 ssub=0 multi=%d cmd=%s user=default redir=-1 resp=%d\n",
		cl.id, cl.addr, cl.laddr, seen.name, int(now.Sub(cl.connectedAt).Seconds()), int(now.Sub(seen.at).Seconds()), flags, multi, seen.command, resp)
}

const (
	leader  = messages.ReadFrom_LEADER
	replica = messages.ReadFrom_REPLICA

	errName  = "ERR Client names cannot contain spaces, newlines or special characters."
	errPass  = "WRONGPASS invalid username-password pair or user is disabled."
	errNoPwd = "ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?"
)

// readFrom makes READONLY and READWRITE: they choose which replicas answer reads for the rest of the connection.
func readFrom(from messages.ReadFrom) func(*call, *request) string {
	return func(c *call, r *request) string {
		r.client.readFrom, c.render = from, simple("OK")
		return ""
	}
}

func ping(c *call, r *request) string {
	switch len(r.args) {
	case 1:
		c.render = simple("PONG")
	case 2:
		return echo(c, r)
	default:
		return wrongNumber("ping")
	}
	return ""
}

func echo(c *call, r *request) string {
	message := r.args[1]
	c.render = func(conn *writer, _ []*messages.Reply) { conn.WriteBulk(message) }
	return ""
}

func quit(c *call, _ *request) string {
	c.quit, c.render = true, simple("OK")
	return ""
}

func selectDB(c *call, r *request) string {
	n, ok := integer(r.args[1])
	switch {
	case !ok:
		return errInteger
	case int64(int32(n)) != n:
		return "ERR value is out of range, value must between -2147483648 and 2147483647"
	case n != 0:
		return "ERR DB index is out of range"
	}
	c.render = simple("OK")
	return ""
}

// auth accepts what Redis accepts as long as no password is set.
func auth(c *call, r *request) string {
	switch len(r.args) {
	case 2:
		return errNoPwd
	case 3:
		c.render = simple("OK")
		return checkUser(r.args[1])
	}
	return errSyntax
}

// checkUser gives the error text for an unknown user. The only user is default, which needs no password.
func checkUser(user []byte) string {
	if string(user) != "default" {
		return errPass
	}
	return ""
}

// hello changes the protocol if all its arguments are valid; as in Redis, SETNAME takes effect even if a later one is not.
func hello(c *call, r *request) string {
	resp3 := r.client.resp3
	var user []byte
	if len(r.args) > 1 {
		switch n, ok := integer(r.args[1]); {
		case !ok:
			return "ERR Protocol version is not an integer or out of range"
		case n != 2 && n != 3:
			return "NOPROTO unsupported protocol version"
		default:
			resp3 = n == 3
		}
	}
	for i := 2; i < len(r.args); i++ {
		switch more := len(r.args) - 1 - i; {
		case upperWord(r.args[i]) == "AUTH" && more >= 2:
			user = r.args[i+1]
			i += 2
		case upperWord(r.args[i]) == "SETNAME" && more >= 1:
			i++
			if why := r.client.setName(r.args[i]); why != "" {
				return why
			}
		default:
			return fmt.Sprintf("ERR Syntax error in HELLO option '%s'", errorExcerpt(r.args[i], len(r.args[i])))
		}
	}
	if user != nil {
		if why := checkUser(user); why != "" {
			return why
		}
	}
	r.client.resp3 = resp3
	proto, id := 2, int(r.client.id)
	if resp3 {
		proto = 3
	}
	c.render = func(conn *writer, _ []*messages.Reply) {
		conn.WritePairs(
			pair{"server", "eraft"}, pair{"version", Version}, pair{"proto", proto}, pair{"id", id},
			pair{"mode", "cluster"}, pair{"role", "master"}, pair{"modules", nil},
		)
	}
	return ""
}

// Version is the Redis version whose replies the Gateway gives.
const Version = "7.0.15"

// setName refuses names that would break the lines of CLIENT LIST.
func (cl *client) setName(name []byte) string {
	if slices.ContainsFunc(name, func(b byte) bool { return b < '!' || b > '~' }) {
		return errName
	}
	cl.name = string(name)
	return ""
}

func setName(c *call, r *request) string {
	c.render = simple("OK")
	return r.client.setName(r.args[2])
}

func getName(c *call, r *request) string {
	name := r.client.name
	c.render = func(conn *writer, _ []*messages.Reply) {
		if name == "" {
			conn.WriteNull()
		} else {
			conn.WriteBulkString(name)
		}
	}
	return ""
}

// setInfo accepts CLIENT SETINFO of Redis 7.2, and ignores it: clients of later versions send it, and take a refusal for a failure.
func setInfo(c *call, _ *request) string {
	c.render = simple("OK")
	return ""
}

func clientID(c *call, r *request) string {
	id := int64(r.client.id)
	c.render = func(conn *writer, _ []*messages.Reply) { conn.WriteInt64(id) }
	return ""
}

func clientInfo(c *call, r *request) string {
	c.render = func(conn *writer, _ []*messages.Reply) { conn.WriteText(r.client.listLine(time.Now())) }
	return ""
}

func clientList(c *call, r *request) string {
	var ids []uint64
	none := false
	switch args := r.args[2:]; {
	case len(args) == 0:
	case len(args) == 2 && upperWord(args[0]) == "TYPE":
		switch upperWord(args[1]) {
		case "NORMAL":
		case "MASTER", "REPLICA", "SLAVE", "PUBSUB":
			none = true
		default:
			return fmt.Sprintf("ERR Unknown client type '%s'", errorExcerpt(args[1], len(args[1])))
		}
	case len(args) >= 2 && upperWord(args[0]) == "ID":
		none = true
		for _, arg := range args[1:] {
			id, ok := integer(arg)
			if !ok {
				return "ERR Invalid client ID"
			}
			ids = append(ids, uint64(id))
		}
	default:
		return errSyntax
	}
	shown := func(cl *client) bool { return !none || slices.Contains(ids, cl.id) }
	c.bytes = maxListLine * r.g.Stats().Clients
	c.render = func(conn *writer, _ []*messages.Reply) { conn.WriteText(r.g.list(time.Now(), shown)) }
	return ""
}

const maxListLine = 512 // bytes of a line of CLIENT LIST, unless the connection has a very long name

// list is the lines of all connections for which shown is true.
func (g *Gateway) list(now time.Time, shown func(*client) bool) string {
	all := g.clients()
	slices.SortFunc(all, func(a, b *client) int { return int(a.id) - int(b.id) })
	var b strings.Builder
	for _, cl := range all {
		if shown(cl) {
			b.WriteString(cl.listLine(now))
		}
	}
	return b.String()
}

// integer parses a number as Redis does: without surrounding space, and in its canonical form only.
func integer(arg []byte) (int64, bool) {
	n, err := strconv.ParseInt(string(arg), 10, 64)
	return n, err == nil && strconv.FormatInt(n, 10) == string(arg)
}
