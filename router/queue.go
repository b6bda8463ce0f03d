package router

import (
	"cmp"
	"slices"
	"time"
)

// queue is the requests that wait for the window. Those whose callers have waited longest come first.
//
// Where there are more callers than can be served in time, those who are refused ask again, and so do those who were served.
// If both stood in line anew, the former would do so behind the latter, every time, and some would never be served. So
// who is refused keeps its turn: its next request counts as waiting since the first that was refused.
type admissionQueue struct {
	waiting  []*request
	since    map[<-chan struct{}]time.Duration // of callers that were refused: since when they wait
	maxSince int                               // turns that are kept
}

// arrive notes since when the caller of a request waits. Calls with the same Gone are one caller's, nil is nobody's.
func (q *admissionQueue) arrive(p *request, now time.Duration) {
	p.waitingSince = now
	if since, kept := q.since[p.cancel]; kept {
		p.waitingSince = since
		delete(q.since, p.cancel)
	}
}

// refused keeps the turn of a request's caller.
func (q *admissionQueue) refused(p *request) {
	if p.cancel == nil {
		return
	}
	if len(q.since) >= q.maxSince {
		clear(q.since) // most of them never came back
	}
	q.since[p.cancel] = p.waitingSince
}

// push lets a request wait, behind those whose callers have waited as long.
func (q *admissionQueue) push(p *request) {
	at, _ := slices.BinarySearchFunc(q.waiting, p, func(other, p *request) int {
		return cmp.Or(cmp.Compare(other.waitingSince, p.waitingSince), -1)
	})
	q.waiting = slices.Insert(q.waiting, at, p)
}

// pop takes the first request out.
func (q *admissionQueue) pop() *request {
	p := q.waiting[0]
	q.waiting[0] = nil
	q.waiting = q.waiting[1:]
	return p
}
