package raft

import "github.com/eraft-io/eraft/messages"

// Leases (thesis 6.4.1) let a leader answer reads without asking a quorum first. Every replica that hears its leader
// promises to help nobody to replace it for Config.Promise, by its own clock; a leader whose Config.Lease is set counts
// on that for a shorter time, from when it *sent* the heartbeat that a quorum has answered. As long as no clock runs
// faster than another by more than Promise/Lease, nobody else can have committed anything while a lease lasts.
//
// The promise binds a replica whatever it learns: a later term, the loss of its leader, or a restart, after which it
// waits a whole Promise since it no longer knows. Only the leader itself can lift it, by handing leadership over; so a
// leader that has done that holds no lease any more in its term, since the order may still be on its way.
//
// All is judged by the clock that At tells of, which goes on while a process is stopped, and never by ticks.

// Nanos is a moment of a monotonic clock since its arbitrary start, or a span of it, in nanoseconds.
type Nanos int64

// At tells what time it is by this replica's monotonic clock. It must be called before inputs that came up to then are
// given to the core; time that goes back is ignored.
func (c *Core) At(now Nanos) { c.now = max(c.now, now) }

// bound tells whether this replica has promised not to help to replace its leader.
func (c *Core) bound() bool { return c.now < c.bindsTo }

func (c *Core) promise() {
	if c.cfg.Promise > 0 {
		c.bindsTo = c.now + c.cfg.Promise
	}
}

// bindRestarted holds a replica to what it may have promised before it forgot. Who never heard of a leader has not: a
// promise is only given when the leader's term is durable.
func (c *Core) bindRestarted() {
	newborn := c.term <= c.log.start.Term && c.log.start.Index <= 1 && len(c.log.entries) == 0
	if !newborn {
		c.promise()
	}
}

// askLease makes a heartbeat one that can renew the lease.
func (c *Core) askLease(m *messages.RaftMessage) {
	if c.cfg.Lease > 0 {
		m.LeaseAt, m.Promise = uint64(c.now), uint64(c.cfg.Promise)
	}
}

// grantLease answers a heartbeat that asks for a lease. A replica that promises less than the leader counts on, or that
// could forget the leader's term, does not.
func (c *Core) grantLease(m, reply *messages.RaftMessage) {
	if Nanos(m.Promise) <= c.cfg.Promise && c.out.durableTerm == c.term {
		reply.LeaseAt = m.LeaseAt
	}
}

// leaseLeft is how long this replica may answer reads by itself, 0 if it may not. A quorum of promises counts from when
// they were asked for, in a joint membership a quorum of either half; and the commit index must be known to be the
// newest, as for any read.
func (c *Core) leaseLeft() Nanos {
	if c.role != Leader || c.cfg.Lease <= 0 || c.leaseOver || c.log.term(c.commit) != c.term {
		return 0
	}
	since := agreed(c.conf, func(id uint64) uint64 {
		if id == c.cfg.ID {
			return uint64(c.now)
		}
		return c.peer(id).leaseAt
	})
	if since == 0 {
		return 0
	}
	return max(0, Nanos(since)+c.cfg.Lease-c.now)
}

// readByLease answers all reads that wait, if the lease lasts.
func (c *Core) readByLease() {
	if len(c.reads.waiting) == 0 || c.leaseLeft() == 0 {
		return
	}
	c.answerReads(c.reads.waiting, c.commit)
	c.reads.waiting = nil
}
