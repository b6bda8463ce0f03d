package raftactor

import (
	"slices"

	"github.com/eraft-io/eraft/messages"
)

// proposal is one log entry of a leader, and the sessions that wait for the replies to its commands, in the order of the commands.
type proposal struct {
	index, term uint64
	bytes       int            // of data
	data        messages.Block // the commands
	count       int            // of commands
	spans       []span         // consecutive commands of one session
}

type span struct {
	to    recipient
	count int
}

// recipient is the session that gets the reply to the i-th command; false: none does, as with a nil proposal.
func (w *proposal) recipient(i int) (recipient, bool) {
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

func (w *proposal) add(to recipient, command []byte) {
	w.data = w.data.Append(command)
	w.bytes = len(w.data)
	w.count++
	if n := len(w.spans); n > 0 && w.spans[n-1].to == to {
		w.spans[n-1].count++
		return
	}
	w.spans = append(w.spans, span{to, 1})
}

// refuse replies to every command of the entry with the same error.
func (w *proposal) refuse(answers *outbox, why *messages.Error) {
	for i, command := range w.data.Commands() {
		if to, ok := w.recipient(i); ok {
			answers.refuse(to, command, why)
		}
	}
}

// proposals are a leader's proposals that are not committed or not applied here, in log order.
type proposals struct {
	queue   []*proposal // proposed and not committed
	pending []*proposal // proposed and not applied here
	bytes   int         // of pending
}

func (q *proposals) push(w *proposal) {
	q.queue = append(q.queue, w)
	q.pending = append(q.pending, w)
	q.bytes += w.bytes
}

// applied forgets the entries up to index in pending, and their bytes.
func (q *proposals) applied(index uint64) {
	for len(q.pending) > 0 && q.pending[0].index <= index {
		q.bytes -= q.pending[0].bytes
		q.pending[0] = nil // its data may be large
		q.pending = q.pending[1:]
	}
}

// requestID names a request: no other request ever has the same session and sequence number.
type requestID struct{ session, seq uint64 }

// requestIDs are the commands that are gathered or pending: a session that sends one of them again waits for its reply already.
func (q *proposals) requestIDs(gathered *proposal) map[requestID]bool {
	names := map[requestID]bool{}
	for _, w := range append(slices.Clip(q.pending), gathered) {
		if w == nil {
			continue
		}
		for _, command := range w.data.Commands() {
			session, seq := messages.RequestID(command)
			names[requestID{session, seq}] = true
		}
	}
	return names
}

// take removes and returns the proposals of committed entries, one per entry, nil where no session waits. A proposal at whose index the
// entry of another leader was committed is lost: its commands are not in the log and never will be.
func (q *proposals) take(entries []*messages.Entry) (of []*proposal, lost []*proposal) {
	of = make([]*proposal, len(entries))
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

// drop removes and returns all proposals that are not committed: this replica does not lead any more.
func (q *proposals) drop() []*proposal {
	dropped := q.queue
	*q = proposals{}
	return dropped
}
