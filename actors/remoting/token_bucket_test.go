package remoting

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestMeter(t *testing.T) {
	m, now := tokenBucket{rate: 10}, time.Unix(1, 0)
	taken := func(n int) (all int) {
		for range n {
			if m.take(now) {
				all++
			}
		}
		return all
	}
	require.Equal(t, 10, taken(100), "as many at once as in a second")
	now = now.Add(300 * time.Millisecond)
	require.Equal(t, 3, taken(100))
	now = now.Add(time.Hour)
	require.Equal(t, 10, taken(100), "a lull is not saved up")
	now = now.Add(-time.Hour)
	require.Zero(t, taken(100), "nor does a clock that goes back")
}
