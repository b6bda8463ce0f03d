package cluster

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSpace(t *testing.T) {
	s := space{reserve: 1000}
	for _, c := range []struct {
		free         uint64
		changed      bool
		low, starved bool
	}{
		{5000, false, false, false},
		{1000, false, false, false},
		{999, true, true, false},
		{1200, false, true, false}, // a little more than it began with is not enough
		{250, false, true, false},
		{249, true, true, true},
		{300, false, true, true},
		{0, false, true, true},
		{312, true, true, false},
		{1250, true, false, false},
		{0, true, true, true},
		{9999, true, false, false},
	} {
		require.Equal(t, c.changed, s.update(c.free), "%d free", c.free)
		require.Equal(t, []bool{c.low, c.starved}, []bool{s.low, s.starved}, "%d free", c.free)
	}
	require.EqualValues(t, 1<<30, reserveOf(0, 1<<40))
	require.EqualValues(t, 500<<20, reserveOf(0, 5000<<20))
	require.EqualValues(t, 256<<20, reserveOf(0, 1000))
	require.EqualValues(t, 7, reserveOf(7, 1000))
	free, total, err := freeBytes(t.TempDir())
	require.Error(t, err)
	require.Zero(t, free+total)
}
