package gateway

import (
	"fmt"
	"maps"
	"strings"
)

// commandSpec is a Redis command that the Gateway serves, with its description in COMMAND. A name with | is a subcommand.
type commandSpec struct {
	arity  int // number of arguments with the name; negative: at least that many
	flags  string
	acl    string // ACL categories
	keys   string // which arguments are keys: "" none, "1" the first, "*" all, "2" every second
	access string // key access flags
	tips   string
	help   string
	parse  func(*call, *request) string // gives the error text, "": none; nil: only its subcommands can be called
}

func (k commandSpec) writes() bool { return strings.HasPrefix(k.flags, "write") }

// keysOf gives the keys among the arguments.
func (k commandSpec) keysOf(args [][]byte) [][]byte {
	switch k.keys {
	case "1":
		return args[1:2]
	case "*":
		return args[1:]
	case "2":
		var keys [][]byte
		for i := 1; i < len(args); i += 2 {
			keys = append(keys, args[i])
		}
		return keys
	}
	return nil
}

func (k commandSpec) fits(args int) bool { return args == k.arity || k.arity < 0 && args >= -k.arity }

var (
	commands   map[string]commandSpec
	containers = map[string]bool{} // commands with subcommands
)

// find gives the command of some arguments, by its full name, and the error text if there is none or its arguments do not fit.
func find(args [][]byte) (name string, known commandSpec, why string) {
	name = strings.ToLower(string(args[0]))
	known, ok := commands[name]
	if !ok || strings.Contains(name, "|") {
		return "", commandSpec{}, unknown(args)
	}
	if containers[name] && len(args) > 1 {
		name += "|" + strings.ToLower(string(args[1]))
		if known, ok = commands[name]; !ok {
			return "", commandSpec{}, fmt.Sprintf("ERR unknown subcommand '%s'. Try %s HELP.", errorExcerpt(args[1], 128), strings.ToUpper(errorExcerpt(args[0], 128)))
		}
	}
	if !known.fits(len(args)) {
		why = wrongNumber(name)
	}
	return name, known, why
}

func wrongNumber(name string) string {
	return fmt.Sprintf("ERR wrong number of arguments for '%s' command", name)
}

func unknown(args [][]byte) string {
	var b strings.Builder
	for _, a := range args[1:] {
		if b.Len() >= 128 {
			break
		}
		fmt.Fprintf(&b, "'%s' ", errorExcerpt(a, 128-b.Len()))
	}
	return fmt.Sprintf("ERR unknown command '%s', with args beginning with: %s", errorExcerpt(args[0], 128), b.String())
}

// errorExcerpt is the part of an argument that an error repeats. Redis treats it as a C string, which ends at a zero byte.
func errorExcerpt(arg []byte, most int) string {
	text, _, _ := strings.Cut(string(arg[:min(len(arg), most)]), "\x00")
	return text
}

// upperWord is an argument that is an option, in upper case.
func upperWord(arg []byte) string { return strings.ToUpper(errorExcerpt(arg, len(arg))) }

func init() {
	commands = dataCommands()
	maps.Copy(commands, serverCommands())
	for name := range commands {
		if container, _, sub := strings.Cut(name, "|"); sub {
			containers[container] = true
		}
	}
}

// Words that many commands have in common.
const (
	everywhere, shards = "request_policy:all_shards", "request_policy:multi_shard"
	sum, whole         = shards + " response_policy:agg_sum", " response_policy:all_succeeded"
	random, unordered  = "nondeterministic_output", "nondeterministic_output_order"
)

// dataCommands are the commands on keys and values.
func dataCommands() map[string]commandSpec {
	const reads, changes, adds, update = "@read @string @fast", "@write @string @fast", "write denyoom fast", "RW access update"
	return map[string]commandSpec{
		"get":    {2, "readonly fast", reads, "1", "RO access", "", "the value of a key", get},
		"strlen": {2, "readonly fast", reads, "1", "RO", "", "the length of a value", strlen},
		"mget":   {-2, "readonly fast", reads, "*", "RO access", shards, "the values of keys, each by itself", mget},
		"set":    {-3, "write denyoom", "@write @string @slow", "1", update + " variable_flags", "", "sets a key: SET key value [NX|XX] [GET] [KEEPTTL]", set},
		"setnx":  {3, adds, changes, "1", "OW insert", "", "sets a key that is absent", setnx},
		"getdel": {2, "write fast", changes, "1", "RW access delete", "", "the value of a key, which is deleted", getdel},
		"append": {3, adds, changes, "1", "RW insert", "", "adds to the end of a value", appendTo},
		"incr":   {2, adds, changes, "1", update, "", "adds 1", func(c *call, r *request) string { return incr(c, r.args[1], 1) }},
		"decr":   {2, adds, changes, "1", update, "", "subtracts 1", func(c *call, r *request) string { return incr(c, r.args[1], -1) }},
		"incrby": {3, adds, changes, "1", update, "", "adds an integer", incrby},
		"decrby": {3, adds, changes, "1", update, "", "subtracts an integer", decrby},
		"mset": {-3, "write denyoom", "@write @string @slow", "2", "OW update", shards + whole,
			"sets keys, each by itself: not atomic over keys", mset},

		"del":    {-2, "write", "@keyspace @write @slow", "*", "RM delete", sum, "deletes keys, each by itself", del},
		"exists": {-2, "readonly fast", "@keyspace @read @fast", "*", "RO", sum, "how many of the keys exist", exists},
		"type":   {2, "readonly fast", "@keyspace @read @fast", "1", "RO", "", "string or none", typeOf},
		"scan": {-2, "readonly", "@keyspace @read @slow", "", "", random + " request_policy:special",
			"keys from a position on: SCAN cursor [MATCH pattern] [COUNT n] [TYPE string]", scan},
		"keys": {2, "readonly", "@keyspace @read @slow @dangerous", "", "", everywhere + " " + unordered,
			"all keys that match a pattern, up to 8 MiB of them", keys},
		"dbsize": {1, "readonly fast", "@keyspace @read @fast", "", "", everywhere + " response_policy:agg_sum",
			"how many keys there are; an estimate if counting takes more than a second", dbsize},
	}
}

