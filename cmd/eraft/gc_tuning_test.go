package main

import (
	"runtime"
	"runtime/debug"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestGCPercent(t *testing.T) {
	require.Equal(t, 640, gcPercentFor(10<<20, time.Second))
	require.Equal(t, 160, gcPercentFor(40<<20, time.Second))
	require.Equal(t, 100, gcPercentFor(64<<20, time.Second), "never less than Go allows")
	require.Equal(t, 100, gcPercentFor(8<<30, time.Second))
	require.Positive(t, gcPercentFor(0, 0))
	require.Equal(t, 100, gcPercentFor(10<<20, time.Minute), "nothing is done")
}

// Each collection adapts the threshold of the next one.
func TestEachCollectionSetsTheNext(t *testing.T) {
	t.Setenv("GOGC", "")
	tuneGC()
	for range 2 {
		debug.SetGCPercent(99) // which growth never says
		runtime.GC()
		require.Eventually(t, func() bool {
			is := debug.SetGCPercent(99)
			debug.SetGCPercent(is)
			return is != 99
		}, 10*time.Second, time.Millisecond)
	}
}
