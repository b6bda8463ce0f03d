package raftactor

import (
	"fmt"
	"slices"

	"github.com/eraft-io/eraft/messages"
)

// reads are queries that wait for their turn at the Applier.
type reads struct {
	waiting []query         // ascending by index
	count   int             // of single queries
	bytes   int             // and their size
	names   map[nameAt]bool // of those that wait, as of this turn; nil until more come
	spent   map[recipient]int
	total   int  // of spent: bytes that were looked at in this turn
	again   bool // a message is on its way that makes another turn
}

// moreReads makes the next turn, behind all that came meanwhile.
type moreReads struct{}

// turnAnswers is what one turn looks at for all sessions, in units of Limits.ReplyBytes, which holds for each.
const turnAnswers = 16

// addReads takes queries, unless too many wait. What waits already is not taken again: who asked has waited long, and to read
// it twice would make everybody wait longer.
func (a *Applier) addReads(q query) {
	kept := q.askers[:0:0]
	for _, asker := range q.askers {
		if asker = a.reads.fresh(asker); len(asker.Queries) == 0 {
			continue
		}
		bytes := queryBytes(asker)
		if a.reads.count > 0 && (a.reads.count+len(asker.Queries) > a.o.Limits.PendingReads || a.reads.bytes+bytes > a.o.Limits.ReadBytes) {
			why := messages.Errorf(messages.Code_OVERLOADED, "group %d has %d reads of %d bytes to answer", a.o.Group, a.reads.count, a.reads.bytes)
			for _, encoded := range asker.Queries {
				a.answers.refuse(askerOf(asker), encoded, why)
			}
			continue
		}
		a.reads.count, a.reads.bytes = a.reads.count+len(asker.Queries), a.reads.bytes+bytes
		kept = append(kept, asker)
	}
	if len(kept) > 0 {
		a.reads.waiting = append(a.reads.waiting, query{q.index, kept})
	}
}

// fresh is an asker with those of its queries that do not wait here.
func (r *reads) fresh(asker *messages.SessionRequests) *messages.SessionRequests {
	if len(r.waiting) == 0 {
		return asker
	}
	if r.names == nil {
		r.names = map[nameAt]bool{}
		for _, q := range r.waiting {
			for _, other := range q.askers {
				for _, encoded := range other.Queries {
					r.names[nameOf(other, encoded)] = true
				}
			}
		}
		delete(r.names, nameAt{}) // of who has none
	}
	if !slices.ContainsFunc(asker.Queries, func(encoded []byte) bool { return r.names[nameOf(asker, encoded)] }) {
		return asker
	}
	kept := &messages.SessionRequests{Address: asker.Address, Id: asker.Id, ReplyBudget: asker.ReplyBudget}
	for _, encoded := range asker.Queries {
		if !r.names[nameOf(asker, encoded)] {
			kept.Queries = append(kept.Queries, encoded)
		}
	}
	return kept
}

// nameAt names a query, together with who waits for its answer.
type nameAt struct {
	commandName
	to recipient
}

func nameOf(asker *messages.SessionRequests, encoded []byte) nameAt {
	session, seq := messages.RequestID(encoded)
	if session == 0 || seq == 0 {
		return nameAt{}
	}
	return nameAt{commandName{session, seq}, askerOf(asker)}
}

func queryBytes(asker *messages.SessionRequests) (n int) {
	for _, encoded := range asker.Queries {
		n += len(encoded)
	}
	return n
}

// query answers the reads whose index is reached. What a turn looks at is bounded, for each session and in all: answers are in
// memory until they are on the wire, and those whose reads are few should not wait for those whose are many.
func (a *Applier) query() {
	if a.reads.names = nil; len(a.reads.waiting) == 0 {
		return
	}
	keep, left := a.reads.waiting[:0], false
	for _, q := range a.reads.waiting {
		if q.index <= a.at.Index && !a.failed {
			if q.askers = a.answerReads(q.askers); len(q.askers) == 0 {
				continue
			}
			left = true
		}
		keep = append(keep, q)
	}
	clear(a.reads.waiting[len(keep):])
	a.reads.waiting, a.reads.total = keep, 0
	clear(a.reads.spent)
	if left && !a.reads.again {
		a.reads.again = true
		a.o.System.Root.Send(a.self, moreReads{})
	}
}

// answerReads answers what may be answered in this turn, and gives the rest.
func (a *Applier) answerReads(askers []*messages.SessionRequests) (rest []*messages.SessionRequests) {
	for _, asker := range askers {
		to, n := askerOf(asker), 0
		spent := a.reads.spent[to]
		for ; n < len(asker.Queries) && spent < a.o.Limits.AnswerBytes && a.reads.total < turnAnswers*a.o.Limits.AnswerBytes; n++ {
			reply, err := a.o.Machine.Query(reader{a}, asker.Queries[n])
			if err != nil {
				a.fail(fmt.Errorf("query: %w", err))
				return nil
			}
			if a.o.OnRead != nil {
				a.o.OnRead(a.o.Node, a.o.Group, a.at.Index, asker.Queries[n], reply)
			}
			bytes := messages.ReplyBytes(reply)
			spent, a.reads.total = spent+bytes, a.reads.total+bytes
			a.answers.add(to, fitting(reply, bytes, asker.ReplyBudget))
			a.reads.count, a.reads.bytes = a.reads.count-1, a.reads.bytes-len(asker.Queries[n])
		}
		if a.reads.spent[to] = spent; n < len(asker.Queries) {
			rest = append(rest, &messages.SessionRequests{Address: asker.Address, Id: asker.Id, ReplyBudget: asker.ReplyBudget, Queries: asker.Queries[n:]})
		}
	}
	return rest
}

// fitting is the reply, or, if who asked has not so much room, how much it takes.
func fitting(reply *messages.Reply, bytes int, room uint64) *messages.Reply {
	if room == 0 || reply.Code != messages.Code_OK || uint64(bytes) <= room {
		return reply
	}
	return &messages.Reply{
		Session: reply.Session, Seq: reply.Seq, Code: messages.Code_OVERLOADED, NeededBytes: uint64(bytes),
		Text: fmt.Sprintf("the answer takes %d bytes, and there is room for %d", bytes, room),
	}
}
