package router

import (
	"iter"

	"github.com/eraft-io/eraft/messages"
)

// requestTable holds the requests of a Session that were sent and have no reply. It gives out sequence numbers: 1, 2, 3, …
type requestTable struct {
	session messages.SessionID
	lastSeq uint64
	lowest  uint64 // no request below it is in bySeq
	bySeq   map[uint64]*request
}

func newRequestTable(session messages.SessionID) requestTable {
	return requestTable{session: session, lowest: 1, bySeq: map[uint64]*request{}}
}

// nextSeq gives out a sequence number. If its request is not added, it is never used.
func (t *requestTable) nextSeq() uint64 {
	t.lastSeq++
	return t.lastSeq
}

func (t *requestTable) add(r *request) { t.bySeq[r.seq] = r }

// get is the request of a sequence number; nil if there is none, or it has its reply.
func (t *requestTable) get(seq uint64) *request { return t.bySeq[seq] }

// remove takes a request out, and reports whether it was there.
func (t *requestTable) remove(r *request) bool {
	if t.bySeq[r.seq] != r {
		return false
	}
	delete(t.bySeq, r.seq)
	return true
}

func (t *requestTable) len() int { return len(t.bySeq) }

// acked is the lowest sequence number that may be unanswered: groups may forget the replies to all below it.
func (t *requestTable) acked() uint64 {
	for t.lowest < t.lastSeq && t.bySeq[t.lowest] == nil {
		t.lowest++
	}
	return t.lowest
}

// all requests, by ascending sequence number. The loop may remove the request that it is given.
func (t *requestTable) all() iter.Seq[*request] {
	return func(yield func(*request) bool) {
		for seq := t.acked(); seq <= t.lastSeq; seq++ {
			if r := t.bySeq[seq]; r != nil && !yield(r) {
				return
			}
		}
	}
}
