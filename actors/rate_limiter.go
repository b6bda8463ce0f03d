package actors

import (
	"sync/atomic"
	"time"
)

// RateLimiter spreads bytes over time. It is a virtual clock: it stands at the time until which everything that was spent is paid for. It
// holds nobody back itself: a sender asks Wait before it sends, and calls Spend afterwards, so one message may always be larger than
// what is left. It is safe for concurrent use, so several actors can share one. It is pure: time is what callers say.
type RateLimiter struct {
	bytesPerSecond int64
	paidUntil      atomic.Int64 // monotonic, in ns
}

// NewRateLimiter makes a limiter of a rate, which must be above 0.
func NewRateLimiter(bytesPerSecond int) *RateLimiter {
	return &RateLimiter{bytesPerSecond: int64(bytesPerSecond)}
}

// Wait is how long nothing more should be sent; 0: not at all.
func (l *RateLimiter) Wait(now time.Duration) time.Duration {
	return max(0, time.Duration(l.paidUntil.Load())-now)
}

// Cost is how long a number of bytes takes at the rate.
func (l *RateLimiter) Cost(bytes int) time.Duration {
	return time.Duration(float64(bytes) / float64(l.bytesPerSecond) * float64(time.Second))
}

// Spend pays for what was sent: what costs so much is paid for that much later, counted from now or from what is not paid for yet.
func (l *RateLimiter) Spend(now, cost time.Duration) {
	for {
		paid := l.paidUntil.Load()
		if l.paidUntil.CompareAndSwap(paid, max(paid, int64(now))+int64(cost)) {
			return
		}
	}
}
