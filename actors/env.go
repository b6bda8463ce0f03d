package actors

import (
	"hash/fnv"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/eraft-io/eraft/messages"
)

// Env is everything that actors may use besides messages. Production and simulation differ only here.
type Env struct {
	Clock  Clock
	Rand   func(name string) *rand.Rand // a stream of its own for each name, so that what one actor draws does not change what another draws
	Events func(Event)                  // must not block; called on the actor's goroutine
	Fatal  func(error)                  // the node must stop now: an invariant is broken or the disk failed. May be called more than once

	// Superseded hears that others know of a later boot of this node than this one; optional. May be called more than once.
	Superseded func(by messages.Epoch)
}

// Clock is time as actors see it.
type Clock interface {
	// Now is monotonic time since an arbitrary start.
	Now() time.Duration
	// Wall is the time of day; only for stamps of log time and for what people read.
	Wall() time.Time
	// After calls send once after d unless cancelled. send must do nothing but send a message.
	After(d time.Duration, send func()) (cancel func())
}

// Event is something that operators may want to know: a plain struct with exported fields, such as LeaderChanged. EventName is stable: it is
// the log message and the label of the metric.
type Event interface{ EventName() string }

// SystemClock is the machine's clock.
type SystemClock struct{ start time.Time }

// NewSystemClock starts a clock at zero.
func NewSystemClock() *SystemClock { return &SystemClock{start: time.Now()} }

func (c *SystemClock) Now() time.Duration { return time.Since(c.start) }
func (c *SystemClock) Wall() time.Time    { return time.Now() }
func (c *SystemClock) After(d time.Duration, send func()) func() {
	t := time.AfterFunc(d, send)
	return func() { t.Stop() }
}

// SeededRand returns, for each name, a stream that depends only on the seed, the name, and how often the name was asked for: an actor that is
// spawned again at the same path must not draw the identities of requests again that the one before has drawn.
func SeededRand(seed uint64) func(name string) *rand.Rand {
	var mu sync.Mutex
	asked := map[string]uint64{}
	return func(name string) *rand.Rand {
		mu.Lock()
		nth := asked[name]
		asked[name]++
		mu.Unlock()
		h := fnv.New64a()
		h.Write([]byte(name))
		return rand.New(rand.NewPCG(seed, h.Sum64()+nth*0x9E3779B97F4A7C15))
	}
}
