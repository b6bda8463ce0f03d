package main

import (
	"errors"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// reader is what reads the log, or does not.
type reader struct {
	blocked chan struct{} // closed: it reads
	fails   error
	read    strings.Builder
}

func (r *reader) Write(p []byte) (int, error) {
	<-r.blocked
	if r.fails != nil {
		return 0, r.fails
	}
	return r.read.Write(p)
}

// A component that logs never waits for a reader that does not read; lost lines are counted, and reported when they are read again.
func TestLogsDoNotWaitForTheirReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &reader{blocked: make(chan struct{})}
		l := newLogs(r, "text")
		logger, line := l.logger(), strings.Repeat("x", 1000)
		const lines = 3 * logBytes / 1000
		for range lines {
			logger.Info(line)
		}
		l.flush(time.Second) // nobody reads: it gives up
		require.Empty(t, r.read.String())
		close(r.blocked)
		synctest.Wait()
		written := strings.Count(r.read.String(), line)
		require.Less(t, written*1000, 2*logBytes, "what waits is bounded, beside the one write that is under way")
		logger.Info("again")
		synctest.Wait()
		require.Contains(t, r.read.String(), "msg=again")
		require.Contains(t, r.read.String(), "level=WARN msg=\"log lines lost\" count="+strconv.Itoa(lines-written)+" because=\"they are not read\"")
	})
}

// A reader that has gone costs the lines, not the process; they are reported when there is another reader.
func TestLogsWithoutAReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &reader{blocked: make(chan struct{}), fails: errors.New("broken pipe")}
		close(r.blocked)
		l := newLogs(r, "json")
		for range 3 {
			l.logger().Info("nobody reads it")
			synctest.Wait()
		}
		r.fails = nil
		l.logger().Info("somebody does")
		l.flush(time.Second)
		require.Contains(t, r.read.String(), `"msg":"log lines lost","count":3,"because":"broken pipe"`)
		require.Contains(t, r.read.String(), `"msg":"somebody does"`)
	})
}
