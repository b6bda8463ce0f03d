package raftactor

import "time"

// preference decides when a leader hands over to the preferred one, which is the first that the config names for a
// group. That one must have been up to date for a while, its patience: else it would get the leadership just to delay
// everybody. And leadership must not wander to and fro: each time the preferred leader does not take it, or does not keep
// it for as long, the patience doubles; once it has kept it, all is forgiven. Every replica watches who leads, so the
// next leader knows as well.
type preference struct {
	patience time.Duration // 0: as at first
	since    time.Duration // when the preferred leader was seen to be up to date; 0: it is not
	tried    bool          // this leader has handed over to it, in vain so far
	leads    bool
	took     time.Duration // when it took the leadership
}

const (
	firstPatience = 10 * time.Second
	lastPatience  = 10 * time.Minute
)

// observe is told whenever a replica sees another leader, or none.
func (p *preference) observe(now time.Duration, preferred bool) {
	p.since, p.tried = 0, false
	if preferred == p.leads {
		return
	}
	if p.leads = preferred; preferred {
		p.took = now
		return
	}
	if now-p.took >= p.waits() {
		p.patience = firstPatience
	} else {
		p.double()
	}
}

// ripe is asked by a leader that is not the preferred one, again and again: whether to hand over now.
func (p *preference) ripe(now time.Duration, upToDate bool) bool {
	switch {
	case !upToDate:
		p.since = 0
		return false
	case p.since == 0:
		if p.since = max(now, 1); p.tried {
			p.double()
		}
		return false
	case now-p.since < p.waits():
		return false
	}
	p.since, p.tried = 0, true
	return true
}

func (p *preference) waits() time.Duration { return max(p.patience, firstPatience) }

func (p *preference) double() { p.patience = min(2*p.waits(), lastPatience) }
