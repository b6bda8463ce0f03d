package gateway

import (
	"slices"
	"strings"

	"github.com/eraft-io/eraft/messages"
)

// sinceVersion is the Redis version that introduced a command: redis-cli and other interactive tools show it.
var sinceVersion = versions(map[string]string{
	"1.0.0":  "get set setnx incr decr incrby decrby mget del exists type keys dbsize ping echo select auth quit info",
	"1.0.1":  "mset",
	"2.0.0":  "append",
	"2.2.0":  "strlen",
	"2.4.0":  "client client|list",
	"2.6.9":  "client|getname client|setname",
	"2.8.0":  "scan",
	"2.8.13": "command command|count command|info command|getkeys",
	"3.0.0":  "cluster cluster|keyslot cluster|slots cluster|nodes cluster|myid cluster|info readonly readwrite",
	"5.0.0":  "client|id client|help command|help cluster|help",
	"6.0.0":  "hello",
	"6.2.0":  "getdel client|info",
	"7.0.0":  "command|docs command|list command|getkeysandflags cluster|shards",
	"7.2.0":  "client|setinfo",
})

func versions(names map[string]string) map[string]string {
	since := map[string]string{}
	for version, all := range names {
		for name := range strings.FieldsSeq(all) {
			since[name] = version
		}
	}
	return since
}

// group is the functional group of a command in Redis' documentation.
func group(name string) string {
	container, _, _ := strings.Cut(name, "|")
	switch {
	case slices.Contains([]string{"info", "dbsize", "command"}, container):
		return "server"
	case slices.Contains([]string{"cluster", "readonly", "readwrite"}, container):
		return "cluster"
	}
	for _, of := range [][2]string{{"@string", "string"}, {"@keyspace", "generic"}} {
		if slices.Contains(strings.Fields(commands[name].acl), of[0]) {
			return of[1]
		}
	}
	return "connection"
}

func commandDocs(c *call, r *request) string {
	asked := names(false)
	if len(r.args) > 2 {
		asked = slices.DeleteFunc(lower(r.args[2:]), func(name string) bool { return commands[name].arity == 0 })
	}
	c.render = func(conn *writer, _ []*messages.Reply) { writeDocs(conn, asked) }
	return ""
}

// writeDocs writes a map of commands, with a nested map of their subcommands.
func writeDocs(conn *writer, asked []string) {
	conn.WriteMap(len(asked))
	for _, name := range asked {
		conn.WriteBulkString(name)
		pairs := []pair{{"summary", commands[name].help}, {"since", sinceVersion[name]}, {"group", group(name)}}
		if !containers[name] {
			conn.WritePairs(pairs...)
			continue
		}
		conn.WriteMap(len(pairs) + 1)
		for _, p := range pairs {
			conn.WriteBulkString(p.key)
			conn.WriteBulkString(p.value.(string))
		}
		conn.WriteBulkString("subcommands")
		writeDocs(conn, subcommands(name))
	}
}
