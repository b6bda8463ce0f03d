package actors_test

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/eraft-io/eraft/actors"
)

func TestRateLimiter(t *testing.T) {
	l := actors.NewRateLimiter(1000)
	require.Zero(t, l.Wait(5*time.Second), "nothing was spent")
	l.Spend(5*time.Second, l.Cost(500))
	require.Equal(t, 500*time.Millisecond, l.Wait(5*time.Second))
	l.Spend(5*time.Second, l.Cost(2000))
	require.Equal(t, 2500*time.Millisecond, l.Wait(5*time.Second), "each pays behind the others")
	require.Equal(t, time.Second, l.Wait(6500*time.Millisecond))
	require.Zero(t, l.Wait(time.Minute))
	l.Spend(time.Minute, l.Cost(1000))
	require.Equal(t, time.Second, l.Wait(time.Minute), "time in which nothing was sent is not saved up")
}

// Actors that share a limiter pay for everything that any of them has spent.
func TestRateLimiterIsShared(t *testing.T) {
	l := actors.NewRateLimiter(1000)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 100 {
				l.Spend(0, l.Cost(10))
			}
		})
	}
	wg.Wait()
	require.Equal(t, 4*time.Second, l.Wait(0))
}
