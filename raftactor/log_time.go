package raftactor

import (
	"slices"
	"time"

	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/raftactor/raft"
)

// logTime is the time with which a leader stamps entries. It follows the clock of the majority: of its own clock, if it says about
// what most voters say, else of theirs, and at once, however far that is ahead of the newest entry. It never goes back, and
// where the log is ahead of the clocks it goes at half speed. No safety depends on its speed. It is pure.
type logTime struct {
	last   uint64        // newest stamp, in ms
	at     time.Duration // when it was given
	clocks map[uint64]clock
}

// clock is what a node's time of day was.
type clock struct {
	ms uint64
	at time.Duration // when that was heard
}

// clockTolerance is how far a leader's clock may be from that of most voters.
const clockTolerance = 1000 // ms

func newLogTime() logTime { return logTime{clocks: map[uint64]clock{}} }

// hear notes the time of day of a node; 0: it did not say.
func (t *logTime) observe(node, ms uint64, now time.Duration) {
	if ms != 0 {
		t.clocks[node] = clock{ms, now}
	}
}

// majority is what most voters say that the time of day is, of which wall is the own; false: too few have said anything.
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

// stamp is log time now, given the newest stamp in the log and the clock of the majority; ok: it is known.
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

// stampSlow is log time as nodes keep it that do not tell one another their clocks: it follows the own monotonic clock, and
// catches up with the own time of day at no more than double speed, so that a clock that jumps has no session forgotten.
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

// logTime is the stamp of an entry that is proposed now.
func (p *Peer) logTime() uint64 {
	now, wall, newest := p.o.System.Clock.Now(), uint64(p.o.System.Clock.Wall().UnixMilli()), p.core.LogTime()
	if messages.Level(p.level()) < messages.DeadlineLevel {
		return p.time.stampSlow(now, newest, wall)
	}
	if v, is := p.view.(Timed); is {
		newest = max(newest, v.LogTime())
	}
	majority, ok := p.time.majority(uint64(p.o.Node), wall, now, p.core.Voters())
	if !ok && newest == 0 {
		majority, ok = wall, true // a log that has no time yet takes the first clock that there is
	}
	return p.time.stamp(now, newest, majority, ok)
}

// stampClock has answers of other replicas tell them what the time of day is here.
func (p *Peer) stampClock(m *messages.RaftMessage) {
	switch m.Kind {
	case messages.RaftKind_HEARTBEAT_REPLY, messages.RaftKind_VOTE_REPLY, messages.RaftKind_PRE_VOTE_REPLY:
		m.ClockMs = uint64(p.o.System.Clock.Wall().UnixMilli())
	}
}

// late refuses a command whose time is over, or too far ahead, and says what the time is.
func (p *Peer) refuseExpired(to recipient, command []byte) bool {
	until := messages.DeadlineOf(command)
	if until == 0 || p.core.Soft().Role != raft.Leader {
		return false
	}
	if p.drainTime == 0 {
		p.drainTime = p.logTime()
	}
	why := messages.CheckDeadline(until, p.drainTime)
	if why != nil {
		p.replies.setTime(p.drainTime)
		p.replies.refuse(to, command, why)
	}
	return why != nil
}
