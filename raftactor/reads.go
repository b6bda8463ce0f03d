package raftactor

import (
	"fmt"
	"slices"

	"github.com/eraft-io/eraft/messages"
)

// reads are queries that wait for their turn at the Applier.
type waitingReads struct {
	queue        []readRequest    // ascending by index
	count        int              // of single queries
	bytes        int              // and their size
	queryIDs     map[queryID]bool // of those that wait, as of this turn; nil until more come
	sessionBytes map[recipient]int
	drainBytes   int  // of spent: bytes that were looked at in this turn
	scheduled    bool // a message is on its way that makes another turn
}

// continueReads makes the next turn, behind all that came meanwhile.
type continueReads struct{}

// drainSessions is what one turn looks at for all sessions, in units of Limits.ReplyBytes, which holds for each.
const drainSessions = 16

// addReads takes queries, unless too many wait. What waits already is not taken again: who asked has waited long, and to read
// it twice would make everybody wait longer.
func (a *Applier) addReads(q readRequest) {
	kept := q.askers[:0:0]
	for _, asker := range q.askers {
		if asker = a.reads.withoutWaiting(asker); len(asker.Queries) == 0 {
			continue
		}
		bytes := queryBytes(asker)
		if a.reads.count > 0 && (a.reads.count+len(asker.Queries) > a.options.Limits.PendingReads || a.reads.bytes+bytes > a.options.Limits.ReadBytes) {
			why := messages.Errorf(messages.Code_OVERLOADED, "group %d has %d reads of %d bytes to answer", a.options.Group, a.reads.count, a.reads.bytes)
			for _, encoded := range asker.Queries {
				a.replies.refuse(askerOf(asker), encoded, why)
			}
			continue
		}
		a.reads.count, a.reads.bytes = a.reads.count+len(asker.Queries), a.reads.bytes+bytes
		kept = append(kept, asker)
	}
	if len(kept) > 0 {
		a.reads.queue = append(a.reads.queue, readRequest{q.index, kept})
	}
}

// fresh is an asker with those of its queries that do not wait here.
func (r *waitingReads) withoutWaiting(asker *messages.SessionRequests) *messages.SessionRequests {
	if len(r.queue) == 0 {
		return asker
	}
	if r.queryIDs == nil {
		r.queryIDs = map[queryID]bool{}
		for _, q := range r.queue {
			for _, other := range q.askers {
				for _, encoded := range other.Queries {
					r.queryIDs[queryIDOf(other, encoded)] = true
				}
			}
		}
		delete(r.queryIDs, queryID{}) // of who has none
	}
	if !slices.ContainsFunc(asker.Queries, func(encoded []byte) bool { return r.queryIDs[queryIDOf(asker, encoded)] }) {
		return asker
	}
	kept := &messages.SessionRequests{Address: asker.Address, Id: asker.Id, ReplyBudget: asker.ReplyBudget}
	for _, encoded := range asker.Queries {
		if !r.queryIDs[queryIDOf(asker, encoded)] {
			kept.Queries = append(kept.Queries, encoded)
		}
	}
	return kept
}

// queryID names a query, together with who waits for its answer.
type queryID struct {
	requestID
	session recipient
}

func queryIDOf(asker *messages.SessionRequests, encoded []byte) queryID {
	session, seq := messages.RequestID(encoded)
	if session == 0 || seq == 0 {
		return queryID{}
	}
	return queryID{requestID{session, seq}, askerOf(asker)}
}

func queryBytes(asker *messages.SessionRequests) (n int) {
	for _, encoded := range asker.Queries {
		n += len(encoded)
	}
	return n
}

// query answers the reads whose index is reached. What a turn looks at is bounded, for each session and in all: answers are in
// memory until they are on the wire, and those whose reads are few should not wait for those whose are many.
func (a *Applier) answerReady() {
	if a.reads.queryIDs = nil; len(a.reads.queue) == 0 {
		return
	}
	keep, left := a.reads.queue[:0], false
	for _, q := range a.reads.queue {
		if q.index <= a.state.Index && !a.failed {
			if q.askers = a.answerSessions(q.askers); len(q.askers) == 0 {
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

// answerSessions answers what may be answered in this turn, and gives the rest.
func (a *Applier) answerSessions(askers []*messages.SessionRequests) (rest []*messages.SessionRequests) {
	for _, asker := range askers {
		to, n := askerOf(asker), 0
		spent := a.reads.sessionBytes[to]
		for ; n < len(asker.Queries) && spent < a.options.Limits.AnswerBytes && a.reads.drainBytes < drainSessions*a.options.Limits.AnswerBytes; n++ {
			reply, err := a.options.Machine.Query(stateReader{a}, asker.Queries[n])
			if err != nil {
				a.fail(fmt.Errorf("query: %w", err))
				return nil
			}
			if a.options.OnRead != nil {
				a.options.OnRead(a.options.Node, a.options.Group, a.state.Index, asker.Queries[n], reply)
			}
			bytes := messages.ReplyBytes(reply)
			spent, a.reads.drainBytes = spent+bytes, a.reads.drainBytes+bytes
			a.replies.add(to, withinBudget(reply, bytes, asker.ReplyBudget))
			a.reads.count, a.reads.bytes = a.reads.count-1, a.reads.bytes-len(asker.Queries[n])
		}
		if a.reads.sessionBytes[to] = spent; n < len(asker.Queries) {
			rest = append(rest, &messages.SessionRequests{Address: asker.Address, Id: asker.Id, ReplyBudget: asker.ReplyBudget, Queries: asker.Queries[n:]})
		}
	}
	return rest
}

// fitting is the reply, or, if who asked has not so much room, how much it takes.
func withinBudget(reply *messages.Reply, bytes int, room uint64) *messages.Reply {
	if room == 0 || reply.Code != messages.Code_OK || uint64(bytes) <= room {
		return reply
	}
	return &messages.Reply{
		Session: reply.Session, Seq: reply.Seq, Code: messages.Code_OVERLOADED, NeededBytes: uint64(bytes),
		Text: fmt.Sprintf("the answer takes %d bytes, and there is room for %d", bytes, room),
	}
}
