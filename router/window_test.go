package router

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestWindow(t *testing.T) {
	const kb = 1 << 10
	w := window{most: 100 * kb, now: 100 * kb}
	require.True(t, w.takes(200*kb), "what is larger than the window goes alone")
	w.sent(200 * kb)
	require.False(t, w.takes(10*kb))
	require.True(t, w.takes(smallRequest), "small ones do not wait")
	w.over(200*kb, false)

	send := func(n int) {
		for range n {
			require.True(t, w.takes(10*kb))
			w.sent(10 * kb)
		}
		require.False(t, w.takes(10*kb))
	}
	over := func(n int, overloaded bool) {
		for range n {
			w.over(10*kb, overloaded)
		}
	}
	send(10)
	w.sent(kb)
	w.over(kb, true)
	require.Equal(t, window{most: 100 * kb, now: 100 * kb, used: 100 * kb}, w, "small ones do not count")
	over(4, true)
	require.Equal(t, 60*kb, w.now, "the cluster had room for six")
	require.False(t, w.takes(10*kb))
	over(6, false)
	require.InDelta(t, 70*kb, w.now, 2*kb, "one more for each window")
	send(6)
	over(6, true)
	require.Equal(t, smallRequest, w.now)
	send(1)
	over(1, false)
	require.Greater(t, w.now, 10*kb, "one is always tried")
	for range 200 {
		w.sent(10 * kb)
		over(1, false)
	}
	require.Equal(t, window{most: 100 * kb, now: 100 * kb}, w)
}
