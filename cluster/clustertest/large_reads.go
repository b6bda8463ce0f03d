package clustertest

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"time"

	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/router"
)

// largeReader is a client that reads large values, many at once, in one of eight runs. It has room for a few of them: most of its
// reads learn how large the answer is, wait for room, and ask again. It also scans its keys, as SCAN does whose pages come from
// different nodes: it carries nothing but a cursor.
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
	largePages    = 10_000 // of a scan, in which it is over or will never be
)

func (s *Simulation) startLargeReader(until time.Duration) *largeReader {
	l := &largeReader{s: s, rng: s.random(9), until: until, filled: map[string]bool{}}
	if l.rng.IntN(largeReaderIn) > 0 {
		return l
	}
	l.keys, l.size = 1+l.rng.IntN(6), 5<<10+l.rng.IntN(20<<10)
	if rate := s.slowestCopyRate(); l.keys*l.size > 4*rate { // what travels so slowly would not have arrived when everything should have healed
		l.keys = 0
		return l
	}
	l.c = s.client(router.Options{Name: "large", ReplyWindow: l.size + l.rng.IntN(4*l.size)})
	for i := range l.keys {
		l.fill(fmt.Sprintf("{large}-%d", i))
	}
	for range largeAtOnce {
		l.later(l.read)
	}
	l.later(l.scan)
	return l
}

// slowest is the bytes in a second at which snapshots and buckets travel.
func (s *Simulation) slowestCopyRate() int {
	rate := s.o.Limits.WithDefaults().SnapshotRate
	if given := s.o.Migration.BytesPerSecond; given > 0 {
		rate = min(rate, given)
	}
	return rate
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
	key := fmt.Sprintf("{large}-%d", l.rng.IntN(l.keys))
	l.get(key, messages.ReadFrom(l.rng.IntN(2)), func(*messages.Reply) { l.later(l.read) })
}

func (l *largeReader) get(key string, from messages.ReadFrom, then func(*messages.Reply)) {
	filled := l.filled[key]
	l.open++
	l.c.Ask(&messages.Get{Key: []byte(key), From: from}, router.DefaultTimeout, func(r *messages.Reply) {
		l.open--
		if r.Code == messages.Code_OK && (r.Found || filled) && !bytes.Equal(r.Value, l.content(key)) {
			l.s.Oracle.violated("Large values", "%s has %d bytes that were never written", key, len(r.Value))
		}
		then(r)
	})
}

func (l *largeReader) readUntilAnswered(key string) {
	l.get(key, messages.ReadFrom_LEADER, func(r *messages.Reply) {
		switch r.Code {
		case messages.Code_OK:
		case messages.Code_OVERLOADED:
			l.readUntilAnswered(key)
		default:
			l.s.Oracle.violated("Liveness", "%s cannot be read after everything has healed: %v %s", key, r.Code, r.Text)
		}
	})
}

// readAll reads, all at once, what was written: when everything has healed each answer comes. A session that has no room for
// an answer says that it is to be asked again, which is right as long as a disk still does what it began before it was healed.
func (l *largeReader) readAll() {
	for key := range l.keys {
		if key := fmt.Sprintf("{large}-%d", key); l.filled[key] {
			l.readUntilAnswered(key)
		}
	}
	if !l.s.runUntil(l.over, healTime) {
		l.s.Oracle.violated("Liveness", "a large value gets no answer after everything has healed")
	}
}

// scan sees every key that was there when it began.
func (l *largeReader) scan() { l.page(l.from(0, 0), maps.Clone(l.filled), largePages) }

// from is a walk that goes on at a cursor.
func (l *largeReader) from(bucket uint32, cursor uint64) *router.KeyspaceIterator {
	return &router.KeyspaceIterator{Bucket: bucket, Cursor: cursor, PageSize: 1 + l.rng.IntN(3), Projection: messages.Scan_KEYS, Match: []byte("{large}-*")}
}

// page takes the next page of a scan, which then goes on with its cursor alone.
func (l *largeReader) page(w *router.KeyspaceIterator, missing map[string]bool, left int) {
	if left == 0 {
		l.s.Oracle.violated("Scan cursors", "a scan is not over after %d pages", largePages)
		return
	}
	l.open++
	l.c.Ask(w.Next()[0], router.DefaultTimeout, func(r *messages.Reply) {
		l.open--
		if r.Code == messages.Code_INVALID {
			l.s.Oracle.violated("Scan cursors", "bucket %d, cursor %d: %s", w.Bucket, w.Cursor, r.Text)
			return
		}
		items, err := w.Advance([]*messages.Reply{r})
		for _, item := range items {
			delete(missing, string(item.Key))
		}
		next := w
		switch over := w.Next() == nil; {
		case over && len(missing) > 0:
			l.s.Oracle.violated("Scan cursors", "a scan has not seen %d of the keys that were there when it began", len(missing))
			return
		case over:
			l.later(l.scan)
			return
		case err == nil && !r.GetPage().GetSeeking():
			next = l.from(w.Bucket, w.Cursor)
		}
		l.later(func() { l.page(next, missing, left-1) })
	})
}
