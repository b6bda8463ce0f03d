package rocksdb

import (
	"math"
	"sync/atomic"
)

// calls are those that use an engine at a moment, so that Close can wait for them. A call from within another one, in the callback
// of a scan, is refused while Close waits. With a lock for reading it would wait for Close, which waits for the scan.
type calls struct {
	running atomic.Int64  // less closed, once there are no more to come
	over    chan struct{} // the last one has left
}

const closed = math.MinInt64

func newCalls() *calls { return &calls{over: make(chan struct{}, 1)} }

// enter begins a call, unless it comes too late.
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
		default: // it was one that came too late
		}
	}
}

// close lets no more calls in, and waits for those that run. It is called once.
func (c *calls) close() {
	if c.running.Add(closed) != closed {
		<-c.over
	}
}
