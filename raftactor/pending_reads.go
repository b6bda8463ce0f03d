package raftactor

import (
	"errors"
	"slices"

	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/raftactor/raft"
)

// pendingReads are the reads that wait at a Peer: those gathered in this mailbox drain, and those that wait for the core's answer to a
// ReadIndex. All reads of a drain share one ReadIndex. They are bounded in number and bytes; above that a session is told to come later.
type pendingReads struct {
	group    messages.GroupID
	maxReads int // Limits.PendingReads
	maxBytes int // Limits.ReadBytes
	replies  *outbox

	gathered []*messages.SessionRequests            // in this drain, in the order in which they came
	waiting  map[uint64][]*messages.SessionRequests // for a ReadIndex, by its token
	count    int                                    // queries gathered and waiting
	bytes    int                                    // their size, encoded
	token    uint64                                 // of the newest ReadIndex. It begins at random, so that no token is used twice, not even by a later replica
}

func newPendingReads(o *Options, replies *outbox, firstToken uint64) *pendingReads {
	return &pendingReads{
		group: o.Group, maxReads: o.Limits.PendingReads, maxBytes: o.Limits.ReadBytes, replies: replies,
		waiting: map[uint64][]*messages.SessionRequests{}, token: firstToken,
	}
}

// add gathers queries of a session, or refuses them: all of them if too many wait, else those that are too large.
func (r *pendingReads) add(from *messages.SessionRequests, queries [][]byte) {
	if len(queries) == 0 {
		return
	}
	if r.count >= r.maxReads || r.bytes >= r.maxBytes {
		why := messages.Errorf(messages.Code_OVERLOADED, "group %d has %d reads of %d bytes waiting for a quorum", r.group, r.count, r.bytes)
		for _, query := range queries {
			r.replies.refuse(sessionOf(from), query, why)
		}
		return
	}
	requests := &messages.SessionRequests{Address: from.Address, Id: from.Id, ReplyBudget: from.ReplyBudget, Queries: r.withoutTooLarge(sessionOf(from), queries)}
	r.gathered = append(r.gathered, requests)
	r.count, r.bytes = r.count+len(requests.Queries), r.bytes+queryBytes(requests)
}

// withoutTooLarge refuses queries that are too large and returns the others.
func (r *pendingReads) withoutTooLarge(from recipient, queries [][]byte) [][]byte {
	if !slices.ContainsFunc(queries, func(query []byte) bool { return messages.CheckQuerySize(query) != nil }) {
		return queries
	}
	var kept [][]byte
	for _, query := range queries {
		if why := messages.CheckQuerySize(query); why != nil {
			r.replies.refuse(from, query, why)
		} else {
			kept = append(kept, query)
		}
	}
	return kept
}

// begin has what was gathered wait for a ReadIndex with the token that it returns; ok is false if nothing was gathered.
func (r *pendingReads) begin() (token uint64, ok bool) {
	if len(r.gathered) == 0 {
		return 0, false
	}
	r.token++
	r.waiting[r.token], r.gathered = r.gathered, nil
	return r.token, true
}

// finish returns the reads that wait for a token. They wait here no longer.
func (r *pendingReads) finish(token uint64) []*messages.SessionRequests {
	sessions := r.waiting[token]
	delete(r.waiting, token)
	for _, requests := range sessions {
		r.count, r.bytes = r.count-len(requests.Queries), r.bytes-queryBytes(requests)
	}
	return sessions
}

// refuse ends the wait for a token with an error.
func (r *pendingReads) refuse(token uint64, why *messages.Error) {
	for _, requests := range r.finish(token) {
		for _, query := range requests.Queries {
			r.replies.refuse(sessionOf(requests), query, why)
		}
	}
}

// read asks the core for one index for all reads of the drain.
func (p *Peer) read() {
	token, ok := p.reads.begin()
	if !ok {
		return
	}
	if err := p.core.ReadIndex(token); err != nil {
		p.reads.refuse(token, p.refusal(err))
	}
}

// answerReads sends reads whose index is known to the Applier.
func (p *Peer) answerReads(results []raft.ReadResult) {
	for _, result := range results {
		if result.Err != nil {
			p.reads.refuse(result.Token, p.refusal(result.Err))
			continue
		}
		p.o.System.Root.Send(p.pids.applier, readRequest{result.Index, p.reads.finish(result.Token)})
	}
}

// refusal is the reply for an error of the core. In each case the command is not in the log.
func (p *Peer) refusal(err error) *messages.Error {
	switch {
	case errors.Is(err, raft.ErrNotLeader):
		return p.notLeader(p.core.Soft().Leader)
	case errors.Is(err, raft.ErrOverloaded):
		return messages.Errorf(messages.Code_OVERLOADED, "group %d has too much that is not committed", p.o.Group)
	default:
		return messages.Errorf(messages.Code_UNAVAILABLE, "group %d: %v", p.o.Group, err)
	}
}

// notLeader is the reply of a replica that does not lead, with a hint at who does, if it is known.
func (p *Peer) notLeader(leader uint64) *messages.Error {
	why := messages.Errorf(messages.Code_NOT_LEADER, "node %d does not lead group %d", p.o.Node, p.o.Group)
	if leader != 0 && leader != uint64(p.o.Node) {
		why.Hint = &messages.Hint{Leader: leader}
	}
	return why
}
