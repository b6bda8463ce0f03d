package router

import "time"

// patience says how long an attempt may stay unanswered until it is taken for lost. It learns from answers how long
// each node takes, as TCP does (RFC 6298): a node that is busy is slow, and to send it everything once more would make
// it slower.
type rttEstimator struct{ nodes map[uint64]*nodeRTT }

// nodeRTT is what is known of one node.
type nodeRTT struct {
	lastReply time.Duration // when it answered anything
	smoothed  time.Duration // of what it took for an answer
	variation time.Duration // and of how much that varied
}

const (
	minTimeout = 250 * time.Millisecond
	maxTimeout = 2 * time.Second
)

// answered notes an answer that came now to a request that was first sent at since.
func (p *rttEstimator) observe(node uint64, since, now time.Duration) {
	took := now - since
	n := p.nodes[node]
	if n == nil {
		p.nodes[node] = &nodeRTT{lastReply: now, smoothed: took, variation: took / 2}
		return
	}
	n.lastReply = now
	n.variation += ((n.smoothed - took).Abs() - n.variation) / 4
	n.smoothed += (took - n.smoothed) / 8
}

// attempt is how long to wait for the answer of a node, after so many attempts in vain.
func (p *rttEstimator) timeout(node uint64, retries int) time.Duration {
	wait := minTimeout
	if n := p.nodes[node]; n != nil {
		wait = max(wait, n.smoothed+4*n.variation)
	}
	return min(wait<<min(max(retries, 0), 3), maxTimeout)
}

// alive tells whether the node has answered anything after since.
func (p *rttEstimator) answeredSince(node uint64, since time.Duration) bool {
	n := p.nodes[node]
	return n != nil && n.lastReply > since
}
