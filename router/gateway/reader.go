package gateway

import (
	"bytes"
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/eraft-io/eraft/router/fairqueue"
)

// reader parses RESP commands from a connection. It reads ahead no more than a small buffer, and reads a large command only
// when the Gateway's byte budget has room for it: what clients send faster than it can be written stays in the network.
type reader struct {
	conn       net.Conn
	budget     *byteBudget // shared by all connections
	buf        []byte
	start, end int // the bytes of buf that are not parsed yet

	// The command that is being parsed:
	args     [][]byte
	argsLeft int    // arguments still to come
	size     int    // bytes of all arguments announced so far, each with argumentOverhead
	arg      []byte // buffer of the current argument and its CRLF; nil: none
	argRead  int    // bytes of arg that were read
	skip     int    // bytes still to come of an argument that is not kept
	refused  string // error text of a command that will not be carried out; "": none
	reserved int    // bytes of budget held; for one command only, since a command that needs budget is not batched with others
	place    fairqueue.Place
}

const (
	minBuffer        = 4 << 10  // bytes of a connection's buffer,
	maxBuffer        = 64 << 10 // and of the buffer of a connection that sends much at once
	commandBytes     = 16 << 20 // byte budget for the commands of all connections
	freeCommandBytes = 16 << 10 // bytes of each command that need no budget
	argumentOverhead = 32       // bytes that an argument costs beside its content
	maxCommand       = 16 << 20 // bytes
	maxArguments     = 1 << 20
	maxArgument      = 2 << 20          // bytes of an argument that is kept; each command has a limit of its own
	maxBulk          = 512 << 20        // bytes of one argument, as in Redis: a longer announcement is a protocol error
	commandTimeout   = 30 * time.Second // from the first reservation to the end of the command
)

// errProtocol is a violation of RESP: where the next command begins is not known, and the connection ends.
type errProtocol string

func (e errProtocol) Error() string { return "ERR Protocol error: " + string(e) }

// rawCommand is a command as it was received. A refused one may lack all arguments but the first, which may be empty.
type rawCommand struct {
	args    [][]byte
	refused string
}

func newReader(conn net.Conn, budget *byteBudget) *reader {
	return &reader{conn: conn, budget: budget, buf: make([]byte, minBuffer)}
}

// next gives the next command. Without wait it gives only a command that is complete in the buffer and needs no budget.
func (r *reader) next(wait bool) (c rawCommand, ok bool, err error) {
	for {
		more, err := r.step(wait)
		switch {
		case err != nil:
			return rawCommand{}, false, err
		case r.argsLeft == 0 && len(r.args) > 0:
			c := rawCommand{r.args, r.refused}
			r.args, r.size, r.refused = nil, 0, ""
			if r.reserved > 0 {
				err = r.conn.SetReadDeadline(time.Time{})
			}
			return c, true, err
		case more:
		case !wait:
			return rawCommand{}, false, nil
		default:
			if err := r.fill(); err != nil {
				return rawCommand{}, false, err
			}
		}
	}
}

// release gives the budget of answered commands back. If they were not served, the connection keeps its place.
func (r *reader) release(served bool) {
	if served && r.reserved > 0 {
		r.place.Served()
	}
	r.budget.release(r.reserved)
	r.reserved = 0
}

// step parses one element of the buffer, and reports whether there was one.
func (r *reader) step(wait bool) (bool, error) {
	have := r.end - r.start
	switch {
	case r.skip > 0:
		n := min(r.skip, have)
		r.start, r.skip = r.start+n, r.skip-n
		if n > 0 && r.skip == 0 {
			r.endArgument(nil)
		}
		return n > 0, nil
	case r.arg != nil:
		n := copy(r.arg[r.argRead:], r.buf[r.start:r.end])
		r.start, r.argRead = r.start+n, r.argRead+n
		if r.argRead < len(r.arg) {
			return n > 0, nil
		}
		end := len(r.arg) - 2
		if string(r.arg[end:]) != "\r\n" {
			return false, errProtocol("expected CRLF behind an argument")
		}
		r.endArgument(r.arg[:end:end])
		r.arg = nil
		return true, nil
	}
	before := r.start
	line, ok, err := r.line()
	switch {
	case !ok || err != nil:
		return false, err
	case r.argsLeft == 0:
		return true, r.beginCommand(line)
	}
	taken, err := r.argument(line, wait)
	if !taken {
		r.start = before
	}
	return taken, err
}