// serverCommands are the commands on a connection, the node and the cluster.
func serverCommands() map[string]commandSpec {
	const (
		fast, early     = "loading stale fast", "noscript loading stale fast no_auth allow_busy"
		slow, connected = "@slow @connection", "@fast @connection"
	)
	return map[string]commandSpec{
		"ping":      {-1, "fast", connected, "", "", everywhere + whole, "answers PONG or the message", ping},
		"echo":      {2, fast, connected, "", "", "", "answers the message", echo},
		"select":    {2, fast, connected, "", "", "", "only database 0", selectDB},
		"hello":     {-1, early, connected, "", "", "", "RESP2 or RESP3: HELLO [2|3 [AUTH user password] [SETNAME name]]", hello},
		"auth":      {-2, early, connected, "", "", "", "only the user default, without a password", auth},
		"quit":      {-1, early, connected, "", "", "", "closes the connection", quit},
		"readonly":  {1, fast, connected, "", "", "", "keys are read from any replica, still linearizably", readFrom(replica)},
		"readwrite": {1, fast, connected, "", "", "", "ends READONLY", readFrom(leader)},
		"info":      {-1, "loading stale", "@slow @dangerous", "", "", random + " " + everywhere + " response_policy:special", "how this node is", info},

		"client":         {-2, "", "@slow", "", "", "", "connections", nil},
		"client|id":      {2, "noscript loading stale", slow, "", "", "", "the number of the connection", clientID},
		"client|getname": {2, "noscript loading stale", slow, "", "", "", "the name of the connection", getName},
		"client|setname": {3, "noscript loading stale", slow, "", "", "", "gives the connection a name", setName},
		"client|setinfo": {4, "noscript loading stale", slow, "", "", "", "takes what a client's library says of itself, and forgets it", setInfo},
		"client|info":    {2, "noscript loading stale", slow, "", "", random, "a line about the connection", clientInfo},
		"client|list": {-2, "admin noscript loading stale", "@admin @slow @dangerous @connection", "", "", random,
			"a line about each connection of the node: LIST [TYPE normal] [ID number ...]", clientList},
		"client|help": {2, "loading stale", slow, "", "", "", "this text", help},

		"command":         {-1, "loading stale", slow, "", "", unordered, "what commands there are", commandInfo},
		"command|count":   {2, "loading stale", slow, "", "", "", "how many commands there are", commandCount},
		"command|info":    {-2, "loading stale", slow, "", "", unordered, "what commands take: INFO [name ...]", commandInfo},
		"command|docs":    {-2, "loading stale", slow, "", "", unordered, "what commands do: DOCS [name ...]", commandDocs},
		"command|list":    {-2, "loading stale", slow, "", "", unordered, "names: LIST [FILTERBY MODULE name|ACLCAT category|PATTERN pattern]", commandList},
		"command|getkeys": {-4, "loading stale", slow, "", "", "", "the keys of a command that is not carried out", commandKeys},
		"command|getkeysandflags": {-4, "loading stale", slow, "", "", "",
			"the same, with what would be done with them", commandKeys},
		"command|help": {2, "loading stale", slow, "", "", "", "this text", help},

		"cluster":         {-2, "", "@slow", "", "", "", "which node serves what; any node answers for any key", nil},
		"cluster|keyslot": {3, "stale", "@slow", "", "", "", "the slot of a key", keySlot},
		"cluster|slots":   {2, "stale", "@slow", "", "", random, "ranges of slots, and the nodes that are up and serve them", topology(writeSlots)},
		"cluster|shards":  {2, "stale", "@slow", "", "", random, "groups, their slots and nodes", topology(writeShards)},
		"cluster|nodes":   {2, "stale", "@slow", "", "", random, "a line about each node", topology(writeNodes)},
		"cluster|myid":    {2, "stale", "@slow", "", "", "", "the name of this node", topology(writeMyID)},
		"cluster|info":    {2, "stale", "@slow", "", "", random, "how the cluster is", topology(writeClusterInfo)},
		"cluster|help":    {2, "loading stale", "@slow", "", "", "", "this text", help},
	}
}
