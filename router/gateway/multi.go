package gateway

import (
	"strings"

	"github.com/eraft-io/eraft/messages"
)

// There are no transactions over RESP yet. Clients send MULTI, what belongs to it and EXEC in one go, so to refuse MULTI
// alone would carry out the commands behind it one by one: all of them are refused, up to the command that ends it.
const (
	errMulti   = "ERR MULTI is not supported: nothing up to EXEC or DISCARD is carried out"
	errInMulti = "ERR not carried out: it follows a MULTI, which is not supported; EXEC or DISCARD ends that"
	errExec    = "EXECABORT nothing was carried out: MULTI is not supported"
)

// multi handles commands that begin, end or are inside a transaction, and reports whether this is one.
func (cl *client) multi(c *call, args [][]byte) bool {
	inside, ends := cl.inMulti, c.name == "exec" || c.name == "discard"
	switch {
	case len(args) > 1 && c.name == "exec":
		cl.inMulti = false
		c.reject("EXECABORT Transaction discarded because of: " + strings.TrimPrefix(wrongNumber("exec"), "ERR "))
	case len(args) > 1 && (c.name == "multi" || c.name == "discard"):
		c.reject(wrongNumber(c.name))
	case c.name == "multi":
		cl.inMulti = true
		c.reject(errMulti)
	case c.name == "exec" && inside:
		cl.inMulti = false
		c.reject(errExec)
	case c.name == "discard" && inside:
		cl.inMulti, c.render = false, simple("OK")
	case ends:
		c.reject("ERR " + strings.ToUpper(c.name) + " without MULTI")
	case inside && c.name != "quit":
		if name, _, _ := find(args); name == "" {
			c.name = "unknown"
		}
		c.reject(errInMulti)
	default:
		return false
	}
	return true
}

// isHTTP reports whether a line's first word is one that a web browser sends. A web page can make a browser send commands to any
// port of the machine that the browser runs on. As in Redis, such a connection ends before anything behind the line is carried out.
func isHTTP(name string) bool { return name == "post" || name == "host:" }

func writeNothing(*writer, []*messages.Reply) {}
