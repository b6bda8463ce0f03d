package router

import "time"

// patience says how long an attempt may stay unanswered until it is taken for lost. It learns from answers how long
// each node takes, as TCP does (RFC 6298): a node that is busy is slow, and to send it everything once more would make
// it slower.
type patience struct{ nodes map[uint64]*pulseOf }

// pulseOf is what is known of one node.
type pulseOf struct {
	heard  time.Duration // when it answered anything
	smooth time.Duration // of what it took for an answer
	spread time.Duration // and of how much that varied
}

const (
	shortestAttempt = 250 * time.Millisecond
	longestAttempt  = 2 * time.Second
)

// answered notes an answer that came now to a request that was first sent at since.
func (p *patience) answered(node uint64, since, now time.Duration) {
	took := now - since
	n := p.nodes[node]
	if n == nil {
		p.nodes[node] = &pulseOf{heard: now, smooth: took, spread: took / 2}
		return
	}
	n.heard = now
	n.spread += ((n.smooth - took).Abs() - n.spread) / 4
	n.smooth += (took - n.smooth) / 8
}

// attempt is how long to wait for the answer of a node, after so many attempts in vain.
func (p *patience) attempt(node uint64, vain int) time.Duration {
	wait := shortestAttempt
	if n := p.nodes[node]; n != nil {
		wait = max(wait, n.smooth+4*n.spread)
	}
	return min(wait<<min(max(vain, 0), 3), longestAttempt)
}

// alive tells whether the node has answered anything after since.
func (p *patience) alive(node uint64, since time.Duration) bool {
	n := p.nodes[node]
	return n != nil && n.heard > since
}
