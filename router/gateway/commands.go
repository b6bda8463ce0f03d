package gateway

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/messages"
)

type request struct {
	args   [][]byte
	client *client
	g      *Gateway
}

// parse turns arguments into a call. For invalid ones it is a call that only writes an error.
func (g *Gateway) parse(cl *client, w rawCommand) *call {
	args := w.args
	c := &call{name: strings.ToLower(string(args[0]))}
	if isHTTP(c.name) {
		c.quit, c.render = true, writeNothing
		return c
	}
	if cl.multi(c, args) {
		return c
	}
	name, known, why := find(args)
	if c.fullName = name; name == "" {
		c.name = "unknown"
	}
	if c.refused = w.refused; c.refused != "" {
		return c
	}
	if why == "" {
		c.writes = known.writes()
		why = c.noteKeys(known.keysOf(args))
	}
	if why == "" {
		why = known.parse(c, &request{args, cl, g})
	}
	if why != "" {
		c.reject(why)
	}
	for _, op := range c.ops {
		if get, ok := op.(*messages.Get); ok {
			get.From = cl.readFrom
		}
	}
	return c
}

// noteKeys records the keys that the call touches, and gives the error text of an invalid one.
func (c *call) noteKeys(keys [][]byte) string {
	for _, key := range keys {
		if why := messages.CheckKey(key); why != nil {
			return "ERR " + why.Text
		}
		c.keys = append(c.keys, string(key))
	}
	return ""
}

const (
	errSyntax  = "ERR syntax error"
	errInteger = "ERR value is not an integer or out of range"
)

func (c *call) setOps(ops ...proto.Message) { c.ops = ops }

// --- how answers are written: what can be large is made when it is, not for a whole pipeline at once ---

func simple(text string) func(*writer, []*messages.Reply) {
	return func(conn *writer, _ []*messages.Reply) { conn.WriteString(text) }
}

func value(conn *writer, r []*messages.Reply) { writeValue(conn, r[0]) }

func writeValue(conn *writer, r *messages.Reply) {
	if r.Found {
		conn.WriteBulk(r.Value)
	} else {
		conn.WriteNull()
	}
}

func number(conn *writer, r []*messages.Reply) { conn.WriteInt64(r[0].Number) }

func values(conn *writer, all []*messages.Reply) {
	conn.WriteArray(len(all))
	for _, r := range all {
		writeValue(conn, r)
	}
}

func countFound(conn *writer, all []*messages.Reply) {
	n := 0
	for _, r := range all {
		if r.Found {
			n++
		}
	}
	conn.WriteInt(n)
}

// --- commands ---

func get(c *call, r *request) string {
	c.setOps(&messages.Get{Key: r.args[1]})
	c.render = value
	return ""
}

func set(c *call, r *request) string {
	p := &messages.Put{Key: r.args[1], Value: r.args[2]}
	var expiry, amount string
	for i := 3; i < len(r.args); i++ {
		switch o := upperWord(r.args[i]); {
		case o == "NX" && p.Mode != messages.Put_IF_PRESENT:
			p.Mode = messages.Put_IF_ABSENT
		case o == "XX" && p.Mode != messages.Put_IF_ABSENT:
			p.Mode = messages.Put_IF_PRESENT
		case o == "GET":
			p.ReturnPrevious = true
		case o == "KEEPTTL" && (expiry == "" || expiry == o):
			expiry = o
		case slices.Contains([]string{"EX", "PX", "EXAT", "PXAT"}, o) && (expiry == "" || expiry == o) && i+1 < len(r.args):
			i++
			expiry, amount = o, string(r.args[i])
		default:
			return errSyntax
		}
	}
	if why := expires(expiry, amount); why != "" {
		return why
	}
	if why := tooLarge(p.Value); why != "" {
		return why
	}
	c.setOps(p)
	c.render = func(conn *writer, a []*messages.Reply) {
		switch {
		case p.ReturnPrevious:
			writeValue(conn, a[0])
		case a[0].Code == messages.Code_CONFLICT:
			conn.WriteNull()
		default:
			conn.WriteString("OK")
		}
	}
	return ""
}

