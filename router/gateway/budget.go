package gateway

import (
	"slices"
	"sync"
	"time"
)

// room is the bytes that the connections of a Gateway share. Who has waited longest gets some first. A connection that was
// refused and asks again has waited since its first try: it would otherwise stand behind those that were served meanwhile
// and ask again, every time.
type byteBudget struct {
	mu      sync.Mutex
	free    int
	waiting []*reservation
}

// claim is what one connection waits for.
type reservation struct {
	bytes        int
	waitingSince time.Time
	granted      chan struct{} // closed when the bytes are the claimant's
}

// take gets bytes for a connection that has waited since then. It reports whether there was room in time.
func (r *byteBudget) reserve(bytes int, since time.Time) bool {
	c := &reservation{bytes, since, make(chan struct{})}
	r.mu.Lock()
	behind := slices.IndexFunc(r.waiting, func(other *reservation) bool { return other.waitingSince.After(since) })
	if behind < 0 {
		behind = len(r.waiting)
	}
	r.waiting = slices.Insert(r.waiting, behind, c)
	r.grant()
	r.mu.Unlock()
	select {
	case <-c.granted:
		return true
	case <-time.After(reserveWait):
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	at := slices.Index(r.waiting, c)
	if at < 0 {
		return true // just now
	}
	r.waiting = slices.Delete(r.waiting, at, at+1)
	r.grant() // those behind may need less
	return false
}

// try gets bytes if they are there and nobody waits for them.
func (r *byteBudget) tryReserve(bytes int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.waiting) > 0 || bytes > r.free {
		return false
	}
	r.free -= bytes
	return true
}

// give gives bytes back.
func (r *byteBudget) release(bytes int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.free += bytes
	r.grant()
}

// admit serves claims as long as there is room for the first.
func (r *byteBudget) grant() {
	for len(r.waiting) > 0 && r.waiting[0].bytes <= r.free {
		r.free -= r.waiting[0].bytes
		close(r.waiting[0].granted)
		r.waiting = slices.Delete(r.waiting, 0, 1)
	}
}
