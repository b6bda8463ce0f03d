package router

import (
	"math/rand/v2"
	"time"
)

// retryPolicy says when a Session makes the next attempt of a request, and when a node counts as silent.
type retryPolicy struct {
	rtt rttEstimator
	rng *rand.Rand // spreads the attempts of many requests
}

const (
	minBackoff = 10 * time.Millisecond
	maxBackoff = 100 * time.Millisecond
	// A bucket that migrates is served by no group for some milliseconds.
	minMoveRetry   = 3 * time.Millisecond
	maxMoveRetry   = 5 * time.Millisecond
	maxMoveRetries = 100 // of one request; from then on the bucket's new group is taken for unavailable
	// maxLostWhileAlive is the number of attempts that may get lost at a node that answers other requests, before the node
	// counts as silent: the group may be stuck there.
	maxLostWhileAlive = 2
)

func newRetryPolicy(rng *rand.Rand) retryPolicy {
	return retryPolicy{rtt: rttEstimator{map[uint64]*nodeRTT{}}, rng: rng}
}

// timeout is how long the next attempt of a request may stay without a reply before it is taken for lost.
func (p *retryPolicy) timeout(r *request) time.Duration {
	return p.rtt.timeout(r.lastReplica.node, r.failedAttempts())
}

// backoff is the pause before the next attempt of a request that could not be carried out.
func (p *retryPolicy) backoff(r *request) time.Duration {
	pause := min(minBackoff<<min(r.failedAttempts(), 8), maxBackoff)
	return pause/2 + time.Duration(p.rng.Int64N(int64(pause/2)))
}

// movePause is the pause before the next attempts of requests whose buckets migrate.
func (p *retryPolicy) movePause() time.Duration {
	return minMoveRetry + time.Duration(p.rng.Int64N(int64(maxMoveRetry-minMoveRetry)))
}

// nodeIsSilent reports whether a lost attempt of a request makes its node suspect.
func (p *retryPolicy) nodeIsSilent(r *request) bool {
	node := r.lastReplica.node
	if node == 0 || r.answered {
		return false
	}
	return r.failedAttempts() > maxLostWhileAlive || !p.rtt.answeredSince(node, r.sentAt)
}
