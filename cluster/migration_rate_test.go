package cluster

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// What is spent must be paid for before more is, whoever spends it; time in which nothing was spent is not saved up.
func TestMigrationRate(t *testing.T) {
	f := newMigrationRate(1000)
	for _, c := range []struct {
		at          time.Duration
		wait        time.Duration
		spend       int
		records     int
		rest        time.Duration
		afterwards  time.Duration
		description string
	}{
		{0, 0, 100, 0, 0, 100 * time.Millisecond, "the first may go at once"},
		{40 * time.Millisecond, 60 * time.Millisecond, 0, 0, 0, 60 * time.Millisecond, "the second waits"},
		{40 * time.Millisecond, 60 * time.Millisecond, 50, 0, 0, 110 * time.Millisecond, "what was on its way already is paid for later"},
		{10 * time.Second, 0, 100, 0, 40 * time.Millisecond, 100 * time.Millisecond, "nothing is saved up, and a rest is part of the wait"},
		{20 * time.Second, 0, 100, 0, 300 * time.Millisecond, 300 * time.Millisecond, "who took long rests longer"},
		{30 * time.Second, 0, 100, 0, time.Minute, 400 * time.Millisecond, "but not for ever"},
		{60 * time.Second, 0, 100, 2, time.Minute, 4096 * time.Millisecond, "longer for small records"},
	} {
		require.Equal(t, c.wait, f.wait(c.at), c.description)
		f.charge(c.at, c.spend, c.records, c.rest)
		require.Equal(t, c.afterwards, f.wait(c.at), c.description)
	}
}

func TestMigrationLimits(t *testing.T) {
	var l MigrationLimits
	require.NoError(t, l.fill())
	require.Equal(t, 1<<30, l.MaxChangeLogBytes)
	for _, bad := range []MigrationLimits{{BytesPerSecond: -1}, {ChunkBytes: 2 << 20}, {MaxChangeLogBytes: -5}} {
		require.ErrorContains(t, bad.fill(), "but must be 1 to")
	}
}
