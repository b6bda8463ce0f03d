package gateway

import (
	"sync"
	"time"

	"github.com/eraft-io/eraft/router/fairqueue"
)

// byteBudget is memory, in bytes, that the connections of a Gateway share. The connection that has waited longest gets its
// bytes first, and no connection that needs less overtakes it; a refused connection keeps its place (see fairqueue). It is
// safe for concurrent use.
type byteBudget struct {
	began time.Time // origin of the queue's times

	mu      sync.Mutex
	free    int // bytes that no connection holds
	waiting fairqueue.Queue[*reservation]
}

// reservation is what one connection waits for.
type reservation struct {
	bytes   int
	granted chan struct{} // closed when the bytes belong to the connection
}

// reserveWait is how long a connection waits for bytes before it is refused.
const reserveWait = time.Second

func newByteBudget(bytes int) *byteBudget { return &byteBudget{began: time.Now(), free: bytes} }

// reserve gets bytes for the connection that waits at a place. It blocks for up to reserveWait, and reports whether the bytes
// were granted. The caller ends the wait, place.Served, when its command was carried out.
func (b *byteBudget) reserve(bytes int, place *fairqueue.Place) bool {
	r := &reservation{bytes, make(chan struct{})}
	b.mu.Lock()
	b.waiting.Push(place.Since(time.Since(b.began)), r)
	b.grant()
	b.mu.Unlock()
	select {
	case <-r.granted:
		return true
	case <-time.After(reserveWait):
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.waiting.Remove(r) {
		return true // granted meanwhile
	}
	b.grant() // reservations behind may need less
	return false
}

// tryReserve gets bytes if they are free and no connection waits. It does not block.
func (b *byteBudget) tryReserve(bytes int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.waiting.Len() > 0 || bytes > b.free {
		return false
	}
	b.free -= bytes
	return true
}

// release gives bytes back.
func (b *byteBudget) release(bytes int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.free += bytes
	b.grant()
}

// grant serves reservations as long as the first fits.
func (b *byteBudget) grant() {
	for b.waiting.Len() > 0 && b.waiting.First().bytes <= b.free {
		r := b.waiting.Pop()
		b.free -= r.bytes
		close(r.granted)
	}
}
