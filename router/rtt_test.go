package router

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestRTTEstimator(t *testing.T) {
	const ms = time.Millisecond
	p := rttEstimator{map[uint64]*nodeRTT{}}
	require.Equal(t, minTimeout, p.timeout(1, 0), "nothing is known of the node")
	require.False(t, p.answeredSince(1, 0))
	for now := 2 * ms; now < 40*ms; now += 2 * ms {
		p.observe(1, now-2*ms, now)
	}
	require.Equal(t, minTimeout, p.timeout(1, 0), "a fast node is not given up sooner")
	require.Equal(t, 2*minTimeout, p.timeout(1, 1))
	require.Equal(t, maxTimeout, p.timeout(1, 9))

	for now := time.Second; now < 20*time.Second; now += 100 * ms {
		p.observe(1, now-900*ms, now)
	}
	require.InDelta(t, 900, p.timeout(1, 0).Milliseconds(), 50, "a slow node is given its time")
	require.Equal(t, minTimeout, p.timeout(2, 0), "another node is another matter")
	require.True(t, p.answeredSince(1, 19*time.Second))
	require.False(t, p.answeredSince(1, 20*time.Second))
	require.False(t, p.answeredSince(2, 0))
}
