package actors

import (
	"hash/fnv"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/eraft-io/eraft/messages"
)

// Env is all that actors may know of the world outside their messages. Production and simulation differ only here.
type Env struct {
	Clock  Clock
	Rand   func(name string) *rand.Rand // a source of its own per name, so that one actor's draws never shift another's
	Events func(Event)                  // must not block; called on the actor's goroutine
	Fatal  func(error)                  // the node must stop now: a rule was broken or the disk failed. May be called more than once

	// Superseded hears that others know of a later boot of this node than this one; optional. May be called more than once.
	Superseded func(by messages.Epoch)
}

// Clock is time as actors see it.
type Clock interface {
	// Now is monotonic time since an arbitrary start.
	Now() time.Duration
	// Wall is the time of day; only for log time stamps and people.
	Wall() time.Time
	// After calls send once after d unless cancelled. send must do nothing but send a message.
	After(d time.Duration, send func()) (cancel func())
}

// Event is a fact worth telling: a plain struct with exported fields, such as LeaderChanged.
// Name is stable and becomes the log message and the metric label.
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

// SeededRand gives every name a source that depends only on seed and name, and on how often that name was asked for: an actor
// that is made anew at the same path must not draw again what names questions of the one before.
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
