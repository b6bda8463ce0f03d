package main

import (
	"bytes"
	"io"
	"log/slog"
	"os"
	"sync"
	"time"
)

// logs writes log lines to standard error on a goroutine of its own. Actors log, and must not wait for the reader of a pipe that is
// slow, stopped or gone. A line that finds no room, or cannot be written, is lost and counted; the next line that is written says
// how many were lost.
type logs struct {
	to      io.Writer
	handler func(io.Writer) slog.Handler

	mu         sync.Mutex
	buffered   []byte // complete lines, at most logBytes
	writing    bool   // a goroutine runs write
	lost       int    // lines lost and not reported yet
	lostReason string
	idle       chan struct{} // closed when write ends; nil: flush does not wait
}

const (
	logBytes  = 1 << 20     // bytes of lines that wait for the reader
	logsFlush = time.Second // for which a process that ends waits for the reader
)

func newLogs(to io.Writer, format string) *logs {
	l := &logs{to: to, handler: func(w io.Writer) slog.Handler { return slog.NewTextHandler(w, nil) }}
	if format == "json" {
		l.handler = func(w io.Writer) slog.Handler { return slog.NewJSONHandler(w, nil) }
	}
	return l
}

// logger is a logger that writes here.
func (l *logs) logger() *slog.Logger { return slog.New(l.handler(l)) }

// Write takes one line. It never blocks and never fails.
func (l *logs) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.buffered)+len(line) > logBytes {
		l.lost, l.lostReason = l.lost+1, "they are not read"
		return len(line), nil
	}
	l.buffered = append(l.buffered, line...)
	if !l.writing {
		l.writing = true
		go l.write()
	}
	return len(line), nil
}

// write writes lines until none are left.
func (l *logs) write() {
	for lines, lost, why := l.take(); lines != nil; lines, lost, why = l.take() {
		text := lines
		if lost > 0 {
			var notice bytes.Buffer
			slog.New(l.handler(&notice)).Warn("log lines lost", "count", lost, "because", why)
			text = append(notice.Bytes(), lines...)
		}
		if _, err := l.to.Write(text); err != nil {
			l.mu.Lock()
			l.lost, l.lostReason = l.lost+lost+bytes.Count(lines, []byte("\n")), err.Error()
			l.mu.Unlock()
		}
	}
}

// take gives the buffered lines, and how many were lost before them; nil: there are none, and write ends.
func (l *logs) take() (lines []byte, lost int, why string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if lines = l.buffered; len(lines) > 0 {
		lost, why = l.lost, l.lostReason
		l.buffered, l.lost = nil, 0
		return lines, lost, why
	}
	l.writing = false
	if l.idle != nil {
		close(l.idle)
		l.idle = nil
	}
	return nil, 0, ""
}

// flush waits until all lines are written, for up to wait.
func (l *logs) flush(wait time.Duration) {
	l.mu.Lock()
	if !l.writing {
		l.mu.Unlock()
		return
	}
	if l.idle == nil {
		l.idle = make(chan struct{})
	}
	idle := l.idle
	l.mu.Unlock()
	select {
	case <-idle:
	case <-time.After(wait):
	}
}

// printError writes a text to standard error, and waits for its reader no longer than logsFlush.
func printError(text string) {
	written := make(chan struct{})
	go func() {
		_, _ = io.WriteString(os.Stderr, text) // there is nowhere else to report it
		close(written)
	}()
	select {
	case <-written:
	case <-time.After(logsFlush):
	}
}
