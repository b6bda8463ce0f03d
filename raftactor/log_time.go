package raftactor

import (
	"slices"
	"time"

	"github.com/eraft-io/eraft/actors"
	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/raftactor/raft"
)

// logTime is the time with which a leader stamps entries. It follows the clock of the majority of the voters: the leader's own clock, if
// it is close to the majority's, else the majority's; at once, however far that is ahead of the newest entry. It never goes back, and
// where the log is ahead of the clocks it runs at half speed. No safety depends on its speed. It is pure.
type logTime struct {
	last   uint64           // newest stamp, in ms
	at     time.Duration    // monotonic, when it was given
	clocks map[uint64]clock // of other nodes, by node id
}

// clock is the time of day that a node has told.
type clock struct {
	ms uint64
	at time.Duration // monotonic, when the message came
}

// clockTolerance is how far a leader's clock may be from that of most voters.
const clockTolerance = 1000 // ms

func newLogTime() logTime { return logTime{clocks: map[uint64]clock{}} }

// observe notes the time of day of a node, in ms; 0: it did not tell.
func (t *logTime) observe(node, ms uint64, now time.Duration) {
	if ms != 0 {
		t.clocks[node] = clock{ms, now}
	}
}

// majority is the time of day, in ms, of the majority of the voters, where wall is this node's own; false: too few have told theirs.
func (t *logTime) majority(self, wall uint64, now time.Duration, voters []uint64) (uint64, bool) {
	var all []uint64
	for _, id := range voters {
		if c, known := t.clocks[id]; id == self {
			all = append(all, wall)
		} else if known {
			all = append(all, c.ms+uint64((now-c.at).Milliseconds()))
		}
	}
	if len(all) <= len(voters)/2 {
		return 0, false
	}
	// Of an even number it is the lower one: one clock that is ahead is never believed.
	slices.Sort(all)
	if middle := all[(len(all)-1)/2]; wall+clockTolerance < middle || middle+clockTolerance < wall || !slices.Contains(voters, self) {
		return middle, true
	}
	return wall, true
}

// stamp is the log time now, given the newest stamp in the log and the majority's clock; ok tells whether that is known.
func (t *logTime) stamp(now time.Duration, newest, majority uint64, ok bool) uint64 {
	if newest > t.last || t.last == 0 {
		t.last, t.at = newest, now
	}
	passed := uint64((now - t.at).Milliseconds())
	next := t.last + passed
	switch {
	case ok && majority >= t.last:
		next = majority
	case ok:
		next = t.last + passed/2
	}
	if next > t.last {
		t.last, t.at = next, now
	}
	return next
}

// stampSlow is the log time of nodes that do not tell one another their clocks: it follows the node's own monotonic clock, and catches up
// with the node's own time of day at no more than double speed, so that no session expires because a clock jumps.
func (t *logTime) stampSlow(now time.Duration, newest, wall uint64) uint64 {
	if t.last == 0 && newest == 0 {
		t.last, t.at = wall, now
		return wall
	}
	if newest > t.last {
		t.last, t.at = newest, now
		return newest
	}
	passed := uint64((now - t.at).Milliseconds())
	stamp := t.last + passed
	if stamp < wall {
		stamp = min(stamp+passed, wall)
	}
	if passed > 0 {
		t.last, t.at = stamp, now
	}
	return stamp
}

// logClock is the clock by which a Peer stamps entries, and by which it refuses commands whose deadline has passed.
type logClock struct {
	clock actors.Clock
	node  uint64
	time  logTime
	floor uint64 // log time of the Machine, below which no entry may be; in ms. 0: it has none
	drain uint64 // log time as of this mailbox drain, in ms; 0: not needed yet
}

// stampedLog is what a logClock needs of a raft.Core.
type stampedLog interface {
	LogTime() uint64
	Voters() []uint64
}

// now is the stamp, in ms, of an entry that is proposed now in a cluster of a feature level.
func (c *logClock) now(log stampedLog, level messages.Level) uint64 {
	now, wall, newest := c.clock.Now(), uint64(c.clock.Wall().UnixMilli()), log.LogTime()
	if level < messages.DeadlineLevel {
		return c.time.stampSlow(now, newest, wall)
	}
	newest = max(newest, c.floor)
	majority, ok := c.time.majority(c.node, wall, now, log.Voters())
	if !ok && newest == 0 {
		majority, ok = wall, true // a log that has no time yet takes the first clock that there is
	}
	return c.time.stamp(now, newest, majority, ok)
}

// ofDrain is now, the same for a whole mailbox drain.
func (c *logClock) ofDrain(log stampedLog, level messages.Level) uint64 {
	if c.drain == 0 {
		c.drain = c.now(log, level)
	}
	return c.drain
}

// logTime is the stamp of an entry that is proposed now.
func (p *Peer) logTime() uint64 { return p.clock.now(p.core, messages.Level(p.level())) }

// level is the feature level that new entries carry; 0 while the cluster has the first level, as nodes do that know none.
func (p *Peer) level() uint32 {
	if p.o.Cluster == nil || p.o.Cluster() <= messages.FirstLevel {
		return 0
	}
	return uint32(p.o.Cluster())
}

// refuseExpired refuses a command whose deadline has passed, or is too far ahead, and tells the session the log time. It reports whether
// it did.
func (p *Peer) refuseExpired(to recipient, command []byte) bool {
	deadline := messages.DeadlineOf(command)
	if deadline == 0 || p.core.Soft().Role != raft.Leader {
		return false
	}
	now := p.clock.ofDrain(p.core, messages.Level(p.level()))
	why := messages.CheckDeadline(deadline, now)
	if why != nil {
		p.replies.setTime(now)
		p.replies.refuse(to, command, why)
	}
	return why != nil
}
