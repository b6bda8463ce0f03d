// Package fairqueue orders callers that wait for a shared resource so that a refused caller keeps its place.
//
// Where there are more callers than the resource can serve in time, the refused callers ask again, and so do the served
// ones. If every new request went to the end of the queue, a refused caller would stand behind the callers that were
// served meanwhile, each time, and some callers would never be served. Therefore a request is ordered by the time at which
// its caller began to wait, and this time survives a refusal: only service ends the wait.
//
// A Session orders the requests that wait for its windows in this way, and the RESP gateway the connections that wait for
// its byte budgets. The package has no clock: times are durations since an origin that the user chooses. Its types are not
// safe for concurrent use.
package fairqueue

import (
	"cmp"
	"slices"
	"time"
)

// Place says since when one caller waits. The zero value is a caller that does not wait.
type Place struct {
	since   time.Duration
	waiting bool
}

// Since is the time at which the caller began to wait: now, unless it waits already.
func (p *Place) Since(now time.Duration) time.Duration {
	if !p.waiting {
		p.since, p.waiting = now, true
	}
	return p.since
}

// Waiting reports whether the caller waits.
func (p *Place) Waiting() bool { return p.waiting }

// Served ends the wait: the caller's next request stands behind all that wait then.
func (p *Place) Served() { *p = Place{} }

// Places keeps the places of callers that have no object of their own in which they could keep them. C is what identifies
// a caller; its zero value identifies nobody, and keeps no place.
type Places[C comparable] struct {
	kept map[C]time.Duration
	max  int
}

// NewPlaces makes a store of at most max places. When it is full it forgets all of them: most belong to callers that never
// came back.
func NewPlaces[C comparable](max int) Places[C] {
	return Places[C]{kept: map[C]time.Duration{}, max: max}
}

// Arrive gives the time at which a caller began to wait: that of its refused request if there was one, else now. The place
// is taken out: Refused puts it back.
func (p Places[C]) Arrive(caller C, now time.Duration) time.Duration {
	since, kept := p.kept[caller]
	if !kept {
		return now
	}
	delete(p.kept, caller)
	return since
}

// Refused keeps the place of a caller whose request was refused.
func (p Places[C]) Refused(caller C, since time.Duration) {
	if caller == *new(C) {
		return
	}
	if len(p.kept) >= p.max {
		clear(p.kept)
	}
	p.kept[caller] = since
}

// Len is the number of places that are kept.
func (p Places[C]) Len() int { return len(p.kept) }

// Queue holds waiting items, the one whose caller began to wait first in front. Items with equal times are in the order in
// which they were pushed. The zero value is an empty queue.
type Queue[T comparable] struct{ entries []entry[T] }

type entry[T comparable] struct {
	since time.Duration
	item  T
}

// Push adds an item whose caller waits since then.
func (q *Queue[T]) Push(since time.Duration, item T) {
	at, _ := slices.BinarySearchFunc(q.entries, since, func(e entry[T], since time.Duration) int {
		return cmp.Or(cmp.Compare(e.since, since), -1)
	})
	q.entries = slices.Insert(q.entries, at, entry[T]{since, item})
}

// Len is the number of items.
func (q *Queue[T]) Len() int { return len(q.entries) }

// First is the item in front. The queue must not be empty.
func (q *Queue[T]) First() T { return q.entries[0].item }

// Pop takes the item in front out. The queue must not be empty.
func (q *Queue[T]) Pop() T {
	e := q.entries[0]
	q.entries[0] = entry[T]{}
	q.entries = q.entries[1:]
	return e.item
}

// Remove takes an item out, and reports whether it was there.
func (q *Queue[T]) Remove(item T) bool {
	at := slices.IndexFunc(q.entries, func(e entry[T]) bool { return e.item == item })
	if at < 0 {
		return false
	}
	q.entries = slices.Delete(q.entries, at, at+1)
	return true
}

// RemoveIf takes out all items for which drop returns true. It calls drop once for each item, from front to back.
func (q *Queue[T]) RemoveIf(drop func(T) bool) {
	q.entries = slices.DeleteFunc(q.entries, func(e entry[T]) bool { return drop(e.item) })
}

// Items are all items, from front to back.
func (q *Queue[T]) Items() []T {
	all := make([]T, len(q.entries))
	for i, e := range q.entries {
		all[i] = e.item
	}
	return all
}
