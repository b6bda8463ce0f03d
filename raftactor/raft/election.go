package raft

import (
	"slices"

	"github.com/eraft-io/eraft/messages"
)

// Campaign starts an election now.
func (c *Core) Campaign() { c.campaign(PreCandidate, false) }

// campaign asks for votes (thesis 3.4), as PreCandidate first without raising the term (thesis 9.6), so that a
// replica that cannot win does not depose a leader that works.
func (c *Core) campaign(role Role, transfer bool) {
	if c.role == Leader || !c.voter(c.cfg.ID) || c.confUnapplied() || c.out.restoring || c.stalled || c.forgetful() || !transfer && c.bound() {
		return
	}
	if role == PreCandidate {
		c.become(PreCandidate, c.term, 0)
		if c.poll(c.cfg.ID, true) == won { // the only voter
			c.campaign(Candidate, transfer)
			return
		}
		c.askVotes(messages.RaftKind_PRE_VOTE, c.term+1, false)
		return
	}
	c.become(Candidate, c.term+1, 0)
	c.vote = c.cfg.ID
	// The own vote counts, and the others are asked, when term, vote and log tail are durable: see Ready.
	c.out.ownVote = c.term
	c.askVotes(messages.RaftKind_VOTE, c.term, transfer)
}

// confUnapplied tells whether a committed membership change has not taken effect here: the replica does not know
// who may vote.
func (c *Core) confUnapplied() bool {
	for _, e := range c.log.slice(c.emitted+1, c.commit) {
		if e.Kind == messages.EntryKind_CONF_CHANGE {
			return true
		}
	}
	return false
}

func (c *Core) askVotes(kind messages.RaftKind, term uint64, transfer bool) {
	c.out.word = true
	for _, id := range Members(c.conf) {
		if id == c.cfg.ID || !c.voter(id) {
			continue
		}
		m := c.message(kind, id, nil)
		m.Term, m.Index, m.LogTerm, m.Transfer = term, c.log.last(), c.log.lastTerm(), transfer
		m.Commit, m.HintTerm = c.commit, c.log.term(c.commit)
		c.out.later(m)
	}
}

// onVote grants at most one vote per term, first come first served, and only to a log that is at least as new as
// this one (thesis 3.6.1). A learner votes too: it may have been promoted without knowing it yet.
func (c *Core) onVote(m *messages.RaftMessage) error {
	c.learnCommit(m)
	if !m.Transfer && c.bound() {
		return ErrSticky
	}
	pre := m.Kind == messages.RaftKind_PRE_VOTE
	kind := messages.RaftKind_VOTE_REPLY
	if pre {
		kind = messages.RaftKind_PRE_VOTE_REPLY
	}
	free := c.vote == m.From || c.vote == 0 && c.lead == 0 || pre && m.Term > c.term
	if pre && c.engaged(m) {
		free = false
	}
	newer := m.LogTerm > c.log.lastTerm() || m.LogTerm == c.log.lastTerm() && m.Index >= c.log.last()
	reply := c.message(kind, m.From, nil)
	reply.Commit, reply.HintTerm = c.commit, c.log.term(c.commit)
	if !free || !newer || c.forgetful() {
		reply.Reject = true
		c.out.later(reply)
		return nil
	}
	reply.Term = m.Term
	c.back(m.From)
	if !pre {
		c.vote, c.out.word = m.From, true
	}
	c.out.later(reply)
	return nil
}

// forgetful tells of a replica that was emptied and has not got back what it had. Its old promises were about that, and the
// memberships that it hears of first may be those in which it was a voter: so it neither votes nor campaigns.
func (c *Core) forgetful() bool { return c.commit < c.floor }

// mayForget tells the leader of such a replica, also when it would be one again after a crash: it must not be made a voter,
// since there may be nobody else to elect a leader with.
func (c *Core) mayForget() bool { return c.out.durableCommit < c.floor }

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
	case won:
		if pre {
			c.campaign(Candidate, false)
		} else {
			c.takeOffice()
		}
	case lost:
		if c.role == Candidate {
			c.failed++
		}
		c.become(Follower, c.term, 0)
	}
	return nil
}

// learnCommit takes a commit index from a message that names the term there, if the entry there is the same in this log: what is
// committed is a fact, whoever says it and in whatever term. A replica may need it to learn who votes: the one that removed itself from
// the group has stepped down, has the longer log, and will never lead again.
func (c *Core) learnCommit(m *messages.RaftMessage) {
	if m.HintTerm != 0 && c.log.has(m.Commit, m.HintTerm) {
		c.commitTo(m.Commit)
	}
}

// poll records the first ballot of a replica in this election.
func (c *Core) poll(id uint64, granted bool) outcome {
	if !slices.ContainsFunc(c.votes, func(b ballot) bool { return b.id == id }) {
		c.votes = append(c.votes, ballot{id, granted})
	}
	return tally(c.conf, c.votes)
}

// takeOffice makes this replica the leader of its term. The empty entry lets it commit what came before (thesis 6.4),
// and tells everybody who leads.
func (c *Core) takeOffice() {
	c.become(Leader, c.term, c.cfg.ID)
	c.confPending = c.log.last()
	c.track()
	c.log.append([]*messages.Entry{{Index: c.log.last() + 1, Term: c.term, TimeMs: c.LogTime()}})
}

func (c *Core) onTimeoutNow() error {
	if c.role == Leader || !c.voter(c.cfg.ID) {
		return ErrUnwanted
	}
	c.called = true
	c.standIfCalled()
	return nil
}

// standIfCalled campaigns by order of a leader. That a membership is committed may come in the same turn as the order, when the
// leader is one that it leaves out: then the order is for the members after it, and waits until it has taken effect.
func (c *Core) standIfCalled() {
	if c.called && !c.confUnapplied() {
		c.called = false
		c.campaign(Candidate, true)
	}
}

// Transfer hands leadership to another voter (thesis 3.10): as soon as it has the whole log it is told to campaign
// at once. Until then proposals are refused; after an election timeout without success they are taken again.
func (c *Core) Transfer(to uint64) error {
	if c.role != Leader {
		return ErrNotLeader
	}
	if !c.stays(to) || to == c.cfg.ID {
		return ErrInvalidConf
	}
	c.Stir()
	c.transfer, c.transferTicks = to, 0
	c.pushTransfer()
	return nil
}

func (c *Core) pushTransfer() {
	if p := c.peer(c.transfer); p != nil && p.match == c.log.last() {
		c.leaseOver = true
		c.out.now(c.message(messages.RaftKind_TIMEOUT_NOW, p.id, nil))
	}
}

// quorumActive tells whether a quorum was heard of within an election timeout.
func (c *Core) quorumActive() bool {
	return agreed(c.conf, func(id uint64) uint64 {
		if p := c.peer(id); id == c.cfg.ID || p != nil && p.silent < c.cfg.ElectionTicks {
			return 1
		}
		return 0
	}) == 1
}
