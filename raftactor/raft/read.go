package raft

import (
	"slices"

	"github.com/eraft-io/eraft/messages"
)

// reads is a leader's ReadIndex requests (thesis 6.4). All requests between two Readys share one round. Rounds are
// numbered by this leader, within its term: an answer to an older leader's round can never confirm one of this.
type reads struct {
	seq     uint64
	waiting []reading // without a round: the leader has not committed in its term, or enough rounds are out
	rounds  []round
}

// reading is one request: of this replica's own driver, or of a follower's.
type reading struct {
	token uint64
	from  uint64 // the follower, 0: this replica
}

type round struct {
	seq, index uint64
	readings   []reading
}

// question is a request that a follower has sent to its leader.
type question struct {
	token uint64
	ticks int
}

// maxRounds is how many rounds may be out at once; what comes meanwhile shares the next one.
const maxRounds = 1

// ReadResult answers one ReadIndex: data that has applied Index may answer, or Err says why not.
type ReadResult struct {
	Token, Index uint64
	Err          error
}

// ReadIndex asks for an index at which a read of this replica's data is linearizable. The answer comes in Ready.Reads,
// exactly once, unless an error is returned here. A follower asks its leader (thesis 6.4, last paragraphs), and gives up
// after an election timeout. No two requests may have the same token, not even in different lives of a replica: an
// answer that is late must not be taken for another's.
func (c *Core) ReadIndex(token uint64) error {
	switch {
	case c.role == Leader:
		c.reads.waiting = append(c.reads.waiting, reading{token: token})
	case c.lead != 0:
		c.questions = append(c.questions, question{token: token})
		c.out.now(c.message(messages.RaftKind_READ_INDEX, c.lead, func(m *messages.RaftMessage) { m.ReadSeq = token }))
	default:
		return ErrNotLeader
	}
	c.Stir()
	return nil
}

// onReadIndex takes a follower's request.
func (c *Core) onReadIndex(m *messages.RaftMessage) error {
	if c.role != Leader || c.peer(m.From) == nil { // who is no member will not get the entries up to an index
		return ErrUnwanted
	}
	c.reads.waiting = append(c.reads.waiting, reading{m.ReadSeq, m.From})
	return nil
}

// onReadIndexReply ends a question. The answer says what is committed as well: with a lease no round of heartbeats does.
func (c *Core) onReadIndexReply(m *messages.RaftMessage) error {
	i := slices.IndexFunc(c.questions, func(q question) bool { return q.token == m.ReadSeq })
	if i < 0 {
		return ErrUnwanted
	}
	c.questions = slices.Delete(c.questions, i, i+1)
	c.learnCommit(m)
	c.out.reads = append(c.out.reads, ReadResult{Token: m.ReadSeq, Index: m.Index})
	return nil
}

// ageQuestions gives up what the leader has not answered for an election timeout.
func (c *Core) ageQuestions() {
	for i := range c.questions {
		c.questions[i].ticks++
	}
	for len(c.questions) > 0 && c.questions[0].ticks >= c.cfg.ElectionTicks {
		c.out.reads = append(c.out.reads, ReadResult{Token: c.questions[0].token, Err: ErrNoAnswer})
		c.questions = c.questions[1:]
	}
}

// dropQuestions gives up all questions: who was asked leads no more.
func (c *Core) dropQuestions() {
	for _, q := range c.questions {
		c.out.reads = append(c.out.reads, ReadResult{Token: q.token, Err: ErrNotLeader})
	}
	c.questions = nil
}

// startReads opens a round for what waits, if the commit index is known to be the newest: the leader has committed
// an entry of its own term.
func (c *Core) startReads() {
	c.readByLease()
	r := &c.reads
	if c.role != Leader || len(r.waiting) == 0 || len(r.rounds) >= maxRounds || c.log.term(c.commit) != c.term {
		return
	}
	r.seq++
	r.rounds = append(r.rounds, round{r.seq, c.commit, r.waiting})
	r.waiting = nil
	c.heartbeat()
	c.confirmReads()
}

// confirmReads answers the rounds that a quorum, this leader included, has confirmed.
func (c *Core) confirmReads() {
	confirmed := agreed(c.conf, func(id uint64) uint64 {
		if id == c.cfg.ID {
			return c.reads.seq
		}
		return c.peer(id).readSeq
	})
	for len(c.reads.rounds) > 0 && c.reads.rounds[0].seq <= confirmed {
		r := c.reads.rounds[0]
		c.reads.rounds = c.reads.rounds[1:]
		c.answerReads(r.readings, r.index)
	}
}

// answerReads tells the index to who asked, here or at a follower, which must know that it is committed before it can apply it.
func (c *Core) answerReads(readings []reading, index uint64) {
	for _, r := range readings {
		if r.from == 0 {
			c.out.reads = append(c.out.reads, ReadResult{Token: r.token, Index: index})
			continue
		}
		c.out.now(c.message(messages.RaftKind_READ_INDEX_REPLY, r.from, func(m *messages.RaftMessage) {
			m.ReadSeq, m.Index, m.Commit, m.HintTerm = r.token, index, c.commit, c.log.term(c.commit)
		}))
	}
}

// failReads ends everything that is open: this replica leads no more. The numbers start again with the next term.
// Followers that asked hear of that from the next leader.
func (c *Core) failReads() {
	readings := c.reads.waiting
	for _, round := range c.reads.rounds {
		readings = append(readings, round.readings...)
	}
	for _, r := range readings {
		if r.from == 0 {
			c.out.reads = append(c.out.reads, ReadResult{Token: r.token, Err: ErrNotLeader})
		}
	}
	c.reads = reads{}
}
