package gateway

import (
	"bytes"
	"fmt"
	"net"
	"slices"
	"time"
)

// reader takes RESP commands off a connection. It reads no more ahead than a small buffer, and what is large of a command
// only when the gateway has room for it: what clients send faster than it can be written stays with them.
type reader struct {
	conn       net.Conn
	budget     *byteBudget // of all connections
	buf        []byte
	start, end int // what of buf is not taken yet

	args     [][]byte // of the command under way
	argsLeft int      // how many are still to come
	size     int      // of all that were announced, with what it costs to keep them
	arg      []byte   // the argument under way, with the line end behind it; nil: none
	argRead  int      // of it
	skip     int      // bytes still to come of an argument that is not kept
	refused  string   // why the command under way will not be carried out
	reserved int      // of room: by one command, since those that ask for it are not taken along with others

	waitingSince time.Time // when the connection began to wait for room; zero: its last large command was served
}

const (
	minBuffer        = 4 << 10  // of a connection,
	maxBuffer        = 64 << 10 // and of one on which more comes than fits
	commandBytes     = 16 << 20
	freeCommandBytes = 16 << 10 // of each command, for which no room is asked
	argumentOverhead = 32       // that an argument costs beside its content
	maxCommand       = 16 << 20
	maxArguments     = 1 << 20
	maxArgument      = 2 << 20   // of one argument; commands say what they take
	maxBulk          = 512 << 20 // of one argument, as in Redis: what announces more is no RESP
	reserveWait      = time.Second
	commandTimeout   = 30 * time.Second // until a command must be whole that room is held for
)

// errProtocol is garbage: where the next command begins is not known.
type errProtocol string

func (e errProtocol) Error() string { return "ERR Protocol error: " + string(e) }

// words is a command. One that is refused may lack all of it but a first word, which then may be empty.
type rawCommand struct {
	args    [][]byte
	refused string
}

func newReader(conn net.Conn, room *byteBudget) *reader {
	return &reader{conn: conn, budget: room, buf: make([]byte, minBuffer)}
}

// next gives the next command. Without wait it gives only what is there already and needs no room.
func (r *reader) next(wait bool) (w rawCommand, ok bool, err error) {
	for {
		more, err := r.step(wait)
		switch {
		case err != nil:
			return rawCommand{}, false, err
		case r.argsLeft == 0 && len(r.args) > 0:
			w := rawCommand{r.args, r.refused}
			r.args, r.size, r.refused = nil, 0, ""
			if r.reserved > 0 {
				err = r.conn.SetReadDeadline(time.Time{})
			}
			return w, true, err
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

// release gives back the room of commands that are answered. Unless they were served, the connection keeps its turn.
func (r *reader) release(served bool) {
	if served && r.reserved > 0 {
		r.waitingSince = time.Time{}
	}
	r.budget.release(r.reserved)
	r.reserved = 0
}

// step takes one thing out of the buffer. It reports whether there was one.
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

// keep ends an argument. Of a command that is refused, it remembers only the first one.
func (r *reader) endArgument(arg []byte) {
	r.argsLeft--
	if r.refused != "" {
		r.args = slices.Clone(r.args[:min(len(r.args), 1)])
	}
	if r.refused == "" || len(r.args) == 0 {
		r.args = append(r.args, arg)
	}
}

// line is up to the next line end, without the \n.
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

// length is the number that a line has behind its first byte. Here the line must end as RESP wants it.
func length(line []byte, most int64) (int, bool) {
	digits, ok := bytes.CutSuffix(line[1:], []byte{'\r'})
	n, isNumber := integer(digits)
	return int(n), ok && isNumber && n <= most
}

// begin takes the first line of a command: how many arguments follow, or all of them (an inline command).
func (r *reader) beginCommand(line []byte) error {
	if len(line) > 0 && line[0] == '*' {
		n, ok := length(line, maxArguments)
		if !ok {
			return errProtocol("invalid multibulk length")
		}
		r.argsLeft = max(n, 0) // Redis passes over empty ones, too
		return nil
	}
	args, ok := splitInline(bytes.TrimSuffix(line, []byte{'\r'}))
	if !ok {
		return errProtocol("unbalanced quotes in request")
	}
	r.args = args
	return nil
}

// argument takes the line before an argument: its length.
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
			return false, nil // the commands before are answered first
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

// hold gets room for a command of that size so far, or refuses it. From the first room on the command has commandTimeout to come.
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

// ask gets room, or says why there is none.
func (r *reader) tryReserve(n, size, need int) string {
	if n > maxArgument {
		return fmt.Sprintf("ERR argument is %d bytes long; %d is the most", n, maxArgument)
	}
	if size > maxCommand {
		return fmt.Sprintf("ERR command is longer than %d bytes", maxCommand)
	}
	if r.waitingSince.IsZero() {
		r.waitingSince = time.Now()
	}
	if !r.budget.reserve(need, r.waitingSince) {
		return fmt.Sprintf("OVERLOADED not applied: this node keeps %d bytes of unanswered commands, and no room was left in time", commandBytes)
	}
	return ""
}

// fill reads what is there, at least one byte.
func (r *reader) fill() error {
	if r.start == r.end {
		r.start, r.end = 0, 0
		if left := len(r.arg) - r.argRead; r.arg != nil && left > len(r.buf) {
			n, err := r.conn.Read(r.arg[r.argRead : len(r.arg)-1]) // the last byte comes through the buffer, where step sees it
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
