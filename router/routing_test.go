package router

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The Router's reports replace each other; a node that is heard is not suspected until the next one says so again.
func TestRouteReport(t *testing.T) {
	var r routeReport
	require.False(t, r.heard(1))
	r.update(&dispatched{to: replica{1, 1}, level: 2, suspected: map[uint64]time.Duration{1: time.Second}})
	require.True(t, r.suspects(1, time.Second-1))
	require.False(t, r.suspects(1, time.Second))
	require.False(t, r.suspects(0, 0))
	require.True(t, r.heard(1))
	require.False(t, r.heard(1))
	require.False(t, r.suspects(1, 0))
	r.update(&dispatched{level: 1, unroutable: "; no config from a:1"})
	r.update(&dispatched{to: replica{1, 1}})
	require.EqualValues(t, 2, r.level, "a level never sinks")
	require.Equal(t, "; no config from a:1", r.unroutable)
}
