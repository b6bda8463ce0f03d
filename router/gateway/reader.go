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
	conn     net.Conn
	room     *room // of all connections
	buf      []byte
	from, to int // what of buf is not taken yet

	args    [][]byte // of the command under way
	want    int      // how many are still to come
	size    int      // of all that were announced, with what it costs to keep them
	body    []byte   // the argument under way, with the line end behind it; nil: none
	got     int      // of it
	skip    int      // bytes still to come of an argument that is not kept
	refused string   // why the command under way will not be carried out
	held    int      // of room: by one command, since those that ask for it are not taken along with others

	since time.Time // when the connection began to wait for room; zero: its last large command was served
}

const (
	lowBuffer  = 4 << 10  // of a connection,
	highBuffer = 64 << 10 // and of one on which more comes than fits
	roomBytes  = 16 << 20
	freeBytes  = 16 << 10 // of each command, for which no room is asked
	wordBytes  = 32       // that an argument costs beside its content
	maxCommand = 16 << 20
	maxWords   = 1 << 20
	maxKept    = 2 << 20   // of one argument; commands say what they take
	maxBulk    = 512 << 20 // of one argument, as in Redis: what announces more is no RESP
	roomWait   = time.Second
	bodyWait   = 30 * time.Second // until a command must be whole that room is held for
)

// errProtocol is garbage: where the next command begins is not known.
type errProtocol string

func (e errProtocol) Error() string { return "ERR Protocol error: " + string(e) }

// words is a command. One that is refused may lack all of it but a first word, which then may be empty.
type words struct {
	args    [][]byte
	refused string
}

func newReader(conn net.Conn, room *room) *reader {
	return &reader{conn: conn, room: room, buf: make([]byte, lowBuffer)}
}

// next gives the next command. Without wait it gives only what is there already and needs no room.
func (r *reader) next(wait bool) (w words, ok bool, err error) {
	for {
		more, err := r.step(wait)
		switch {
		case err != nil:
			return words{}, false, err
		case r.want == 0 && len(r.args) > 0:
			w := words{r.args, r.refused}
			r.args, r.size, r.refused = nil, 0, ""
			if r.held > 0 {
				err = r.conn.SetReadDeadline(time.Time{})
			}
			return w, true, err
		case more:
		case !wait:
			return words{}, false, nil
		default:
			if err := r.fill(); err != nil {
				return words{}, false, err
			}
		}
	}
}

// release gives back the room of commands that are answered. Unless they were served, the connection keeps its turn.
func (r *reader) release(served bool) {
	if served && r.held > 0 {
		r.since = time.Time{}
	}
	r.room.give(r.held)
	r.held = 0
}

// step takes one thing out of the buffer. It reports whether there was one.
func (r *reader) step(wait bool) (bool, error) {
	have := r.to - r.from
	switch {
	case r.skip > 0:
		n := min(r.skip, have)
		r.from, r.skip = r.from+n, r.skip-n
		if n > 0 && r.skip == 0 {
			r.keep(nil)
		}
		return n > 0, nil
	case r.body != nil:
		n := copy(r.body[r.got:], r.buf[r.from:r.to])
		r.from, r.got = r.from+n, r.got+n
		if r.got < len(r.body) {
			return n > 0, nil
		}
		end := len(r.body) - 2
		if string(r.body[end:]) != "\r\n" {
			return false, errProtocol("expected CRLF behind an argument")
		}
		r.keep(r.body[:end:end])
		r.body = nil
		return true, nil
	}
	before := r.from
	line, ok, err := r.line()
	switch {
	case !ok || err != nil:
		return false, err
	case r.want == 0:
		return true, r.begin(line)
	}
	taken, err := r.argument(line, wait)
	if !taken {
		r.from = before
	}
	return taken, err
}

// keep ends an argument. Of a command that is refused, it remembers only the first one.
func (r *reader) keep(arg []byte) {
	r.want--
	if r.refused != "" {
		r.args = slices.Clone(r.args[:min(len(r.args), 1)])
	}
	if r.refused == "" || len(r.args) == 0 {
		r.args = append(r.args, arg)
	}
}

// line is up to the next line end, without the \n.
func (r *reader) line() (line []byte, ok bool, err error) {
	end := bytes.IndexByte(r.buf[r.from:r.to], '\n')
	switch {
	case end >= 0:
		line = r.buf[r.from : r.from+end]
		r.from += end + 1
		return line, true, nil
	case r.to-r.from < highBuffer:
		return nil, false, nil
	case r.want > 0:
		return nil, false, errProtocol("too big bulk count string")
	case r.buf[r.from] == '*':
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
func (r *reader) begin(line []byte) error {
	if len(line) > 0 && line[0] == '*' {
		n, ok := length(line, maxWords)
		if !ok {
			return errProtocol("invalid multibulk length")
		}
		r.want = max(n, 0) // Redis passes over empty ones, too
		return nil
	}
	args, ok := split(bytes.TrimSuffix(line, []byte{'\r'}))
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
	size := r.size + n + wordBytes
	if size > freeBytes && r.refused == "" {
		if !wait {
			return false, nil // the commands before are answered first
		}
		if err := r.hold(n, size); err != nil {
			return false, err
		}
	}
	if r.size = size; r.refused != "" {
		r.skip = n + 2
		return true, nil
	}
	r.body, r.got = make([]byte, n+2), 0
	return true, nil
}

// hold gets room for a command of that size so far, or refuses it. From the first room on the command has bodyWait to come.
func (r *reader) hold(n, size int) error {
	need := size - freeBytes - r.held
	if r.refused = r.ask(n, size, need); r.refused != "" {
		return nil
	}
	first := r.held == 0
	if r.held += need; !first {
		return nil
	}
	return r.conn.SetReadDeadline(time.Now().Add(bodyWait))
}

// ask gets room, or says why there is none.
func (r *reader) ask(n, size, need int) string {
	if n > maxKept {
		return fmt.Sprintf("ERR argument is %d bytes long; %d is the most", n, maxKept)
	}
	if size > maxCommand {
		return fmt.Sprintf("ERR command is longer than %d bytes", maxCommand)
	}
	if r.since.IsZero() {
		r.since = time.Now()
	}
	if !r.room.take(need, r.since) {
		return fmt.Sprintf("OVERLOADED not applied: this node keeps %d bytes of unanswered commands, and no room was left in time", roomBytes)
	}
	return ""
}

// fill reads what is there, at least one byte.
func (r *reader) fill() error {
	if r.from == r.to {
		r.from, r.to = 0, 0
		if left := len(r.body) - r.got; r.body != nil && left > len(r.buf) {
			n, err := r.conn.Read(r.body[r.got : len(r.body)-1]) // the last byte comes through the buffer, where step sees it
			r.got += n
			return err
		}
	}
	if r.from > 0 {
		r.to = copy(r.buf, r.buf[r.from:r.to])
		r.from = 0
	}
	n, err := r.conn.Read(r.buf[r.to:])
	if r.to += n; r.to == len(r.buf) && len(r.buf) < highBuffer {
		r.buf = append(r.buf, make([]byte, len(r.buf))...)
	}
	return err
}
