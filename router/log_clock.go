package router

import (
	"time"

	"github.com/eraft-io/eraft/messages"
)

// logClock is what log time is, as far as a Session knows: what it heard last, and what has passed since then. It is pure.
type logClock struct {
	lastMs uint64
	lastAt time.Duration
}

func (t *logClock) observe(ms uint64, now time.Duration) {
	if ms != 0 {
		t.lastMs, t.lastAt = ms, now
	}
}

// now is log time; before anything was heard the own time of day must do.
func (t *logClock) now(now time.Duration, wall time.Time) uint64 {
	if t.lastMs == 0 {
		return uint64(wall.UnixMilli())
	}
	return t.lastMs + uint64((now - t.lastAt).Milliseconds())
}

// observeLogTime learns log time. Who says it has a feature level that the Router's config may not have yet.
func (s *Session) observeLogTime(ms uint64) {
	s.logClock.observe(ms, s.system.Clock.Now())
	if ms != 0 && s.level < messages.DeadlineLevel {
		s.feedback(healed{outdated: true})
	}
}

// applySlack is how much longer than its Session a command may be tried, in case log time is ahead of what is known of it.
const applySlack = 10 * time.Second

// until is when a request may be applied at the latest, in log time: in all its attempts, so that a late copy is as harmless as a
// retry.
func (s *Session) applyDeadline(p *request) uint64 {
	now := s.system.Clock.Now()
	return s.logClock.now(now, s.system.Clock.Wall()) + uint64((p.deadline - now + applySlack).Milliseconds())
}

// expired gives a request another time, if nobody can have applied it: its first one came from a clock that is wrong. The answer
// has said what log time is. Else its bytes must not change: what is kept of it is kept until the time that was seen.
func (s *Session) onExpired(p *request, from replica) {
	p.noteRefused(from)
	if p.maybeApplied() {
		s.backoff(p)
		return
	}
	p.encoded = messages.WithDeadline(p.encoded, s.applyDeadline(p))
	s.attempt(p)
}
