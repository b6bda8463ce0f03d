package raft

import (
	"slices"

	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/raftactor/raft/quorum"
)

// Campaign starts an election now, if this replica may campaign.
func (c *Core) Campaign() { c.campaign(PreCandidate, false) }

// campaign asks for votes (thesis 3.4). As PreCandidate it asks first whether it could win, without raising its term (thesis 9.6), so
// that a replica that cannot win does not depose a leader that works. transfer tells that a leader has ordered it.
func (c *Core) campaign(role Role, transfer bool) {
	if c.role == Leader || !c.voter(c.cfg.ID) || c.confUnapplied() || c.out.restoring || c.diskStalled || c.recovering() || !transfer && c.voteBlocked() {
		return
	}
	if role == PreCandidate {
		c.become(PreCandidate, c.term, 0)
		if c.poll(c.cfg.ID, true) == quorum.Won { // the only voter
			c.campaign(Candidate, transfer)
			return
		}
		c.askVotes(messages.RaftKind_PRE_VOTE, c.term+1, false)
		return
	}
	c.become(Candidate, c.term+1, 0)
	c.vote = c.cfg.ID
	// Its own vote counts, and the other voters are asked, when its term, vote and log are durable: see Persist.After and Persisted.
	c.out.ownVote = c.term
	c.askVotes(messages.RaftKind_VOTE, c.term, transfer)
}

// confUnapplied tells whether a committed membership change has not taken effect here: then the replica does not know who the
// voters are.
func (c *Core) confUnapplied() bool {
	for _, e := range c.log.slice(c.emitted+1, c.commit) {
		if e.Kind == messages.EntryKind_CONF_CHANGE {
			return true
		}
	}
	return false
}

// askVotes sends a request for a vote in a term to every other voter.
func (c *Core) askVotes(kind messages.RaftKind, term uint64, transfer bool) {
	c.out.election = true
	for _, id := range Members(c.conf) {
		if id == c.cfg.ID || !c.voter(id) {
			continue
		}
		m := c.message(kind, id, nil)
		m.Term, m.Index, m.LogTerm, m.Transfer = term, c.log.last(), c.log.lastTerm(), transfer
		m.Commit, m.HintTerm = c.commit, c.log.term(c.commit)
		c.out.sendWhenDurable(m)
	}
}

// onVote grants at most one vote per term, to the first candidate whose log is at least as new as this replica's (thesis 3.6.1). A learner
// votes too: it may have been promoted and not know it yet.
func (c *Core) onVote(m *messages.RaftMessage) error {
	c.learnCommit(m)
	if !m.Transfer && c.voteBlocked() {
		return ErrSticky
	}
	pre := m.Kind == messages.RaftKind_PRE_VOTE
	kind := messages.RaftKind_VOTE_REPLY
	if pre {
		kind = messages.RaftKind_PRE_VOTE_REPLY
	}
	free := c.vote == m.From || c.vote == 0 && c.lead == 0 || pre && m.Term > c.term
	if pre && c.supportsAnother(m) {
		free = false
	}
	newer := m.LogTerm > c.log.lastTerm() || m.LogTerm == c.log.lastTerm() && m.Index >= c.log.last()
	reply := c.message(kind, m.From, nil)
	reply.Commit, reply.HintTerm = c.commit, c.log.term(c.commit)
	if !free || !newer || c.recovering() {
		reply.Reject = true
		c.out.sendWhenDurable(reply)
		return nil
	}
	reply.Term = m.Term
	c.support(m.From)
	if !pre {
		c.vote, c.out.election = m.From, true
	}
	c.out.sendWhenDurable(reply)
	return nil
}

// recovering tells that this replica was removed and its disk was reset, is a member again, and has not got back what it had. What it had
// acknowledged may have been committed, and the memberships that it hears of first may be those in which it was a voter: so it
// neither votes nor campaigns until it has committed what it once had.
func (c *Core) recovering() bool { return c.commit < c.voteFloor }

