package raft

import (
	"slices"

	"github.com/eraft-io/eraft/messages"
)

// reads are a leader's requests for ReadIndex (thesis 6.4). A round of heartbeats confirms that no other leader has been elected: all
// requests that come while one is on its way share the next. The leader numbers its rounds within its term, so an answer to an older
// leader's round never confirms one of this leader.
type reads struct {
	seq     uint64
	waiting []readRequest // without a round: the leader has not committed in its term, or a round is on its way
	rounds  []readRound
}

// readRequest is one request of this replica's driver, or of a follower's.
type readRequest struct {
	token uint64
	from  uint64 // the follower; 0: this replica
}

type readRound struct {
	seq, index uint64
	requests   []readRequest
}

// forwardedRead is a request that this follower has sent to its leader.
type forwardedRead struct {
	token uint64
	ticks int // since then
}

// maxReadRounds is how many rounds may be on their way at once.
const maxReadRounds = 1

// ReadResult answers one ReadIndex: data that has applied Index may answer the read, or Err says why there is no index.
type ReadResult struct {
	Token, Index uint64
	Err          error
}

// ReadIndex asks for an index at which a read of this replica's data is linearizable. The answer comes in Ready.Reads, exactly once,
// unless an error is returned here. A follower asks its leader (thesis 6.4, last paragraphs), and gives up after an election
// timeout. No two requests may have the same token, not even in different lives of a replica: a late answer must not be taken
// for another's.
func (c *Core) ReadIndex(token uint64) error {
	switch {
	case c.role == Leader:
		c.reads.waiting = append(c.reads.waiting, readRequest{token: token})
	case c.lead != 0:
		c.forwarded = append(c.forwarded, forwardedRead{token: token})
		c.out.sendNow(c.message(messages.RaftKind_READ_INDEX, c.lead, func(m *messages.RaftMessage) { m.ReadSeq = token }))
	default:
		return ErrNotLeader
	}
	c.Wake()
	return nil
}

// onReadIndex takes a follower's request.
func (c *Core) onReadIndex(m *messages.RaftMessage) error {
	if c.role != Leader || c.follower(m.From) == nil { // a replica that is no member does not get the entries up to the index
		return ErrUnwanted
	}
	c.reads.waiting = append(c.reads.waiting, readRequest{m.ReadSeq, m.From})
	return nil
}

// onReadIndexReply ends a forwarded request. The answer says what is committed as well: with a lease there is no round of heartbeats that does.
func (c *Core) onReadIndexReply(m *messages.RaftMessage) error {
	i := slices.IndexFunc(c.forwarded, func(q forwardedRead) bool { return q.token == m.ReadSeq })
	if i < 0 {
		return ErrUnwanted
	}
	c.forwarded = slices.Delete(c.forwarded, i, i+1)
	c.learnCommit(m)
	c.out.reads = append(c.out.reads, ReadResult{Token: m.ReadSeq, Index: m.Index})
	return nil
}

// tickForwardedReads gives up requests that the leader has not answered for an election timeout.
func (c *Core) tickForwardedReads() {
	for i := range c.forwarded {
		c.forwarded[i].ticks++
	}
	for len(c.forwarded) > 0 && c.forwarded[0].ticks >= c.cfg.ElectionTicks {
		c.out.reads = append(c.out.reads, ReadResult{Token: c.forwarded[0].token, Err: ErrNoAnswer})
		c.forwarded = c.forwarded[1:]
	}
}

// failForwardedReads gives up all forwarded requests: the replica that was asked does not lead any more.
func (c *Core) failForwardedReads() {
	for _, q := range c.forwarded {
		c.out.reads = append(c.out.reads, ReadResult{Token: q.token, Err: ErrNotLeader})
	}
	c.forwarded = nil
}

// startReads begins a round for the requests that wait, if the commit index is known to be the newest: if the leader has committed an
// entry of its own term.
func (c *Core) startReads() {
	c.readByLease()
	r := &c.reads
	if c.role != Leader || len(r.waiting) == 0 || len(r.rounds) >= maxReadRounds || c.log.term(c.commit) != c.term {
		return
	}
	r.seq++
	r.rounds = append(r.rounds, readRound{r.seq, c.commit, r.waiting})
	r.waiting = nil
	c.heartbeat()
	c.confirmReads()
}

// confirmReads answers the rounds that a quorum, this leader included, has confirmed.
func (c *Core) confirmReads() {
	confirmed := votersOf(c.conf).Value(func(id uint64) uint64 {
		if id == c.cfg.ID {
			return c.reads.seq
		}
		return c.follower(id).ReadSeq
	})
	for len(c.reads.rounds) > 0 && c.reads.rounds[0].seq <= confirmed {
		r := c.reads.rounds[0]
		c.reads.rounds = c.reads.rounds[1:]
		c.answerReads(r.requests, r.index)
	}
}

// answerReads answers requests of this replica's driver, and those of followers, which must also learn that the index is committed before
// they can apply it.
func (c *Core) answerReads(requests []readRequest, index uint64) {
	for _, r := range requests {
		if r.from == 0 {
			c.out.reads = append(c.out.reads, ReadResult{Token: r.token, Index: index})
			continue
		}
		c.out.sendNow(c.message(messages.RaftKind_READ_INDEX_REPLY, r.from, func(m *messages.RaftMessage) {
			m.ReadSeq, m.Index, m.Commit, m.HintTerm = r.token, index, c.commit, c.log.term(c.commit)
		}))
	}
}

// failReads ends all requests of this replica's driver: it does not lead any more. Followers give up by themselves. The numbers of rounds
// begin again with the next term.
func (c *Core) failReads() {
	requests := c.reads.waiting
	for _, round := range c.reads.rounds {
		requests = append(requests, round.requests...)
	}
	for _, r := range requests {
		if r.from == 0 {
			c.out.reads = append(c.out.reads, ReadResult{Token: r.token, Err: ErrNotLeader})
		}
	}
	c.reads = reads{}
}
