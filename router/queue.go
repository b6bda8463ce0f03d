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
type queue struct {
	waiting []*pending
	turns   map[<-chan struct{}]time.Duration // of callers that were refused: since when they wait
	most    int                               // turns that are kept
}

// arrive notes since when the caller of a request waits. Calls with the same Gone are one caller's, nil is nobody's.
func (q *queue) arrive(p *pending, now time.Duration) {
	p.wanted = now
	if since, kept := q.turns[p.gone]; kept {
		p.wanted = since
		delete(q.turns, p.gone)
	}
}

// refused keeps the turn of a request's caller.
func (q *queue) refused(p *pending) {
	if p.gone == nil {
		return
	}
	if len(q.turns) >= q.most {
		clear(q.turns) // most of them never came back
	}
	q.turns[p.gone] = p.wanted
}

// push lets a request wait, behind those whose callers have waited as long.
func (q *queue) push(p *pending) {
	at, _ := slices.BinarySearchFunc(q.waiting, p, func(other, p *pending) int {
		return cmp.Or(cmp.Compare(other.wanted, p.wanted), -1)
	})
	q.waiting = slices.Insert(q.waiting, at, p)
}

// pop takes the first request out.
func (q *queue) pop() *pending {
	p := q.waiting[0]
	q.waiting[0] = nil
	q.waiting = q.waiting[1:]
	return p
}
