package router

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCongestionWindow(t *testing.T) {
	const kb = 1 << 10
	w := congestionWindow{max: 100 * kb, size: 100 * kb}
	require.True(t, w.admits(200*kb), "what is larger than the window goes alone")
	w.add(200 * kb)
	require.False(t, w.admits(10*kb))
	require.True(t, w.admits(smallRequest), "small ones do not wait")
	w.remove(200*kb, false)

	send := func(n int) {
		for range n {
			require.True(t, w.admits(10*kb))
			w.add(10 * kb)
		}
		require.False(t, w.admits(10*kb))
	}
	over := func(n int, overloaded bool) {
		for range n {
			w.remove(10*kb, overloaded)
		}
	}
	send(10)
	w.add(kb)
	w.remove(kb, true)
	require.Equal(t, congestionWindow{max: 100 * kb, size: 100 * kb, inFlight: 100 * kb}, w, "small ones do not count")
	over(4, true)
	require.Equal(t, 60*kb, w.size, "the cluster had room for six")
	require.False(t, w.admits(10*kb))
	over(6, false)
	require.InDelta(t, 70*kb, w.size, 2*kb, "one more for each window")
	send(6)
	over(6, true)
	require.Equal(t, smallRequest, w.size)
	send(1)
	over(1, false)
	require.Greater(t, w.size, 10*kb, "one is always tried")
	for range 200 {
		w.add(10 * kb)
		over(1, false)
	}
	require.Equal(t, congestionWindow{max: 100 * kb, size: 100 * kb}, w)
}
