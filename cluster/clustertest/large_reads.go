package clustertest

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/router"
)

// largeReader is a client that reads large values, many at once, in one of eight runs. It has room for a few of them: most of its
// reads learn how large the answer is, wait for room, and ask again.
type largeReader struct {
	s      *Simulation
	c      *Client
	rng    *rand.Rand
	until  time.Duration
	keys   int
	size   int // of a value
	filled map[string]bool
	open   int // asked and not answered
}

const (
	largeReaderIn = 8
	largeAtOnce   = 12
	largePause    = 100 * time.Millisecond
)

func (s *Simulation) readLarge(until time.Duration) *largeReader {
	l := &largeReader{s: s, rng: s.source(9), until: until, filled: map[string]bool{}}
	if l.rng.IntN(largeReaderIn) > 0 {
		return l
	}
	l.keys, l.size = 1+l.rng.IntN(6), 5<<10+l.rng.IntN(20<<10)
	l.c = s.client(router.Options{Name: "large", Answers: l.size + l.rng.IntN(4*l.size)})
	for i := range l.keys {
		l.fill(fmt.Sprintf("large-%d", i))
	}
	for range largeAtOnce {
		l.later(l.read)
	}
	return l
}

func (l *largeReader) over() bool { return l.open == 0 }

// later does something after a pause, unless the time is over.
func (l *largeReader) later(do func()) {
	l.s.At(l.s.Now()+time.Duration(l.rng.Int64N(int64(2*largePause))), func() {
		if l.s.Now() < l.until {
			do()
		}
	})
}

// content of a key is the same for ever, so whoever reads it knows what to expect.
func (l *largeReader) content(key string) []byte { return bytes.Repeat([]byte(key), l.size/len(key)) }

// fill writes a key, and again until it is known to be written.
func (l *largeReader) fill(key string) {
	l.open++
	l.c.Ask(&messages.Put{Key: []byte(key), Value: l.content(key)}, router.DefaultTimeout, func(r *messages.Reply) {
		l.open--
		if r.Code == messages.Code_OK {
			l.filled[key] = true
			return
		}
		l.later(func() { l.fill(key) })
	})
}

func (l *largeReader) read() {
	key := fmt.Sprintf("large-%d", l.rng.IntN(l.keys))
	l.get(key, messages.ReadFrom(l.rng.IntN(2)), func(*messages.Reply) { l.later(l.read) })
}

func (l *largeReader) get(key string, from messages.ReadFrom, then func(*messages.Reply)) {
	filled := l.filled[key]
	l.open++
	l.c.Ask(&messages.Get{Key: []byte(key), From: from}, router.DefaultTimeout, func(r *messages.Reply) {
		l.open--
		if r.Code == messages.Code_OK && (r.Found || filled) && !bytes.Equal(r.Value, l.content(key)) {
			l.s.Oracle.violated("Large answers", "%s has %d bytes that were never written", key, len(r.Value))
		}
		then(r)
	})
}

// readAll reads, all at once, what was written: when everything has healed each answer comes.
func (l *largeReader) readAll() {
	for key := range l.keys {
		if key := fmt.Sprintf("large-%d", key); l.filled[key] {
			l.get(key, messages.ReadFrom_LEADER, func(r *messages.Reply) {
				if r.Code != messages.Code_OK {
					l.s.Oracle.violated("Liveness", "%s cannot be read after everything has healed: %v %s", key, r.Code, r.Text)
				}
			})
		}
	}
	if !l.s.until(l.over, healing) {
		l.s.Oracle.violated("Liveness", "a large value gets no answer after everything has healed")
	}
}
