package raftactor

import "time"

// proposalBatcher decides when the commands that a leader has gathered become the next entry. One entry of a group is on its way at a
// time, unless it gets too large: every entry costs each replica a sync and several messages, whatever it carries, so a few large
// entries serve a busy group sooner than many small ones.
//
// When an entry is committed, the sessions that it answers often send their next commands at once. Commands that came meanwhile wait for
// them, so that all travel together from then on, instead of in two halves by turns. They wait at most half as long as the
// entry took. Commands for a group that is idle do not wait. It is pure.
type proposalBatcher struct {
	busy     bool
	began    time.Duration // when the entry on its way was proposed
	timed    bool          // it has not been said yet how long that took
	size     int           // its commands
	expected int           // number of commands that will probably come together
	until    time.Duration // when the wait for them ends
}

// maxWait bounds the wait where a commit takes long, as between continents.
const maxWait = 5 * time.Millisecond

// observe notes, at every mailbox drain, whether an entry is on its way and how many commands have been gathered.
func (p *proposalBatcher) observe(now time.Duration, busy bool, gathered int) {
	if p.busy && !busy {
		p.expected, p.until = p.size+gathered, now
		if gathered > 0 {
			p.until += min((now-p.began)/2, maxWait)
		}
	}
	p.busy = busy
}

// wait is how long the commands gathered should still wait for others; 0: they should be proposed.
func (p *proposalBatcher) wait(now time.Duration, gathered int) time.Duration {
	if gathered >= p.expected {
		return 0
	}
	return max(p.until-now, 0)
}

// proposed notes that an entry is on its way.
func (p *proposalBatcher) proposed(now time.Duration, commands int) {
	p.busy, p.timed, p.began, p.size = true, true, now, commands
}

// took reports, once, how long an entry took from its proposal to its commit; ok is false while it is on its way.
func (p *proposalBatcher) took(now time.Duration, busy bool) (took time.Duration, ok bool) {
	if !p.timed || busy {
		return 0, false
	}
	p.timed = false
	return now - p.began, true
}
