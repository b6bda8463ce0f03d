package raft

import (
	"slices"

	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/raftactor/raft/progress"
)

// Status is a copy of a replica's state, for its driver and for people.
type Status struct {
	ID, Term, Leader     uint64
	Role                 Role
	Commit, Applied      uint64
	First, Last, Durable uint64 // indexes of the log: of its first and last entry, and up to which it is on the disk
	Conf                 *messages.ConfState
	ConfDurable          bool             // this replica will know Conf also after a crash
	Followers            []FollowerStatus // on leaders, by id
	Transferring         uint64           // replica that leadership is being transferred to; 0: none
	Lease                Nanos            // for how long this leader may answer reads without asking a quorum; 0: it may not
}

// FollowerStatus is a leader's view of one follower.
type FollowerStatus struct {
	ID, Match, Next uint64
	State           progress.State
	Active          bool // heard of within an election timeout
	Recovering      bool // it has lost its log and takes part in no election yet
	Stalled         bool // one of its disks does not answer: it should not lead
	Inflight        int  // appends that are on their way to it
}

// Soft is the part of a Status that can be told without allocating.
type Soft struct {
	Role         Role
	Term, Leader uint64
	First        uint64
}

// Soft is what the replica is at.
func (c *Core) Soft() Soft { return Soft{c.role, c.term, c.lead, c.log.first()} }

// Status is what the replica is at, whole.
func (c *Core) Status() Status {
	s := Status{
		ID: c.cfg.ID, Term: c.term, Leader: c.lead, Role: c.role, Commit: c.commit, Applied: c.applied,
		First: c.log.first(), Last: c.log.last(), Durable: c.log.durable, Conf: c.conf, ConfDurable: c.out.durableCommit >= c.confAt,
		Transferring: c.transferee,
		Lease:        c.leaseLeft(),
	}
	for _, p := range c.followers {
		s.Followers = append(s.Followers, FollowerStatus{
			ID: p.ID, Match: p.Match, Next: p.Next, State: p.State,
			Active: p.Match > 0 && p.SilentTicks < c.cfg.ElectionTicks, Inflight: p.Inflight(), Recovering: p.Recovering, Stalled: p.DiskStalled,
		})
	}
	return s
}

// HardState is what this replica must find on its disk after a crash.
func (c *Core) HardState() *messages.HardState {
	h := &messages.HardState{Term: c.term, Vote: c.vote, Commit: c.commit}
	if c.recovering() {
		h.VoteFloor = c.voteFloor
	}
	return h
}

// MemberAfter tells whether this replica has heard that it is a member as of a later index than this one, as of which it was none: from
// its leader, or by its own log, committed or not. What it has acknowledged since then counts for the member that it is now.
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

// HardStateOnRemoval is what is kept of this replica when it is no member any more and its log and data are deleted. index is where it is
// known to be none. Should it become a member again, it recovers until it has committed that index, and all that its log had.
func (c *Core) HardStateOnRemoval(index uint64) *messages.HardState {
	return &messages.HardState{Term: c.term, Vote: c.vote, VoteFloor: max(index, c.log.last(), c.voteFloor)}
}

// Restoring tells whether a snapshot is being installed.
func (c *Core) Restoring() bool { return c.out.restoring }

// Writing is how many writes are handed out and not Persisted.
func (c *Core) Writing() int { return len(c.out.writing) }

// Uncommitted tells whether there are entries behind the commit index.
func (c *Core) Uncommitted() bool { return c.log.last() > c.commit }

// LogTime is the log time of the newest entry, in milliseconds.
func (c *Core) LogTime() uint64 { return c.log.lastTime() }

// Voters of the membership that is in effect; of a joint one, those to come. The slice must not be changed.
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
