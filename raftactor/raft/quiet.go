package raft

import "github.com/eraft-io/eraft/messages"

// A group in which nothing happens comes to rest: its leader says so with a last round of heartbeats, and from then on
// no replica counts ticks or sends anything. Any other message, a request, or word that a node is gone wakes a replica.
// Rest is only ever a matter of liveness: what a replica may do when it wakes is what it might have done before, and
// a leader at rest still asks a quorum before it answers a read. But somebody must watch the nodes meanwhile, since no
// election timeout runs: who drives the core calls Lost.

// Quiet tells whether this replica is at rest and needs no Tick.
func (c *Core) Quiet() bool { return c.quiet }

// Stir wakes the replica, or keeps it awake: something is to be done soon.
func (c *Core) Stir() { c.quiet, c.rested = false, 0 }

// Lost tells that a node is gone, or was for a while. If it led, this replica stands for election after what a follower
// waits beyond the minimum, and no longer keeps others from it.
func (c *Core) Lost(node uint64) {
	if !c.quiet {
		return // its own timeouts run
	}
	c.Stir()
	if c.role == Follower && c.lead == node {
		c.elapsed = max(c.elapsed, c.cfg.ElectionTicks)
	}
}

// stirring tells whether a message is a reason to wake up.
func stirring(m *messages.RaftMessage) bool {
	switch m.Kind {
	case messages.RaftKind_HEARTBEAT:
		return !m.Quiet
	case messages.RaftKind_HEARTBEAT_REPLY:
		return false
	}
	return true
}

// restIfSettled lets a leader rest when nothing has happened for a while and every replica has everything and can go on: a
// membership change may wait for one whose disk hangs.
func (c *Core) restIfSettled() {
	if c.cfg.RestTicks <= 0 || c.rested < c.cfg.RestTicks || !c.settled() {
		return
	}
	c.quiet = true
}

func (c *Core) settled() bool {
	last := c.log.last()
	if c.commit != last || c.applied != last || c.log.durable != last || c.transfer != 0 || c.confPending > c.emitted || joint(c.conf) ||
		len(c.reads.waiting)+len(c.reads.rounds) > 0 {
		return false
	}
	for _, p := range c.peers {
		if p.state != replicating || p.match != last || p.forgetful || p.hung || p.silent > 2*c.cfg.HeartbeatTicks {
			return false
		}
	}
	return true
}

// followToRest lets a follower rest with its leader, if it has what the leader has. One whose disk does not answer stays awake: when
// it does, its election timeout wakes the group, which hears of it.
func (c *Core) followToRest(m *messages.RaftMessage) {
	if m.Quiet {
		c.quiet = c.commit == m.Commit && c.log.last() == m.Commit && len(c.questions) == 0 && !c.stalled
	}
}
