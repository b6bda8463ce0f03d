package raftactor

import (
	"fmt"
	"slices"

	"github.com/eraft-io/eraft/messages"
)

// waitingReads are the queries that wait at the Applier: for the data to reach their index, or for a later mailbox drain.
type waitingReads struct {
	queue        []readRequest     // ascending by index
	count        int               // queries in queue
	bytes        int               // their size, encoded
	queryIDs     map[queryID]bool  // of the queries in queue, as of this drain; nil until more come
	sessionBytes map[recipient]int // of replies made in this drain, by session
	drainBytes   int               // the same for all sessions together
	scheduled    bool              // a continueReads is on its way
}

// continueReads makes the next drain, behind all messages that came meanwhile.
type continueReads struct{}

// drainSessions bounds the bytes of replies that one mailbox drain makes for all sessions, in units of Limits.ReplyBytes, which is the
// bound for each session.
const drainSessions = 16

// addReads takes queries, unless too many wait. A query that waits already is not taken again: its session has waited long and sends it
// again, and to read twice would make all wait longer.
func (a *Applier) addReads(q readRequest) {
	kept := q.sessions[:0:0]
	for _, requests := range q.sessions {
		if requests = a.reads.withoutWaiting(requests); len(requests.Queries) == 0 {
			continue
		}
		bytes := queryBytes(requests)
		if a.reads.count > 0 && (a.reads.count+len(requests.Queries) > a.options.Limits.PendingReads || a.reads.bytes+bytes > a.options.Limits.ReadBytes) {
			why := messages.Errorf(messages.Code_OVERLOADED, "group %d has %d reads of %d bytes to answer", a.options.Group, a.reads.count, a.reads.bytes)
			for _, encoded := range requests.Queries {
				a.replies.refuse(sessionOf(requests), encoded, why)
			}
			continue
		}
		a.reads.count, a.reads.bytes = a.reads.count+len(requests.Queries), a.reads.bytes+bytes
		kept = append(kept, requests)
	}
	if len(kept) > 0 {
		a.reads.queue = append(a.reads.queue, readRequest{q.index, kept})
	}
}

// withoutWaiting returns the queries of a session that do not wait here already.
func (r *waitingReads) withoutWaiting(requests *messages.SessionRequests) *messages.SessionRequests {
	if len(r.queue) == 0 {
		return requests
	}
	if r.queryIDs == nil {
		r.queryIDs = map[queryID]bool{}
		for _, q := range r.queue {
			for _, other := range q.sessions {
				for _, encoded := range other.Queries {
					r.queryIDs[queryIDOf(other, encoded)] = true
				}
			}
		}
		delete(r.queryIDs, queryID{}) // of queries without an identity
	}
	if !slices.ContainsFunc(requests.Queries, func(encoded []byte) bool { return r.queryIDs[queryIDOf(requests, encoded)] }) {
		return requests
	}
	kept := &messages.SessionRequests{Address: requests.Address, Id: requests.Id, ReplyBudget: requests.ReplyBudget}
	for _, encoded := range requests.Queries {
		if !r.queryIDs[queryIDOf(requests, encoded)] {
			kept.Queries = append(kept.Queries, encoded)
		}
	}
	return kept
}

// queryID names a query, together with the session that waits for the reply.
type queryID struct {
	requestID
	session recipient
}

func queryIDOf(requests *messages.SessionRequests, encoded []byte) queryID {
	session, seq := messages.RequestID(encoded)
	if session == 0 || seq == 0 {
		return queryID{}
	}
	return queryID{requestID{session, seq}, sessionOf(requests)}
}

func queryBytes(requests *messages.SessionRequests) (n int) {
	for _, encoded := range requests.Queries {
		n += len(encoded)
	}
	return n
}

// answerReady answers the reads whose index is reached. A mailbox drain makes a bounded number of bytes of replies, for each session and
// in all: replies are in memory until they are on the wire, and a session with few reads should not wait for one with many.
func (a *Applier) answerReady() {
	if a.reads.queryIDs = nil; len(a.reads.queue) == 0 {
		return
	}
	keep, left := a.reads.queue[:0], false
	for _, q := range a.reads.queue {
		if q.index <= a.state.Index && !a.failed {
			if q.sessions = a.answerSessions(q.sessions); len(q.sessions) == 0 {
				continue
			}
			left = true
		}
		keep = append(keep, q)
	}
	clear(a.reads.queue[len(keep):])
	a.reads.queue, a.reads.drainBytes = keep, 0
	clear(a.reads.sessionBytes)
	if left && !a.reads.scheduled {
		a.reads.scheduled = true
		a.options.System.Root.Send(a.self, continueReads{})
	}
}

// answerSessions answers what may be answered in this drain, and returns the rest.
func (a *Applier) answerSessions(sessions []*messages.SessionRequests) (rest []*messages.SessionRequests) {
	for _, requests := range sessions {
		to, n := sessionOf(requests), 0
		spent := a.reads.sessionBytes[to]
		for ; n < len(requests.Queries) && spent < a.options.Limits.AnswerBytes && a.reads.drainBytes < drainSessions*a.options.Limits.AnswerBytes; n++ {
			reply, err := a.options.Machine.Query(stateReader{a}, requests.Queries[n])
			if err != nil {
				a.fail(fmt.Errorf("query: %w", err))
				return nil
			}
			if a.options.OnRead != nil {
				a.options.OnRead(a.options.Node, a.options.Group, a.state.Index, requests.Queries[n], reply)
			}
			bytes := messages.ReplyBytes(reply)
			spent, a.reads.drainBytes = spent+bytes, a.reads.drainBytes+bytes
			a.replies.add(to, withinBudget(reply, bytes, requests.ReplyBudget))
			a.reads.count, a.reads.bytes = a.reads.count-1, a.reads.bytes-len(requests.Queries[n])
		}
		if a.reads.sessionBytes[to] = spent; n < len(requests.Queries) {
			rest = append(rest, &messages.SessionRequests{Address: requests.Address, Id: requests.Id, ReplyBudget: requests.ReplyBudget, Queries: requests.Queries[n:]})
		}
	}
	return rest
}

// withinBudget returns the reply, or, if it is larger than the reply budget of its session, a reply that says how many bytes it takes.
func withinBudget(reply *messages.Reply, bytes int, room uint64) *messages.Reply {
	if room == 0 || reply.Code != messages.Code_OK || uint64(bytes) <= room {
		return reply
	}
	return &messages.Reply{
		Session: reply.Session, Seq: reply.Seq, Code: messages.Code_OVERLOADED, NeededBytes: uint64(bytes),
		Text: fmt.Sprintf("the answer takes %d bytes, and there is room for %d", bytes, room),
	}
}
