package gateway

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/messages"
)

// command is a Redis command that the gateway knows. arity counts the name; negative: at least that many.
type command struct {
	arity  int
	writes bool
	keys   string // which arguments are keys: "" none, "1" the first, "*" all, "2" every second
	help   string
	parse  func(*call, *request) string // the error text, "" if it is fine
}

type request struct {
	args   [][]byte
	client *client
	g      *Gateway
}

// parse turns arguments into a call; mistakes become calls that only write an error.
func (g *Gateway) parse(cl *client, w words) *call {
	args := w.args
	name := strings.ToLower(string(args[0]))
	c := &call{name: name}
	if ofHTTP(name) {
		c.quit, c.render = true, hangUp
		return c
	}
	if cl.multi(c) {
		return c
	}
	known, ok := commands[name]
	if !ok {
		c.name = "unknown"
		c.fail(unknown(args))
	}
	if c.refused = w.refused; c.refused != "" || !ok {
		return c
	}
	if n := len(args); known.arity > 0 && n != known.arity || n < -known.arity {
		c.fail(fmt.Sprintf("ERR wrong number of arguments for '%s' command", name))
		return c
	}
	c.writes = known.writes
	switch known.keys {
	case "1":
		c.keys = []string{string(args[1])}
	case "*":
		for _, key := range args[1:] {
			c.keys = append(c.keys, string(key))
		}
	case "2":
		for i := 1; i < len(args); i += 2 {
			c.keys = append(c.keys, string(args[i]))
		}
	}
	for _, key := range c.keys {
		if len(key) > messages.MaxKeyBytes {
			c.fail(fmt.Sprintf("ERR key is %d bytes long; %d is the most", len(key), messages.MaxKeyBytes))
			return c
		}
	}
	if text := known.parse(c, &request{args, cl, g}); text != "" {
		c.fail(text)
	}
	for _, op := range c.ops {
		if get, ok := op.(*messages.Get); ok {
			get.From = cl.from
		}
	}
	return c
}

// readFrom is for the rest of the connection.
func readFrom(from messages.ReadFrom) func(*call, *request) string {
	return func(c *call, r *request) string {
		r.client.from, c.render = from, simple("OK")
		return ""
	}
}

func (c *call) fail(text string) {
	c.ops, c.keys, c.work = nil, nil, nil
	c.render = func(conn *writer, _ []*messages.Reply) { conn.WriteError(text) }
}

func unknown(args [][]byte) string {
	var b strings.Builder
	fmt.Fprintf(&b, "ERR unknown command '%.128s', with args beginning with: ", args[0])
	for _, a := range args[1:min(len(args), 20)] {
		if b.Len() > 128+50 {
			break
		}
		fmt.Fprintf(&b, "'%.*s' ", 128, a)
	}
	return strings.Map(func(r rune) rune {
		if r == '\r' || r == '\n' {
			return ' '
		}
		return r
	}, b.String())
}

const (
	errSyntax  = "ERR syntax error"
	errInteger = "ERR value is not an integer or out of range"
)

func (c *call) ask(ops ...proto.Message) { c.ops = ops }

// --- how answers are written ---

func simple(text string) func(*writer, []*messages.Reply) {
	return func(conn *writer, _ []*messages.Reply) { conn.WriteString(text) }
}