// recoveringIfCrashed tells whether this replica is recovering, or would be again after a crash. Its replies say so: the leader must not
// make it a voter, since the group may need its vote.
func (c *Core) recoveringIfCrashed() bool { return c.out.durableCommit < c.voteFloor }

func (c *Core) onVoteReply(m *messages.RaftMessage) error {
	c.learnCommit(m)
	pre := m.Kind == messages.RaftKind_PRE_VOTE_REPLY
	switch {
	case pre && c.role == PreCandidate && (m.Reject || m.Term == c.term+1):
	case !pre && c.role == Candidate && m.Term == c.term:
	default:
		return ErrUnwanted
	}
	switch c.poll(m.From, !m.Reject) {
	case quorum.Won:
		if pre {
			c.campaign(Candidate, false)
		} else {
			c.becomeLeader()
		}
	case quorum.Lost:
		if c.role == Candidate {
			c.failedCandidacies++
		}
		c.become(Follower, c.term, 0)
	}
	return nil
}

// learnCommit takes a commit index from a message that gives the term of the entry there, if this log has the same entry: what is
// committed stays committed, whoever says so and in whatever term. A replica may need it to learn who the voters are: a leader that
// has removed itself has the longer log, has stepped down, and will never lead again.
func (c *Core) learnCommit(m *messages.RaftMessage) {
	if m.HintTerm != 0 && c.log.has(m.Commit, m.HintTerm) {
		c.commitTo(m.Commit)
	}
}

// poll notes the first vote of a replica in this election, and tells how the election stands.
func (c *Core) poll(id uint64, granted bool) quorum.Outcome {
	if !slices.ContainsFunc(c.votes, func(v quorum.Vote) bool { return v.ID == id }) {
		c.votes = append(c.votes, quorum.Vote{ID: id, Granted: granted})
	}
	return votersOf(c.conf).Outcome(c.votes)
}

// becomeLeader makes this replica the leader of its term. It appends an empty entry: with it the entries of earlier terms get
// committed (thesis 3.6.2), and reads may begin (thesis 6.4).
func (c *Core) becomeLeader() {
	c.become(Leader, c.term, c.cfg.ID)
	c.confPending = c.log.last()
	c.trackFollowers()
	c.log.append([]*messages.Entry{{Index: c.log.last() + 1, Term: c.term, TimeMs: c.LogTime()}})
}

func (c *Core) onTimeoutNow() error {
	if c.role == Leader || !c.voter(c.cfg.ID) {
		return ErrUnwanted
	}
	c.campaignOrdered = true
	c.campaignIfOrdered()
	return nil
}

// campaignIfOrdered campaigns by order of a leader. A leader that a membership change removes gives the order together with the word
// that the change is committed: then the campaign waits until the change has taken effect here.
func (c *Core) campaignIfOrdered() {
	if c.campaignOrdered && !c.confUnapplied() {
		c.campaignOrdered = false
		c.campaign(Candidate, true)
	}
}

// Transfer hands leadership to another voter (thesis 3.10): as soon as that has the whole log, this leader orders it to campaign. Until
// then proposals are refused; after an election timeout without success they are taken again.
func (c *Core) Transfer(to uint64) error {
	if c.role != Leader {
		return ErrNotLeader
	}
	if !c.isIncomingVoter(to) || to == c.cfg.ID {
		return ErrInvalidConf
	}
	c.Wake()
	c.transferee, c.transferTicks = to, 0
	c.pushTransfer()
	return nil
}

// pushTransfer gives the order to campaign when the transferee has the whole log.
func (c *Core) pushTransfer() {
	if p := c.follower(c.transferee); p != nil && p.Match == c.log.last() {
		c.leaseRevoked = true
		c.out.sendNow(c.message(messages.RaftKind_TIMEOUT_NOW, p.ID, nil))
	}
}
