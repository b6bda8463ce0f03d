package raft

import (
	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/raftactor/raft/progress"
	"github.com/eraft-io/eraft/raftactor/raft/quorum"
)

// follower is what a leader knows about a member; nil for this replica itself, for other nodes, and on followers.
func (c *Core) follower(id uint64) *progress.Progress {
	for _, p := range c.followers {
		if p.ID == id {
			return p
		}
	}
	return nil
}

// trackFollowers brings followers in line with the membership: those that are new are probed from the end of the log.
func (c *Core) trackFollowers() {
	var followers []*progress.Progress
	for _, id := range Members(c.conf) {
		if id == c.cfg.ID {
			continue
		}
		p := c.follower(id)
		if p == nil {
			p = &progress.Progress{ID: id, MemberSince: c.confAt, Next: c.log.last() + 1}
		}
		followers = append(followers, p)
	}
	c.followers = followers
}

// votersOf are the voters of a membership, in either half of a joint one.
func votersOf(conf *messages.ConfState) quorum.Voters {
	return quorum.Voters{Incoming: conf.GetVoters(), Outgoing: conf.GetOutgoing()}
}

// quorumActive tells whether this leader has heard a quorum, itself included, within an election timeout.
func (c *Core) quorumActive() bool {
	return votersOf(c.conf).Value(func(id uint64) uint64 {
		if p := c.follower(id); id == c.cfg.ID || p != nil && p.SilentTicks < c.cfg.ElectionTicks {
			return 1
		}
		return 0
	}) == 1
}

// durableAt is the index up to which this leader knows that a replica has its log on disk.
func (c *Core) durableAt(id uint64) uint64 {
	if id == c.cfg.ID {
		return c.log.durable
	}
	if p := c.follower(id); p != nil {
		return p.Match
	}
	return 0
}
