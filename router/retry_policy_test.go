package router

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestRetryPolicy(t *testing.T) {
	p := newRetryPolicy(rand.New(rand.NewPCG(1, 2)))
	r := &request{}
	for attempts, bounds := range map[int][2]time.Duration{0: {5, 10}, 1: {10, 20}, 2: {20, 40}, 20: {50, 100}} {
		r.attempts = attempts
		pause := p.backoff(r)
		require.GreaterOrEqual(t, pause, bounds[0]*time.Millisecond)
		require.Less(t, pause, bounds[1]*time.Millisecond)
	}
	for range 100 {
		require.GreaterOrEqual(t, p.movePause(), minMoveRetry)
		require.Less(t, p.movePause(), maxMoveRetry)
	}
	r = &request{attempts: 1, sentAt: 10}
	require.False(t, p.nodeIsSilent(r), "no node was asked")
	r.lastReplica = replica{1, 3}
	require.True(t, p.nodeIsSilent(r))
	p.rtt.observe(3, 0, 20)
	require.False(t, p.nodeIsSilent(r), "it has answered another request since")
	r.attempts = maxLostWhileAlive + 1
	require.True(t, p.nodeIsSilent(r), "but this one it does not answer")
	r.answered = true
	require.False(t, p.nodeIsSilent(r))
}
