package gateway

import (
	"errors"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/tidwall/redcon"
)

// writer writes replies to a client. It writes large values directly to the socket: gathering them would copy each.
type writer struct {
	*redcon.Writer
	out   *deadlineWriter
	resp3 bool // protocol of the current reply
}

const (
	directWriteBytes    = 16 << 10
	flushBytes          = 64 << 10 // bytes of gathered replies, which are flushed before others are written
	writeChunk          = 256 << 10
	defaultWriteTimeout = 10 * time.Second // for a client to take writeChunk bytes
)

func newWriter(conn net.Conn, wait time.Duration) *writer {
	out := &deadlineWriter{conn: conn, wait: wait}
	return &writer{Writer: redcon.NewWriter(out), out: out}
}

// WriteBulk writes a value.
func (w *writer) WriteBulk(value []byte) {
	if len(value) < directWriteBytes {
		w.Writer.WriteBulk(value)
		return
	}
	w.WriteRaw(append(strconv.AppendInt([]byte{'$'}, int64(len(value)), 10), '\r', '\n'))
	if w.Flush() == nil {
		_, _ = w.out.Write(value) // the next write returns the same error
	}
	w.WriteRaw([]byte("\r\n"))
}

// WriteNull writes that there is no value.
func (w *writer) WriteNull() {
	if w.resp3 {
		w.WriteRaw([]byte("_\r\n"))
	} else {
		w.Writer.WriteNull()
	}
}

// WriteMap begins a map of so many pairs.
func (w *writer) WriteMap(pairs int) {
	if w.resp3 {
		w.header('%', pairs)
	} else {
		w.WriteArray(2 * pairs)
	}
}

// WriteSet begins a set.
func (w *writer) WriteSet(n int) {
	if w.resp3 {
		w.header('~', n)
	} else {
		w.WriteArray(n)
	}
}

func (w *writer) header(kind byte, n int) {
	w.WriteRaw(append(strconv.AppendInt([]byte{kind}, int64(n), 10), '\r', '\n'))
}

// WriteWords writes a set of simple strings.
func (w *writer) WriteWords(words []string) {
	w.WriteSet(len(words))
	for _, word := range words {
		w.WriteString(word)
	}
}

// WriteText writes text for people.
func (w *writer) WriteText(text string) {
	if !w.resp3 {
		w.WriteBulkString(text)
		return
	}
	const kind = "txt:"
	w.header('=', len(kind)+len(text))
	w.WriteRaw([]byte(kind + text + "\r\n"))
}

// pair is an element of a map. Its value is a string, an int, or nil for an empty array.
type pair struct {
	key   string
	value any
}

// WritePairs writes a map.
func (w *writer) WritePairs(pairs ...pair) {
	w.WriteMap(len(pairs))
	for _, p := range pairs {
		w.WriteBulkString(p.key)
		switch value := p.value.(type) {
		case int:
			w.WriteInt(value)
		case string:
			w.WriteBulkString(value)
		default:
			w.WriteArray(0)
		}
	}
}

// deadlineWriter writes to a socket with a deadline: a client that takes less than writeChunk bytes in its time is given up, since the
// memory kept for it is missing for others.
type deadlineWriter struct {
	conn net.Conn
	wait time.Duration
	err  error // the first error; nothing more is written after it
}

// Write implements io.Writer.
func (d *deadlineWriter) Write(p []byte) (n int, err error) {
	for n < len(p) && d.err == nil {
		wrote := 0
		if d.err = d.conn.SetWriteDeadline(time.Now().Add(d.wait)); d.err == nil {
			wrote, d.err = d.conn.Write(p[n:min(n+writeChunk, len(p))])
		}
		n += wrote
	}
	return n, d.err
}

// stalled reports whether the client did not read in time.
func (d *deadlineWriter) stalled() bool { return errors.Is(d.err, os.ErrDeadlineExceeded) }
