package router

import (
	"time"

	"github.com/eraft-io/eraft/messages"
)

// logClock estimates log time, which is the clock of the cluster: the last reading that a reply carried, plus what has passed
// since. It has no clock of its own.
type logClock struct {
	lastMs uint64        // last reading, Unix milliseconds; 0: none yet
	lastAt time.Duration // when it was received, by the Session's clock
}

// observe records a reading that was received now; 0: none.
func (c *logClock) observe(ms uint64, now time.Duration) {
	if ms != 0 {
		c.lastMs, c.lastAt = ms, now
	}
}

// now is log time in Unix milliseconds. Before the first reading it is the machine's own time of day, wall.
func (c *logClock) now(now time.Duration, wall time.Time) uint64 {
	if c.lastMs == 0 {
		return uint64(wall.UnixMilli())
	}
	return c.lastMs + uint64((now - c.lastAt).Milliseconds())
}

// observeLogTime records the log time of a reply. A replica that says it has a feature level which the Router's config may not
// have yet.
func (s *Session) observeLogTime(ms uint64) {
	s.logClock.observe(ms, s.system.Clock.Now())
	if ms != 0 && s.routes.level < messages.DeadlineLevel {
		s.feedback(routeFeedback{newerLevel: true})
	}
}

// applySlack is the time from a request's deadline to its apply deadline, in case log time is ahead of the estimate.
const applySlack = 10 * time.Second

// applyDeadline is the log time in milliseconds from which on groups refuse a command. It holds for all attempts, so a late
// copy is as harmless as a retry.
func (s *Session) applyDeadline(r *request) uint64 {
	now := s.system.Clock.Now()
	return s.logClock.now(now, s.system.Clock.Wall()) + uint64((r.deadline - now + applySlack).Milliseconds())
}
