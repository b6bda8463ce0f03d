package raftactor

import (
	"slices"

	"github.com/eraft-io/eraft/messages"
)

// waiter is who waits for the commands of one log entry: the first recipients' commands come first in the entry.
type waiter struct {
	index, term uint64
	bytes       int            // of data
	data        messages.Block // what the entry has
	count       int
	spans       []span
}

type span struct {
	to    recipient
	count int
}

// recipient of the i-th command's reply. A nil waiter has none.
func (w *waiter) recipient(i int) (recipient, bool) {
	if w == nil {
		return recipient{}, false
	}
	for _, s := range w.spans {
		if i < s.count {
			return s.to, s.to.id != ""
		}
		i -= s.count
	}
	return recipient{}, false
}

func (w *waiter) add(to recipient, command []byte) {
	w.data = w.data.Append(command)
	w.bytes = len(w.data)
	w.count++
	if n := len(w.spans); n > 0 && w.spans[n-1].to == to {
		w.spans[n-1].count++
		return
	}
	w.spans = append(w.spans, span{to, 1})
}

// refuse answers every command of the entry with the same reason.
func (w *waiter) refuse(answers *outbox, why *messages.Error) {
	for i, command := range w.data.Commands() {
		if to, ok := w.recipient(i); ok {
			answers.refuse(to, command, why)
		}
	}
}

// waiting is the leader's queue of waiters, in log order, and the bytes of what is proposed but not yet applied here.
type waiting struct {
	queue   []*waiter
	pending []*waiter // proposed and not yet applied
	bytes   int
}

func (q *waiting) push(w *waiter) {
	q.queue = append(q.queue, w)
	q.pending = append(q.pending, w)
	q.bytes += w.bytes
}

// applied gives the bytes of entries up to index back.
func (q *waiting) applied(index uint64) {
	for len(q.pending) > 0 && q.pending[0].index <= index {
		q.bytes -= q.pending[0].bytes
		q.pending[0] = nil // its data may be large
		q.pending = q.pending[1:]
	}
}

// named is a command's name for ever.
type named struct{ session, seq uint64 }

// names are the commands on their way: whoever sends one of them again waits for its answer already.
func (q *waiting) names(gathered *waiter) map[named]bool {
	names := map[named]bool{}
	for _, w := range append(slices.Clip(q.pending), gathered) {
		if w == nil {
			continue
		}
		for _, command := range w.data.Commands() {
			session, seq := messages.Ident(command)
			names[named{session, seq}] = true
		}
	}
	return names
}

// take gives the waiters of committed entries, one per entry, nil where none waits. Waiters whose index was
// filled by another leader's entry are lost: their commands are not in the log and never will be.
func (q *waiting) take(entries []*messages.Entry) (of []*waiter, lost []*waiter) {
	of = make([]*waiter, len(entries))
	for i, entry := range entries {
		for len(q.queue) > 0 && q.queue[0].index <= entry.Index {
			w := q.queue[0]
			q.queue[0] = nil
			q.queue = q.queue[1:]
			if w.index == entry.Index && w.term == entry.Term {
				of[i] = w
			} else {
				lost = append(lost, w)
			}
		}
	}
	return of, lost
}

// drop gives up all that is not committed yet: this replica leads no more.
func (q *waiting) drop() []*waiter {
	dropped := q.queue
	*q = waiting{}
	return dropped
}
