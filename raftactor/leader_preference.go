package raftactor

import "time"

// leaderPreference decides when a leader transfers its leadership to the preferred leader, the first replica that the config names for
// a group. The preferred leader must have been up to date for a while, the backoff, so that it does not delay everybody. And
// leadership must not wander to and fro: each time the preferred leader does not take it, or does not keep it for as long as the
// backoff, the backoff doubles; when it has kept it for so long, the backoff is what it was at first. Every replica observes who
// leads, so the next leader knows as well.
type leaderPreference struct {
	backoff    time.Duration // 0: minBackoff
	since      time.Duration // since when the preferred leader has been up to date; 0: it is not
	tried      bool          // this leader has transferred leadership to it, without success so far
	leads      bool
	leadsSince time.Duration // when it took the leadership
}

const (
	minBackoff = 10 * time.Second
	maxBackoff = 10 * time.Minute
)

// observe notes that a replica sees another leader, or none, and whether it is the preferred one.
func (p *leaderPreference) observe(now time.Duration, preferred bool) {
	p.since, p.tried = 0, false
	if preferred == p.leads {
		return
	}
	if p.leads = preferred; preferred {
		p.leadsSince = now
		return
	}
	if now-p.leadsSince >= p.wait() {
		p.backoff = minBackoff
	} else {
		p.doubleBackoff()
	}
}

// due tells a leader that is not the preferred one whether to transfer leadership now. It is asked at every tick.
func (p *leaderPreference) due(now time.Duration, upToDate bool) bool {
	switch {
	case !upToDate:
		p.since = 0
		return false
	case p.since == 0:
		if p.since = max(now, 1); p.tried {
			p.doubleBackoff()
		}
		return false
	case now-p.since < p.wait():
		return false
	}
	p.since, p.tried = 0, true
	return true
}

func (p *leaderPreference) wait() time.Duration { return max(p.backoff, minBackoff) }

func (p *leaderPreference) doubleBackoff() { p.backoff = min(2*p.wait(), maxBackoff) }
