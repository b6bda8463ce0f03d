package raft

import (
	"slices"

	"github.com/eraft-io/eraft/messages"
)

// What is here decides only when replicas campaign and help one another to, never whether an election is valid: docs/adr/0024.
// An election takes two writes one after the other, the candidate's ballot and then those of the others, and each may have to wait
// for a write that is under way. On a slow disk that is longer than any election timeout that is good on a fast one. So time does
// not run against an election while it waits for the own disk; others are given as long; a replica helps with one campaign at a
// time; and who has failed waits longer, and differs more from the others in how long.

// drawTimeout draws how long this replica waits until it campaigns.
func (c *Core) drawTimeout() {
	c.timeout = c.cfg.ElectionTicks + c.cfg.Rand.IntN(c.cfg.ElectionTicks<<min(c.failed, mostDoublings))
}

// mostDoublings is how often candidacies that fail make the range of timeouts larger.
const mostDoublings = 3

// tickElection lets a tick pass for who does not lead.
func (c *Core) tickElection() {
	if c.lead == 0 && c.speaking() {
		c.waited++
		return
	}
	if c.elapsed++; c.elapsed < c.timeout+2*c.waited || c.bound() {
		return
	}
	if c.role == Candidate {
		c.failed++
	}
	c.elapsed, c.waited, c.backs = 0, 0, 0
	c.drawTimeout()
	c.campaign(PreCandidate, false)
	if c.lead != 0 { // it may not campaign; but it hears no leader, and must not keep others from voting
		c.become(Follower, c.term, 0)
	}
}

// speaking tells whether something that this replica says in an election waits for its disk.
func (c *Core) speaking() bool {
	return c.out.word || slices.ContainsFunc(c.out.flight, func(s step) bool { return s.word })
}

// back gives the campaign of another replica time, beginning now. Who still knows a leader does not: the leader may be well.
func (c *Core) back(candidate uint64) {
	if c.lead != 0 || c.role == Candidate {
		return
	}
	if c.role == PreCandidate {
		c.become(Follower, c.term, 0)
	}
	c.backs, c.elapsed, c.waited = candidate, 0, 0
}

// engaged tells of a replica that asks for a pre-vote whether this one helps with another campaign: the one that it backs, for an
// election timeout, or its own. Of two that ask each other at the same time one gives way.
func (c *Core) engaged(m *messages.RaftMessage) bool {
	switch {
	case c.lead != 0:
		return false
	case c.role == Candidate:
		return true
	case c.role == PreCandidate:
		longer := m.LogTerm > c.log.lastTerm() || m.LogTerm == c.log.lastTerm() && m.Index > c.log.last()
		return c.elapsed < c.cfg.ElectionTicks && !longer && m.From > c.cfg.ID
	}
	return c.backs != 0 && c.backs != m.From && c.elapsed < c.cfg.ElectionTicks
}
