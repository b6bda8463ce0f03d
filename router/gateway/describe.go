package gateway

import (
	"maps"
	"slices"
	"strings"

	"github.com/eraft-io/eraft/messages"
)

// names of all commands, sorted: subcommands follow their command.
func names(subcommands bool) []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(commands)), func(name string) bool { return !subcommands && strings.Contains(name, "|") })
}

func subcommands(container string) []string {
	return slices.DeleteFunc(names(true), func(name string) bool { return !strings.HasPrefix(name, container+"|") })
}

func commandCount(c *call, _ *request) string {
	c.render = func(conn *writer, _ []*messages.Reply) { conn.WriteInt(len(names(false))) }
	return ""
}

// commandInfo is COMMAND, and COMMAND INFO with or without names.
func commandInfo(c *call, r *request) string {
	asked := names(false)
	if len(r.args) > 2 {
		asked = lower(r.args[2:])
	}
	c.render = func(conn *writer, _ []*messages.Reply) {
		conn.WriteArray(len(asked))
		for _, name := range asked {
			if k, ok := commands[name]; ok {
				writeCommand(conn, name, k)
			} else {
				conn.WriteNull()
			}
		}
	}
	return ""
}

func lower(args [][]byte) (words []string) {
	for _, arg := range args {
		words = append(words, strings.ToLower(string(arg)))
	}
	return words
}

func commandList(c *call, r *request) string {
	var keep func(name string) bool
	switch {
	case len(r.args) == 2:
		keep = func(string) bool { return true }
	case len(r.args) != 5 || upperWord(r.args[2]) != "FILTERBY":
		return errSyntax
	default:
		by := strings.ToLower(string(r.args[4]))
		switch upperWord(r.args[3]) {
		case "MODULE":
			keep = func(string) bool { return false } // there are no modules
		case "ACLCAT":
			keep = func(name string) bool { return slices.Contains(strings.Fields(commands[name].acl), "@"+by) }
		case "PATTERN":
			keep = func(name string) bool { return messages.Glob([]byte(by), []byte(name)) }
		default:
			return errSyntax
		}
	}
	found := slices.DeleteFunc(names(true), func(name string) bool { return !keep(name) })
	c.render = func(conn *writer, _ []*messages.Reply) {
		conn.WriteArray(len(found))
		for _, name := range found {
			conn.WriteBulkString(name)
		}
	}
	return ""
}

// commandKeys is COMMAND GETKEYS and GETKEYSANDFLAGS.
func commandKeys(c *call, r *request) string {
	args := r.args[2:]
	name, k, why := find(args)
	switch {
	case name == "":
		return "ERR Invalid command specified"
	case k.keys == "":
		return "ERR The command has no key arguments"
	case why != "":
		return "ERR Invalid number of arguments specified for command"
	}
	keys, access := k.keysOf(args), strings.Fields(k.access)
	if name == "set" {
		access = setAccess(args)
	}
	flags := upperWord(r.args[1]) == "GETKEYSANDFLAGS"
	c.render = func(conn *writer, _ []*messages.Reply) {
		conn.WriteArray(len(keys))
		for _, key := range keys {
			if !flags {
				conn.WriteBulk(key)
				continue
			}
			conn.WriteArray(2)
			conn.WriteBulk(key)
			conn.WriteWords(access)
		}
	}
	return ""
}

// setAccess is the key access of SET, which reads the key if it has GET.
func setAccess(args [][]byte) []string {
	if slices.ContainsFunc(args[3:], func(arg []byte) bool { return upperWord(arg) == "GET" }) {
		return []string{"RW", "access", "update"}
	}
	return []string{"OW", "update"}
}

// writeCommand describes a command in the format of COMMAND.
func writeCommand(conn *writer, name string, k commandSpec) {
	conn.WriteArray(10)
	conn.WriteBulkString(name)
	conn.WriteInt(k.arity)
	conn.WriteWords(strings.Fields(k.flags))
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
	if last > 0 {
		last -= first // the key specification below counts it from the first key
	}
	conn.WriteWords(strings.Fields(k.acl))
	tips := strings.Fields(k.tips)
	conn.WriteSet(len(tips))
	for _, tip := range tips {
		conn.WriteBulkString(tip)
	}
	if k.keys == "" {
		conn.WriteSet(0)
	} else {
		conn.WriteSet(1)
		writeKeySpec(conn, k.access, last, step)
	}
	if !containers[name] {
		conn.WriteSet(0)
		return
	}
	subs := subcommands(name)
	conn.WriteArray(len(subs))
	for _, sub := range subs {
		writeCommand(conn, sub, commands[sub])
	}
}

// writeKeySpec describes the position of a command's keys: from the first argument to last, which counts from the first key or, if
// negative, from the end.
func writeKeySpec(conn *writer, access string, last, step int) {
	conn.WriteMap(3)
	conn.WriteBulkString("flags")
	conn.WriteWords(strings.Fields(access))
	conn.WriteBulkString("begin_search")
	writeSpec(conn, "index", pair{"index", 1})
	conn.WriteBulkString("find_keys")
	writeSpec(conn, "range", pair{"lastkey", last}, pair{"keystep", step}, pair{"limit", 0})
}

func writeSpec(conn *writer, kind string, spec ...pair) {
	conn.WriteMap(2)
	conn.WriteBulkString("type")
	conn.WriteBulkString(kind)
	conn.WriteBulkString("spec")
	conn.WritePairs(spec...)
}

// help lists the subcommands of a command.
func help(c *call, r *request) string {
	container := strings.ToLower(string(r.args[0]))
	lines := []string{strings.ToUpper(container) + " has these subcommands:"}
	for _, name := range subcommands(container) {
		lines = append(lines, strings.ToUpper(strings.TrimPrefix(name, container+"|")), "    "+commands[name].help)
	}
	c.render = func(conn *writer, _ []*messages.Reply) {
		conn.WriteArray(len(lines))
		for _, line := range lines {
			conn.WriteString(line)
		}
	}
	return ""
}
