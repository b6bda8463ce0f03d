package raft

import (
	"slices"

	"github.com/eraft-io/eraft/messages"
)

// Status is a copy of what a replica is at.
type Status struct {
	ID, Term, Leader     uint64
	Role                 Role
	Commit, Applied      uint64
	First, Last, Durable uint64 // of the log; First is the first entry that is there
	Conf                 *messages.ConfState
	ConfSure             bool             // it will be known also after a crash
	Followers            []FollowerStatus // on leaders, by id
	Transferring         uint64
	Lease                Nanos // how long this leader may answer reads without asking a quorum; 0: it may not
}

// FollowerStatus is a leader's view of one follower.
type FollowerStatus struct {
	ID, Match, Next uint64
	State           string
	Active          bool // heard of within an election timeout
	Forgetful       bool // it was emptied, and takes part in no election yet
	Stalled         bool // a disk of its does not answer: it should not lead
	Inflight        int
}

// Soft is the part of Status that costs nothing.
type Soft struct {
	Role         Role
	Term, Leader uint64
	First        uint64
}

// Soft tells role, term, leader and start of the log.
func (c *Core) Soft() Soft { return Soft{c.role, c.term, c.lead, c.log.first()} }

// Status tells everything.
func (c *Core) Status() Status {
	s := Status{
		ID: c.cfg.ID, Term: c.term, Leader: c.lead, Role: c.role, Commit: c.commit, Applied: c.applied,
		First: c.log.first(), Last: c.log.last(), Durable: c.log.durable, Conf: c.conf, ConfSure: c.out.durableCommit >= c.confAt,
		Transferring: c.transfer,
		Lease:        c.leaseLeft(),
	}
	for _, p := range c.peers {
		s.Followers = append(s.Followers, FollowerStatus{
			ID: p.id, Match: p.match, Next: p.next, State: p.state.String(),
			Active: p.match > 0 && p.silent < c.cfg.ElectionTicks, Inflight: len(p.flight), Forgetful: p.forgetful, Stalled: p.hung,
		})
	}
	return s
}

// HardState is what this replica must never forget.
func (c *Core) HardState() *messages.HardState {
	h := &messages.HardState{Term: c.term, Vote: c.vote, Commit: c.commit}
	if c.forgetful() {
		h.Floor = c.floor
	}
	return h
}

// MemberAfter tells whether this replica has heard that it is a member later than at index, where it was none: from its
// leader, or by its own log, committed or not. What it has acknowledged since then counts for what it is now.
func (c *Core) MemberAfter(index uint64) bool {
	if c.role == Leader || c.memberAt > index {
		return true
	}
	if c.log.last() <= index {
		return false
	}
	conf, member := c.conf, slices.Contains(Members(c.conf), c.cfg.ID)
	for _, e := range c.log.slice(c.emitted+1, c.log.last()) {
		if next, err := ApplyConfEntry(conf, e); err == nil {
			conf = next
			member = member || slices.Contains(Members(conf), c.cfg.ID)
		}
	}
	return member
}

// Retired is what it must not forget when it is a member no more and its log and data are deleted. index is where it is known
// to be none. Should it become a member again, it is as good as the one it was when it is at that index again, and at
// the end of the log that it had.
func (c *Core) Retired(index uint64) *messages.HardState {
	return &messages.HardState{Term: c.term, Vote: c.vote, Floor: max(index, c.log.last(), c.floor)}
}

// Restoring tells whether a snapshot is being installed.
func (c *Core) Restoring() bool { return c.out.restoring }

// Writing is how many steps are handed out and not yet Persisted.
func (c *Core) Writing() int { return len(c.out.flight) }

// Uncommitted tells whether the log goes on behind the commit index.
func (c *Core) Uncommitted() bool { return c.log.last() > c.commit }

// LogTime is the stamp of the newest entry.
func (c *Core) LogTime() uint64 { return c.log.lastTime() }

// Voters of the membership that is in effect; of a joint one, those to come. They must not be changed.
func (c *Core) Voters() []uint64 { return c.conf.GetVoters() }

// LogBytes is about how much memory the retained log takes.
func (c *Core) LogBytes() int { return c.log.bytes }

// TailStart is the index before the newest entries that together take about that many bytes.
func (c *Core) TailStart(bytes int) uint64 {
	index := c.log.last()
	for size := 0; index > c.log.start.Index; index-- {
		if size += entryBytes(c.log.entries[index-c.log.first()]); size > bytes {
			break
		}
	}
	return index
}
