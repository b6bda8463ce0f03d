package gateway

import (
	"errors"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/tidwall/redcon"
)

// writer writes answers to a client. Large values go to the socket as they are: to gather them would take a copy of each.
type writer struct {
	*redcon.Writer
	out *drain
}

const (
	directBytes = 16 << 10
	flushBytes  = 64 << 10 // of gathered answers, which leave before the others are written
	drainBytes  = 256 << 10
	drainWait   = 10 * time.Second // for a client to take drainBytes
)

func newWriter(conn net.Conn, wait time.Duration) *writer {
	out := &drain{conn: conn, wait: wait}
	return &writer{redcon.NewWriter(out), out}
}

// WriteBulk writes a value.
func (w *writer) WriteBulk(value []byte) {
	if len(value) < directBytes {
		w.Writer.WriteBulk(value)
		return
	}
	w.WriteRaw(append(strconv.AppendInt([]byte{'$'}, int64(len(value)), 10), '\r', '\n'))
	if w.Flush() == nil {
		_, _ = w.out.Write(value) // an error comes again with the next write
	}
	w.WriteRaw([]byte("\r\n"))
}

// drain is a socket that a client reads. One that takes less than drainBytes in its time is not waited for any longer: what
// is kept for it is missing to others.
type drain struct {
	conn net.Conn
	wait time.Duration
	err  error // nothing more is written
}

// Write implements io.Writer.
func (d *drain) Write(p []byte) (n int, err error) {
	for n < len(p) && d.err == nil {
		wrote := 0
		if d.err = d.conn.SetWriteDeadline(time.Now().Add(d.wait)); d.err == nil {
			wrote, d.err = d.conn.Write(p[n:min(n+drainBytes, len(p))])
		}
		n += wrote
	}
	return n, d.err
}

// stalled tells that the client did not read.
func (d *drain) stalled() bool { return errors.Is(d.err, os.ErrDeadlineExceeded) }