func bulk(text string) func(*writer, []*messages.Reply) {
	return func(conn *writer, _ []*messages.Reply) { conn.WriteBulkString(text) }
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

var commands map[string]command

func init() {
	commands = map[string]command{
		"ping":      {-1, false, "", "answers PONG or the message", ping},
		"echo":      {2, false, "", "answers the message", func(c *call, r *request) string { c.render = bulk(string(r.args[1])); return "" }},
		"get":       {2, false, "1", "the value of a key", get},
		"set":       {-3, true, "1", "sets a key: SET key value [NX|XX] [GET]", set},
		"setnx":     {3, true, "1", "sets a key that is absent", setnx},
		"getdel":    {2, true, "1", "the value of a key, which is deleted", getdel},
		"del":       {-2, true, "*", "deletes keys, each by itself", del},
		"exists":    {-2, false, "*", "how many of the keys exist", exists},
		"append":    {3, true, "1", "adds to the end of a value", appendTo},
		"strlen":    {2, false, "1", "the length of a value", strlen},
		"incr":      {2, true, "1", "adds 1", func(c *call, r *request) string { return incr(c, r.args[1], 1) }},
		"decr":      {2, true, "1", "subtracts 1", func(c *call, r *request) string { return incr(c, r.args[1], -1) }},
		"incrby":    {3, true, "1", "adds an integer", incrby},
		"decrby":    {3, true, "1", "subtracts an integer", decrby},
		"mget":      {-2, false, "*", "the values of keys, each by itself", mget},
		"mset":      {-3, true, "2", "sets keys, each by itself: not atomic over keys", mset},
		"type":      {2, false, "1", "string or none", typeOf},
		"scan":      {-2, false, "", "keys from a position on: SCAN cursor [MATCH pattern] [COUNT n] [TYPE string]", scan},
		"keys":      {2, false, "", "all keys that match a pattern, up to 8 MiB of them", keys},
		"dbsize":    {1, false, "", "how many keys there are; an estimate if counting takes more than a second", dbsize},
		"info":      {-1, false, "", "how this node is", info},
		"command":   {-1, false, "", "what commands there are", commandInfo},
		"client":    {-2, false, "", "SETNAME, GETNAME, ID, SETINFO, INFO", clientInfo},
		"select":    {2, false, "", "only database 0", selectDB},
		"hello":     {-1, false, "", "only RESP2: HELLO 2", hello},
		"quit":      {-1, false, "", "closes the connection", func(c *call, _ *request) string { c.quit, c.render = true, simple("OK"); return "" }},
		"cluster":   {-2, false, "", "KEYSLOT key, SLOTS, SHARDS, NODES, MYID, INFO", clusterInfo},
		"readonly":  {1, false, "", "keys are read from any replica, still linearizably", readFrom(messages.ReadFrom_REPLICA)},
		"readwrite": {1, false, "", "ends READONLY", readFrom(messages.ReadFrom_LEADER)},
	}
}

func ping(c *call, r *request) string {
	switch len(r.args) {
	case 1:
		c.render = simple("PONG")
	case 2:
		c.render = bulk(string(r.args[1]))
	default:
		return "ERR wrong number of arguments for 'ping' command"
	}
	return ""
}

func get(c *call, r *request) string {
	c.ask(&messages.Get{Key: r.args[1]})
	c.render = value
	return ""
}

func set(c *call, r *request) string {
	p := &messages.Put{Key: r.args[1], Value: r.args[2]}
	for _, option := range r.args[3:] {
		switch o := strings.ToUpper(string(option)); {
		case o == "NX" && p.Mode == messages.Put_ALWAYS:
			p.Mode = messages.Put_IF_ABSENT
		case o == "XX" && p.Mode == messages.Put_ALWAYS:
			p.Mode = messages.Put_IF_PRESENT
		case o == "GET":
			p.Previous = true
		case slices.Contains([]string{"EX", "PX", "EXAT", "PXAT", "KEEPTTL"}, o):
			return "ERR keys do not expire in eRaft: SET takes NX, XX and GET"
		default:
			return errSyntax
		}
	}
	if why := tooLarge(p.Value); why != "" {
		return why
	}
	c.ask(p)
	c.render = func(conn *writer, a []*messages.Reply) {
		switch {
		case p.Previous:
			writeValue(conn, a[0])
		case a[0].Code == messages.Code_CONFLICT:
			conn.WriteNull()
		default:
			conn.WriteString("OK")
		}
	}
	return ""
}

func tooLarge(value []byte) string {
	if len(value) > messages.MaxValueBytes {
		return fmt.Sprintf("ERR value is %d bytes long; %d is the most", len(value), messages.MaxValueBytes)
	}
	return ""
}

func setnx(c *call, r *request) string {
	c.ask(&messages.Put{Key: r.args[1], Value: r.args[2], Mode: messages.Put_IF_ABSENT})
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
	c.ask(&messages.Delete{Key: r.args[1], Previous: true})
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
	c.ask(&messages.Append{Key: r.args[1], Value: r.args[2]})
	c.render = number
	return tooLarge(r.args[2])
}

func strlen(c *call, r *request) string {
	c.ask(&messages.Get{Key: r.args[1], MetaOnly: true})
	c.render = number
	return ""
}

func incr(c *call, key []byte, by int64) string {
	c.ask(&messages.Incr{Key: key, By: by})
	c.render = number
	return ""
}

func incrby(c *call, r *request) string {
	n, err := strconv.ParseInt(string(r.args[2]), 10, 64)
	if err != nil {
		return errInteger
	}
	return incr(c, r.args[1], n)
}

func decrby(c *call, r *request) string {
	n, err := strconv.ParseInt(string(r.args[2]), 10, 64)
	if err != nil {
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
		return "ERR wrong number of arguments for 'mset' command"
	}
	last := map[string]int{} // of a key that is named twice the last value counts
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
	c.ask(&messages.Get{Key: r.args[1], MetaOnly: true})
	c.render = func(conn *writer, a []*messages.Reply) {
		if a[0].Found {
			conn.WriteString("string")
		} else {
			conn.WriteString("none")
		}
	}
	return ""
}

func info(c *call, r *request) string {
	section := ""
	if len(r.args) > 1 {
		section = strings.ToLower(string(r.args[1]))
	}
	text := ""
	if r.g.o.Info != nil {
		text = r.g.o.Info(section)
	}
	c.render = bulk(text)
	return ""
}

func selectDB(c *call, r *request) string {
	n, err := strconv.Atoi(string(r.args[1]))
	if err != nil {
		return errInteger
	}
	if n != 0 {
		return "ERR DB index is out of range"
	}
	c.render = simple("OK")
	return ""
}

func hello(c *call, r *request) string {
	if len(r.args) > 1 {
		if v, err := strconv.Atoi(string(r.args[1])); err != nil {
			return "ERR Protocol version is not an integer or out of range"
		} else if v != 2 {
			return "NOPROTO unsupported protocol version"
		}
	}
	for i := 2; i < len(r.args); i++ {
		if strings.EqualFold(string(r.args[i]), "setname") && i+1 < len(r.args) {
			r.client.name = string(r.args[i+1])
			i++
			continue
		}
		return "ERR Syntax error in HELLO option '" + string(r.args[i]) + "'"
	}
	c.render = func(conn *writer, _ []*messages.Reply) {
		conn.WriteArray(14)
		for _, pair := range [][2]any{
			{"server", "eraft"}, {"version", "7.0.0"}, {"proto", 2}, {"id", int(r.client.id)},
			{"mode", "standalone"}, {"role", "master"},
		} {
			conn.WriteBulkString(pair[0].(string))
			conn.WriteAny(pair[1])
		}
		conn.WriteBulkString("modules")
		conn.WriteArray(0)
	}
	return ""
}

func clientInfo(c *call, r *request) string {
	sub, n := strings.ToLower(string(r.args[1])), len(r.args)
	switch {
	case sub == "setname" && n == 3:
		r.client.name = string(r.args[2])
		c.render = simple("OK")
	case sub == "setinfo" && n == 4:
		c.render = simple("OK")
	case sub == "getname" && n == 2:
		name := r.client.name
		c.render = func(conn *writer, _ []*messages.Reply) {
			if name == "" {
				conn.WriteNull()
			} else {
				conn.WriteBulkString(name)
			}
		}
	case sub == "id" && n == 2:
		c.render = func(conn *writer, _ []*messages.Reply) { conn.WriteInt64(int64(r.client.id)) }
	case (sub == "info" || sub == "list") && n == 2:
		c.render = bulk(fmt.Sprintf("id=%d name=%s\n", r.client.id, r.client.name))
	case slices.Contains([]string{"setname", "setinfo", "getname", "id", "info", "list"}, sub):
		return fmt.Sprintf("ERR wrong number of arguments for 'client|%s' command", sub)
	default:
		return fmt.Sprintf("ERR unknown subcommand '%.128s'. Try CLIENT HELP.", r.args[1])
	}
	return ""
}

func commandInfo(c *call, r *request) string {
	names := slices.Sorted(maps.Keys(commands))
	sub := ""
	if len(r.args) > 1 {
		sub = strings.ToLower(string(r.args[1]))
	}
	switch sub {
	case "count":
		c.render = func(conn *writer, _ []*messages.Reply) { conn.WriteInt(len(names)) }
	case "docs":
		c.render = func(conn *writer, _ []*messages.Reply) {
			conn.WriteArray(2 * len(names))
			for _, name := range names {
				conn.WriteBulkString(name)
				conn.WriteArray(2)
				conn.WriteBulkString("summary")
				conn.WriteBulkString(commands[name].help)
			}
		}
	case "", "info", "list":
		c.render = func(conn *writer, _ []*messages.Reply) {
			conn.WriteArray(len(names))
			for _, name := range names {
				writeCommand(conn, name, commands[name])
			}
		}
	default:
		return fmt.Sprintf("ERR unknown subcommand '%.128s'. Try COMMAND HELP.", r.args[1])
	}
	return ""
}

// writeCommand describes a command as COMMAND does: name, arity, flags, first key, last key, step.
func writeCommand(conn *writer, name string, k command) {
	conn.WriteArray(6)
	conn.WriteBulkString(name)
	conn.WriteInt(k.arity)
	conn.WriteArray(1)
	if k.writes {
		conn.WriteString("write")
	} else {
		conn.WriteString("readonly")
	}
	first, last, step := 0, 0, 0
	switch k.keys {
	case "1":
		first, last, step = 1, 1, 1
	case "*":
		first, last, step = 1, -1, 1
	case "2":
		first, last, step = 1, -1, 2
	}
	conn.WriteInt(first)
	conn.WriteInt(last)
	conn.WriteInt(step)
}
