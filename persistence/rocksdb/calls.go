package rocksdb

import (
	"math"
	"sync/atomic"
)

// calls counts the calls that use an engine, so that Close can wait for them. A call from within another one, in the callback of a scan, is
// refused while Close waits; a read lock would make it wait for Close, which waits for the scan.
type calls struct {
	running atomic.Int64  // running calls; closed is added when no more may begin
	over    chan struct{} // gets an element when the last call has left after that
}

const closed = math.MinInt64

func newCalls() *calls { return &calls{over: make(chan struct{}, 1)} }

// enter begins a call. It reports false after close has begun.
func (c *calls) enter() bool {
	if c.running.Add(1) > 0 {
		return true
	}
	c.leave()
	return false
}

func (c *calls) leave() {
	if c.running.Add(-1) == closed {
		select {
		case c.over <- struct{}{}:
		default: // it was a call that was refused
		}
	}
}

// close refuses all further calls, and waits for those that run. It must be called once.
func (c *calls) close() {
	if c.running.Add(closed) != closed {
		<-c.over
	}
}
