package remoting

import (
	"sync"
	"time"
)

// tokenBucket lets so many through in a second, and as many at once after a lull (a token bucket).
type tokenBucket struct {
	rate int

	mu     sync.Mutex
	tokens float64
	at     time.Time // of tokens
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
