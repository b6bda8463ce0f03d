package raft

import (
	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/raftactor/raft/progress"
)

// A leader whose disk does not answer cannot commit, or cannot apply and answer, but its heartbeats would keep it the leader, and
// its group would stand still. So it offers leadership to another voter, for which it needs no disk. If that voter does not take over
// within an election timeout, the leader steps down. Until the disk answers again the replica does not campaign. Its writes are still
// under way and never count as failed. A follower whose disk does not answer says so in its replies, and is offered nothing.

// Stalled tells the core that a disk, of the log or of the data, has not answered for too long, or that it answers again.
func (c *Core) Stalled(stalled bool) {
	if c.diskStalled = stalled; stalled {
		c.Wake()
	}
}

// stepDownIfStalled offers the leadership of a leader whose disk does not answer, and then gives it up. It stays if no other voter
// could lead.
func (c *Core) stepDownIfStalled() {
	if !c.diskStalled || c.transferee != 0 {
		return
	}
	to := c.bestTransferee()
	switch {
	case to == nil:
	case c.transferOffered:
		c.become(Follower, c.term, 0)
	case c.Transfer(to.ID) == nil:
		c.transferOffered = true
	}
}

// BestTransferee is the voter that takes over soonest if leadership is transferred to it; 0: there is none, or this replica does not lead.
func (c *Core) BestTransferee() uint64 {
	if p := c.bestTransferee(); p != nil {
		return p.ID
	}
	return 0
}

// bestTransferee is the voter with the longest log of those that were heard within an election timeout and whose disks answer; nil: none.
func (c *Core) bestTransferee() (best *progress.Progress) {
	for _, p := range c.followers {
		if c.isIncomingVoter(p.ID) && !p.DiskStalled && p.Match > 0 && p.SilentTicks < c.cfg.ElectionTicks && (best == nil || p.Match > best.Match) {
			best = p
		}
	}
	return best
}

// stepDownRemoved ends the leadership of a leader that is no voter any more. It has led until its removal was committed (thesis
// 4.2.2), tells the others that it is, and orders the voter with the longest log to campaign.
func (c *Core) stepDownRemoved() {
	c.heartbeat()
	if to := c.bestTransferee(); to != nil {
		c.out.sendNow(c.message(messages.RaftKind_TIMEOUT_NOW, to.ID, nil))
	}
	c.become(Follower, c.term, 0)
}
