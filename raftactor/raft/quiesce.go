package raft

import (
	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/raftactor/raft/progress"
)

// A group in which nothing happens quiesces: its leader says so in a last round of heartbeats, and from then on no replica counts
// ticks or sends anything. Any other message, a request, or the suspicion that a node is gone wakes a replica. This concerns
// liveness only: a replica that wakes may do what it might have done before, and a quiesced leader still asks a quorum before it
// answers a read. No election timeout runs in a quiesced group, so the driver watches the nodes and calls NodeSuspected.

// Quiesced tells whether this replica needs no Tick.
func (c *Core) Quiesced() bool { return c.quiesced }

// Wake ends that, or keeps the replica from quiescing: something is to be done soon.
func (c *Core) Wake() { c.quiesced, c.idleTicks = false, 0 }

// NodeSuspected tells the core that a node is gone, or was for a while. If it led this group, this replica campaigns after the rest of
// its election timeout, and no longer keeps others from voting.
func (c *Core) NodeSuspected(node uint64) {
	if !c.quiesced {
		return // its own timeouts run
	}
	c.Wake()
	if c.role == Follower && c.lead == node {
		c.electionElapsed = max(c.electionElapsed, c.cfg.ElectionTicks)
	}
}

// wakes tells whether a message is a reason to wake.
func wakes(m *messages.RaftMessage) bool {
	switch m.Kind {
	case messages.RaftKind_HEARTBEAT:
		return !m.Quiesce
	case messages.RaftKind_HEARTBEAT_REPLY:
		return false
	}
	return true
}

// quiesceIfIdle quiesces a leader when nothing has happened for a while and every follower has everything. One whose disk does not
// answer keeps the group awake: a membership change may wait for it.
func (c *Core) quiesceIfIdle() {
	if c.cfg.QuiesceTicks <= 0 || c.idleTicks < c.cfg.QuiesceTicks || !c.idle() {
		return
	}
	c.quiesced = true
}

// idle tells whether this leader has nothing left to do.
func (c *Core) idle() bool {
	last := c.log.last()
	if c.commit != last || c.applied != last || c.log.durable != last || c.transferee != 0 || c.confPending > c.emitted || joint(c.conf) ||
		len(c.reads.waiting)+len(c.reads.rounds) > 0 {
		return false
	}
	for _, p := range c.followers {
		if p.State != progress.Replicate || p.Match != last || p.Recovering || p.DiskStalled || p.SilentTicks > 2*c.cfg.HeartbeatTicks {
			return false
		}
	}
	return true
}

// quiesceWithLeader quiesces a follower whose leader does, if it has what the leader has. One whose disk does not answer stays awake: its
// election timeout wakes the group, which then learns of the disk.
func (c *Core) quiesceWithLeader(m *messages.RaftMessage) {
	if m.Quiesce {
		c.quiesced = c.commit == m.Commit && c.log.last() == m.Commit && len(c.forwarded) == 0 && !c.diskStalled
	}
}
