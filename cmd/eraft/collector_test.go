package main

import (
	"runtime"
	"runtime/debug"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestGarbageMayLieAbout(t *testing.T) {
	require.Equal(t, 640, growth(10<<20, time.Second))
	require.Equal(t, 160, growth(40<<20, time.Second))
	require.Equal(t, 100, growth(64<<20, time.Second), "never less than Go allows")
	require.Equal(t, 100, growth(8<<30, time.Second))
	require.Positive(t, growth(0, 0))
	require.Equal(t, 100, growth(10<<20, time.Minute), "nothing is done")
}

// Each collection adapts what the next one waits for.
func TestEachCollectionSetsTheNext(t *testing.T) {
	t.Setenv("GOGC", "")
	collectSeldom()
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
