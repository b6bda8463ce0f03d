package remoting

import (
	"sync"
	"time"
)

// tokenBucket lets rate events through per second, and as many at once after a pause. It is safe for concurrent use.
type tokenBucket struct {
	rate int

	mu     sync.Mutex
	tokens float64   // events that may go through now; at most rate
	at     time.Time // as of which tokens was computed
}

// take tells whether one more may go through now.
func (m *tokenBucket) take(now time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.at.IsZero() {
		m.at, m.tokens = now, float64(m.rate)
	}
	m.tokens = min(float64(m.rate), m.tokens+max(0, now.Sub(m.at).Seconds())*float64(m.rate))
	m.at = now
	if m.tokens < 1 {
		return false
	}
	m.tokens--
	return true
}
