package raft

import "github.com/eraft-io/eraft/messages"

// A replica whose disk does not answer can do nothing that must be durable, or cannot apply and answer anything, but its
// heartbeats would keep it the leader and its group frozen. So a leader that hears of it offers leadership to another voter, which
// needs no disk; if that does not take it within the time for a transfer the leader steps down (fences itself), and until the disk
// answers again it does not campaign. Its writes are still under way, and are never taken for failed. A follower whose disk does not
// answer says so, and is offered nothing.

// Stalled tells that a disk, of the log or of the data, has not answered for too long, or that it does again.
func (c *Core) Stalled(stalled bool) {
	if c.stalled = stalled; stalled {
		c.Stir()
	}
}

// yieldIfStalled is a leader's next step to be rid of its office, if it should. Where nobody else could lead it stays.
func (c *Core) yieldIfStalled() {
	if !c.stalled || c.transfer != 0 {
		return
	}
	heir := c.heir()
	switch {
	case heir == nil:
	case c.yielded:
		c.become(Follower, c.term, 0)
	case c.Transfer(heir.id) == nil:
		c.yielded = true
	}
}

// heir is the voter that could lead best, of those that were heard of lately: who has most of the log. nil: nobody.
func (c *Core) heir() (heir *progress) {
	for _, p := range c.peers {
		if c.stays(p.id) && !p.hung && p.match > 0 && p.silent < c.cfg.ElectionTicks && (heir == nil || p.match > heir.match) {
			heir = p
		}
	}
	return heir
}

// retire ends the office of a leader that is no voter any more: it has served until its removal was committed, tells
// the others that it is, and lets the one that is furthest follow it (thesis 4.2.2).
func (c *Core) retire() {
	c.heartbeat()
	if heir := c.heir(); heir != nil {
		c.out.now(c.message(messages.RaftKind_TIMEOUT_NOW, heir.id, nil))
	}
	c.become(Follower, c.term, 0)
}
