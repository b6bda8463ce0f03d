package router

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestPatienceLearnsFromAnswers(t *testing.T) {
	const ms = time.Millisecond
	p := patience{map[uint64]*pulseOf{}}
	require.Equal(t, shortestAttempt, p.attempt(1, 0), "nothing is known of the node")
	require.False(t, p.alive(1, 0))
	for now := 2 * ms; now < 40*ms; now += 2 * ms {
		p.answered(1, now-2*ms, now)
	}
	require.Equal(t, shortestAttempt, p.attempt(1, 0), "a fast node is not given up sooner")
	require.Equal(t, 2*shortestAttempt, p.attempt(1, 1))
	require.Equal(t, longestAttempt, p.attempt(1, 9))

	for now := time.Second; now < 20*time.Second; now += 100 * ms {
		p.answered(1, now-900*ms, now)
	}
	require.InDelta(t, 900, p.attempt(1, 0).Milliseconds(), 50, "a slow node is given its time")
	require.Equal(t, shortestAttempt, p.attempt(2, 0), "another node is another matter")
	require.True(t, p.alive(1, 19*time.Second))
	require.False(t, p.alive(1, 20*time.Second))
	require.False(t, p.alive(2, 0))
}
