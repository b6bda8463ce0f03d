package gateway

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Who has waited longer is served first, and nobody overtakes it who needs less.
func TestRoomIsGivenInTurn(t *testing.T) {
	r, now := &byteBudget{free: 10}, time.Now()
	require.True(t, r.reserve(8, now))
	served := make(chan string, 3)
	ask := func(name string, bytes int, since time.Time, waiting int) {
		go func() {
			for !r.reserve(bytes, since) { // refused, it asks again at once
			}
			served <- name
		}()
		require.Eventually(t, func() bool {
			r.mu.Lock()
			defer r.mu.Unlock()
			return len(r.waiting) == waiting
		}, time.Minute, time.Millisecond)
	}
	ask("late", 3, now.Add(time.Second), 1)
	ask("early", 9, now.Add(-time.Second), 2)
	ask("small", 1, now, 3)
	require.Empty(t, served)
	r.release(8)
	require.ElementsMatch(t, []string{"early", "small"}, []string{<-served, <-served})
	require.Empty(t, served)
	r.release(9)
	require.Equal(t, "late", <-served)
	r.release(4)
	require.Equal(t, 10, r.free)
}
