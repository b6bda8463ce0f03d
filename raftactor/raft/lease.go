package raft

import "github.com/eraft-io/eraft/messages"

// Leases (thesis 6.4.1) let a leader answer reads without asking a quorum first. A replica that hears its leader grants it a lease: for
// Config.LeaseGrant, by its own clock, it votes for nobody else. A leader whose Config.Lease is set counts on that for a shorter
// time, from when it *sent* the heartbeat that a quorum has answered. As long as no clock runs faster than another by more than
// LeaseGrant/Lease, no other leader can have committed anything while the lease lasts.
//
// A grant blocks the votes of a replica whatever it learns afterwards: a later term, the loss of its leader, or a restart, after which
// it waits for a whole LeaseGrant, since it no longer knows what it has granted. Only the leader itself can lift the block, by
// transferring leadership. A leader that has offered its leadership has no lease any more in its term, since the order may still
// be on its way.
//
// Time is that of the clock that At tells of, which goes on while a process is stopped. Ticks do not matter here.

// Nanos is a moment of a monotonic clock since its arbitrary start, or a span of it, in nanoseconds.
type Nanos int64

// At tells the core what time it is by this replica's monotonic clock. The driver calls it before it gives the core inputs that came up
// to then; time that goes back is ignored.
func (c *Core) At(now Nanos) { c.now = max(c.now, now) }

// voteBlocked tells whether this replica has granted a lease that lasts: it must not help to replace that leader.
func (c *Core) voteBlocked() bool { return c.now < c.voteBlockedUntil }

// blockVotes grants the leader that was heard a lease.
func (c *Core) blockVotes() {
	if c.cfg.LeaseGrant > 0 {
		c.voteBlockedUntil = c.now + c.cfg.LeaseGrant
	}
}

// blockVotesAfterRestart keeps a replica to what it may have granted before it stopped. A replica that has never known a term has
// granted nothing, since it grants a lease only when the leader's term is durable.
func (c *Core) blockVotesAfterRestart() {
	newborn := c.term <= c.log.start.Term && c.log.start.Index <= 1 && len(c.log.entries) == 0
	if !newborn {
		c.blockVotes()
	}
}

// askLease makes a heartbeat ask for a lease.
func (c *Core) askLease(m *messages.RaftMessage) {
	if c.cfg.Lease > 0 {
		m.LeaseAt, m.LeaseGrant = uint64(c.now), uint64(c.cfg.LeaseGrant)
	}
}

// grantLease answers a heartbeat that asks for a lease. A replica whose grant is shorter than the leader needs, or that could forget
// the leader's term in a crash, grants none.
func (c *Core) grantLease(m, reply *messages.RaftMessage) {
	if Nanos(m.LeaseGrant) <= c.cfg.LeaseGrant && c.out.durableTerm == c.term {
		reply.LeaseAt = m.LeaseAt
	}
}

// leaseLeft is for how long this replica may answer reads without asking a quorum; 0: it may not. The lease begins when the heartbeats
// were sent that a quorum has answered, and the commit index must be known to be the newest, as for any read.
func (c *Core) leaseLeft() Nanos {
	if c.role != Leader || c.cfg.Lease <= 0 || c.leaseRevoked || c.log.term(c.commit) != c.term {
		return 0
	}
	since := votersOf(c.conf).Value(func(id uint64) uint64 {
		if id == c.cfg.ID {
			return uint64(c.now)
		}
		return c.follower(id).LeaseAt
	})
	if since == 0 {
		return 0
	}
	return max(0, Nanos(since)+c.cfg.Lease-c.now)
}

// readByLease answers all reads that wait, as long as the lease lasts.
func (c *Core) readByLease() {
	if len(c.reads.waiting) == 0 || c.leaseLeft() == 0 {
		return
	}
	c.answerReads(c.reads.waiting, c.commit)
	c.reads.waiting = nil
}