// endArgument adds an argument to the command. Of a refused command only the first is kept.
func (r *reader) endArgument(arg []byte) {
	r.argsLeft--
	if r.refused != "" {
		r.args = slices.Clone(r.args[:min(len(r.args), 1)])
	}
	if r.refused == "" || len(r.args) == 0 {
		r.args = append(r.args, arg)
	}
}

// line is the text up to the next line end, without the LF.
func (r *reader) line() (line []byte, ok bool, err error) {
	end := bytes.IndexByte(r.buf[r.start:r.end], '\n')
	switch {
	case end >= 0:
		line = r.buf[r.start : r.start+end]
		r.start += end + 1
		return line, true, nil
	case r.end-r.start < maxBuffer:
		return nil, false, nil
	case r.argsLeft > 0:
		return nil, false, errProtocol("too big bulk count string")
	case r.buf[r.start] == '*':
		return nil, false, errProtocol("too big mbulk count string")
	}
	return nil, false, errProtocol("too big inline request")
}

// length is the number behind the first byte of a line, which must end with CR and must not exceed most.
func length(line []byte, most int64) (int, bool) {
	digits, ok := bytes.CutSuffix(line[1:], []byte{'\r'})
	n, isNumber := integer(digits)
	return int(n), ok && isNumber && n <= most
}

// beginCommand parses the first line of a command: the number of arguments, or all of them (an inline command).
func (r *reader) beginCommand(line []byte) error {
	if len(line) > 0 && line[0] == '*' {
		n, ok := length(line, maxArguments)
		if !ok {
			return errProtocol("invalid multibulk length")
		}
		r.argsLeft = max(n, 0) // as in Redis, a command without arguments is ignored
		return nil
	}
	args, ok := splitInline(bytes.TrimSuffix(line, []byte{'\r'}))
	if !ok {
		return errProtocol("unbalanced quotes in request")
	}
	r.args = args
	return nil
}

// argument parses the line before an argument: its length. It reports whether the argument may be read now.
func (r *reader) argument(line []byte, wait bool) (bool, error) {
	if len(line) == 0 || line[0] != '$' {
		return false, errProtocol(fmt.Sprintf("expected '$', got '%s'", append(line, '\n')[:1]))
	}
	n, ok := length(line, maxBulk)
	if !ok || n < 0 {
		return false, errProtocol("invalid bulk length")
	}
	size := r.size + n + argumentOverhead
	if size > freeCommandBytes && r.refused == "" {
		if !wait {
			return false, nil // the commands before it are answered first
		}
		if err := r.reserve(n, size); err != nil {
			return false, err
		}
	}
	if r.size = size; r.refused != "" {
		r.skip = n + 2
		return true, nil
	}
	r.arg, r.argRead = make([]byte, n+2), 0
	return true, nil
}

// reserve gets budget for a command of that size so far, or refuses the command. From its first reservation on the command
// must be complete within commandTimeout.
func (r *reader) reserve(n, size int) error {
	need := size - freeCommandBytes - r.reserved
	if r.refused = r.tryReserve(n, size, need); r.refused != "" {
		return nil
	}
	first := r.reserved == 0
	if r.reserved += need; !first {
		return nil
	}
	return r.conn.SetReadDeadline(time.Now().Add(commandTimeout))
}

// tryReserve gets need bytes for an argument of n bytes. It gives the error text if the command must be refused.
func (r *reader) tryReserve(n, size, need int) string {
	if n > maxArgument {
		return fmt.Sprintf("ERR argument is %d bytes long; %d is the most", n, maxArgument)
	}
	if size > maxCommand {
		return fmt.Sprintf("ERR command is longer than %d bytes", maxCommand)
	}
	if !r.budget.reserve(need, &r.place) {
		return fmt.Sprintf("OVERLOADED not applied: this node keeps up to %d bytes of unanswered commands, and there was no room in time", commandBytes)
	}
	return ""
}

// fill reads at least one byte.
func (r *reader) fill() error {
	if r.start == r.end {
		r.start, r.end = 0, 0
		if left := len(r.arg) - r.argRead; r.arg != nil && left > len(r.buf) {
			n, err := r.conn.Read(r.arg[r.argRead : len(r.arg)-1]) // the last byte goes through the buffer, where step sees it
			r.argRead += n
			return err
		}
	}
	if r.start > 0 {
		r.end = copy(r.buf, r.buf[r.start:r.end])
		r.start = 0
	}
	n, err := r.conn.Read(r.buf[r.end:])
	if r.end += n; r.end == len(r.buf) && len(r.buf) < maxBuffer {
		r.buf = append(r.buf, make([]byte, len(r.buf))...)
	}
	return err
}
