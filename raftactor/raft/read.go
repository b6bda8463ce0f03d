package raft

// reads is a leader's ReadIndex requests (thesis 6.4). All requests between two Readys share one round. Rounds are
// numbered by this leader, within its term: an answer to an older leader's round can never confirm one of this.
type reads struct {
	seq     uint64
	waiting []uint64 // tokens without a round: the leader has not committed in its term, or enough rounds are out
	rounds  []round
}

type round struct {
	seq, index uint64
	tokens     []uint64
}

// maxRounds is how many rounds may be out at once; what comes meanwhile shares the next one.
const maxRounds = 1

// ReadResult answers one ReadIndex: data that has applied Index may answer, or Err says why not.
type ReadResult struct {
	Token, Index uint64
	Err          error
}

// ReadIndex asks for an index at which a read is linearizable. The answer comes in Ready.Reads, exactly once,
// unless an error is returned here.
func (c *Core) ReadIndex(token uint64) error {
	if c.role != Leader {
		return ErrNotLeader
	}
	c.Stir()
	c.reads.waiting = append(c.reads.waiting, token)
	return nil
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
		for _, token := range r.tokens {
			c.out.reads = append(c.out.reads, ReadResult{Token: token, Index: r.index})
		}
	}
}

// fail answers everything that is open with err. The numbers start again with the next term.
func (r *reads) fail(out *outputs, err error) {
	for _, round := range r.rounds {
		r.waiting = append(r.waiting, round.tokens...)
	}
	for _, token := range r.waiting {
		out.reads = append(out.reads, ReadResult{Token: token, Err: err})
	}
	*r = reads{}
}
