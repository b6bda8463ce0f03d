package raft

import (
	"slices"

	"github.com/eraft-io/eraft/messages"
)

// The rules in this file decide only when a replica campaigns and which campaign it supports, never whether an election is valid; see
// docs/adr/0024. An election takes two writes one after the other, the candidate's vote and then those of the voters, and each may
// wait for a write that is under way. On a slow disk that takes longer than any election timeout that is good on a fast disk. So:
//
//   - the election timeout does not run while an election message of this replica waits for its disk, and afterwards the replica
//     waits that much longer for the others' disks;
//   - a replica supports one campaign at a time;
//   - a candidate that has failed waits longer, and the range of timeouts gets wider.

// resetElectionTimeout draws for how many ticks this replica waits until it campaigns.
func (c *Core) resetElectionTimeout() {
	c.electionTimeout = c.cfg.ElectionTicks + c.cfg.Rand.IntN(c.cfg.ElectionTicks<<min(c.failedCandidacies, maxDoublings))
}

// maxDoublings bounds how often a failed candidacy doubles the range of timeouts.
const maxDoublings = 3

// tickElection lets a tick pass for a replica that does not lead.
func (c *Core) tickElection() {
	if c.lead == 0 && c.electionWritePending() {
		c.diskTicks++
		return
	}
	if c.electionElapsed++; c.electionElapsed < c.electionTimeout+2*c.diskTicks || c.voteBlocked() {
		return
	}
	if c.role == Candidate {
		c.failedCandidacies++
	}
	c.electionElapsed, c.diskTicks, c.supported = 0, 0, 0
	c.resetElectionTimeout()
	c.campaign(PreCandidate, false)
	if c.lead != 0 { // it may not campaign, but it hears no leader, so it must not keep others from voting
		c.become(Follower, c.term, 0)
	}
}

// electionWritePending tells whether an election message of this replica waits for its disk.
func (c *Core) electionWritePending() bool {
	return c.out.election || slices.ContainsFunc(c.out.writing, func(s step) bool { return s.election })
}

// support gives the campaign of another replica time, beginning now. A replica that knows a leader does not: the leader may be well.
func (c *Core) support(candidate uint64) {
	if c.lead != 0 || c.role == Candidate {
		return
	}
	if c.role == PreCandidate {
		c.become(Follower, c.term, 0)
	}
	c.supported, c.electionElapsed, c.diskTicks = candidate, 0, 0
}

// supportsAnother tells whether a request for a pre-vote is refused because this replica supports another campaign: its own, or, for an
// election timeout, the one that it has granted a vote before. Of two pre-candidates that ask each other one gives way: the one with
// the shorter log, or else with the higher id.
func (c *Core) supportsAnother(m *messages.RaftMessage) bool {
	switch {
	case c.lead != 0:
		return false
	case c.role == Candidate:
		return true
	case c.role == PreCandidate:
		longer := m.LogTerm > c.log.lastTerm() || m.LogTerm == c.log.lastTerm() && m.Index > c.log.last()
		return c.electionElapsed < c.cfg.ElectionTicks && !longer && m.From > c.cfg.ID
	}
	return c.supported != 0 && c.supported != m.From && c.electionElapsed < c.cfg.ElectionTicks
}