// expires gives the error text for a time to live. Keys do not expire, so KEEPTTL has nothing to keep.
func expires(expiry, amount string) string {
	if expiry == "" || expiry == "KEEPTTL" {
		return ""
	}
	n, ok := integer([]byte(amount))
	switch {
	case !ok:
		return errInteger
	case n <= 0 || expiry[0] == 'E' && n > math.MaxInt64/1000:
		return "ERR invalid expire time in 'set' command"
	}
	return "ERR keys do not expire in eRaft: SET takes NX, XX, GET and KEEPTTL"
}

func tooLarge(value []byte) string {
	if len(value) > messages.MaxValueBytes {
		return fmt.Sprintf("ERR value is %d bytes long; %d is the most", len(value), messages.MaxValueBytes)
	}
	return ""
}

func setnx(c *call, r *request) string {
	c.setOps(&messages.Put{Key: r.args[1], Value: r.args[2], Mode: messages.Put_IF_ABSENT})
	c.render = func(conn *writer, a []*messages.Reply) {
		if a[0].Code == messages.Code_CONFLICT {
			conn.WriteInt(0)
		} else {
			conn.WriteInt(1)
		}
	}
	return tooLarge(r.args[2])
}

func getdel(c *call, r *request) string {
	c.setOps(&messages.Delete{Key: r.args[1], ReturnPrevious: true})
	c.render = value
	return ""
}

func del(c *call, r *request) string {
	for _, key := range r.args[1:] {
		c.ops = append(c.ops, &messages.Delete{Key: key})
	}
	c.render = countFound
	return ""
}

func exists(c *call, r *request) string {
	for _, key := range r.args[1:] {
		c.ops = append(c.ops, &messages.Get{Key: key, MetaOnly: true})
	}
	c.render = countFound
	return ""
}

func appendTo(c *call, r *request) string {
	c.setOps(&messages.Append{Key: r.args[1], Value: r.args[2]})
	c.render = number
	return tooLarge(r.args[2])
}

func strlen(c *call, r *request) string {
	c.setOps(&messages.Get{Key: r.args[1], MetaOnly: true})
	c.render = number
	return ""
}

func incr(c *call, key []byte, by int64) string {
	c.setOps(&messages.Incr{Key: key, By: by})
	c.render = number
	return ""
}

func incrby(c *call, r *request) string {
	n, ok := integer(r.args[2])
	if !ok {
		return errInteger
	}
	return incr(c, r.args[1], n)
}

func decrby(c *call, r *request) string {
	n, ok := integer(r.args[2])
	if !ok {
		return errInteger
	}
	if n == math.MinInt64 {
		return "ERR decrement would overflow"
	}
	return incr(c, r.args[1], -n)
}

func mget(c *call, r *request) string {
	for _, key := range r.args[1:] {
		c.ops = append(c.ops, &messages.Get{Key: key})
	}
	c.render = values
	return ""
}

func mset(c *call, r *request) string {
	if len(r.args)%2 == 0 {
		return wrongNumber("mset")
	}
	last := map[string]int{} // if a key is named twice, its last value counts
	for i := 1; i < len(r.args); i += 2 {
		if why := tooLarge(r.args[i+1]); why != "" {
			return why
		}
		put := &messages.Put{Key: r.args[i], Value: r.args[i+1]}
		if at, again := last[string(r.args[i])]; again {
			c.ops[at] = put
			continue
		}
		last[string(r.args[i])] = len(c.ops)
		c.ops = append(c.ops, put)
	}
	c.render = simple("OK")
	return ""
}

func typeOf(c *call, r *request) string {
	c.setOps(&messages.Get{Key: r.args[1], MetaOnly: true})
	c.render = func(conn *writer, a []*messages.Reply) {
		if a[0].Found {
			conn.WriteString("string")
		} else {
			conn.WriteString("none")
		}
	}
	return ""
}
