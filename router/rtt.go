package router

import "time"

// rttEstimator estimates for each node how long a request may stay unanswered before it is taken for lost: the
// retransmission timeout of TCP (RFC 6298). A node that is busy is slow, and sending it everything once more would make it
// slower.
type rttEstimator struct{ nodes map[uint64]*nodeRTT }

// nodeRTT is what is known of one node.
type nodeRTT struct {
	lastReply time.Duration // time of the last reply
	smoothed  time.Duration // smoothed round-trip time (SRTT)
	variation time.Duration // of the round-trip time (RTTVAR)
}

const (
	minTimeout = 250 * time.Millisecond
	maxTimeout = 2 * time.Second
)

// observe records a reply that came now to a request that was first sent at since.
func (e *rttEstimator) observe(node uint64, since, now time.Duration) {
	took := now - since
	n := e.nodes[node]
	if n == nil {
		e.nodes[node] = &nodeRTT{lastReply: now, smoothed: took, variation: took / 2}
		return
	}
	n.lastReply = now
	n.variation += ((n.smoothed - took).Abs() - n.variation) / 4
	n.smoothed += (took - n.smoothed) / 8
}

// timeout is how long to wait for a reply of a node, after so many failed attempts. It doubles with each of the first three.
func (e *rttEstimator) timeout(node uint64, failed int) time.Duration {
	wait := minTimeout
	if n := e.nodes[node]; n != nil {
		wait = max(wait, n.smoothed+4*n.variation)
	}
	return min(wait<<min(max(failed, 0), 3), maxTimeout)
}

// answeredSince reports whether the node has replied to any request after since.
func (e *rttEstimator) answeredSince(node uint64, since time.Duration) bool {
	n := e.nodes[node]
	return n != nil && n.lastReply > since
}
