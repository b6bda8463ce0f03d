package router

import (
	"time"

	"github.com/eraft-io/eraft/messages"
)

// clusterTime is what log time is, as far as a Session knows: what it heard last, and what has passed since then. It is pure.
type clusterTime struct {
	ms    uint64
	heard time.Duration
}

func (t *clusterTime) hear(ms uint64, now time.Duration) {
	if ms != 0 {
		t.ms, t.heard = ms, now
	}
}

// now is log time; before anything was heard the own time of day must do.
func (t *clusterTime) now(now time.Duration, wall time.Time) uint64 {
	if t.ms == 0 {
		return uint64(wall.UnixMilli())
	}
	return t.ms + uint64((now - t.heard).Milliseconds())
}

// onTime learns log time. Who says it has a feature level that the Router's config may not have yet.
func (s *Session) onTime(ms uint64) {
	s.time.hear(ms, s.system.Clock.Now())
	if ms != 0 && s.level < messages.DeadlineLevel {
		s.tell(healed{outdated: true})
	}
}

// untilSlack is how much longer than its Session a command may be tried, in case log time is ahead of what is known of it.
const untilSlack = 10 * time.Second

// until is when a request may be applied at the latest, in log time: in all its attempts, so that a late copy is as harmless as a
// retry.
func (s *Session) until(p *pending) uint64 {
	now := s.system.Clock.Now()
	return s.time.now(now, s.system.Clock.Wall()) + uint64((p.deadline - now + untilSlack).Milliseconds())
}

// expired gives a request another time, if nobody can have applied it: its first one came from a clock that is wrong. The answer
// has said what log time is. Else its bytes must not change: what is kept of it is kept until the time that was seen.
func (s *Session) expired(p *pending, from receiver) {
	p.refused(from)
	if p.maybe() {
		s.later(p)
		return
	}
	p.encoded = messages.WithDeadline(p.encoded, s.until(p))
	s.try(p)
}
