package raftactor

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const hour = uint64(3_600_000)

func TestMajorityOfClocks(t *testing.T) {
	const now = uint64(1_700_000_000_000)
	for _, c := range []struct {
		name   string
		own    uint64
		others []uint64 // of nodes 2, 3, …; 0: not heard
		voters []uint64
		want   uint64 // 0: not known
	}{
		{"alone", now, nil, []uint64{1}, now},
		{"nobody was heard", now, []uint64{0, 0}, []uint64{1, 2, 3}, 0},
		{"about what others say", now + 900, []uint64{now, now}, []uint64{1, 2, 3}, now + 900},
		{"next year", now + 9000*hour, []uint64{now, now + 5}, []uint64{1, 2, 3}, now + 5},
		{"next year, one heard", now + 9000*hour, []uint64{now, 0}, []uint64{1, 2, 3}, now},
		{"last year", now - 9000*hour, []uint64{now, now + 5}, []uint64{1, 2, 3}, now},
		{"another is of next year", now, []uint64{now + 9000*hour, now}, []uint64{1, 2, 3}, now},
		{"another is of last year", now, []uint64{1, now}, []uint64{1, 2, 3}, now},
		{"two of five are wrong", now, []uint64{now + hour, now + 2*hour, now - 3, now - 5}, []uint64{1, 2, 3, 4, 5}, now},
		{"two of five are not heard", now + hour, []uint64{0, 0, now, now}, []uint64{1, 2, 3, 4, 5}, now},
		{"three of five are not heard", now, []uint64{0, 0, 0, now}, []uint64{1, 2, 3, 4, 5}, 0},
		{"a leader that is no voter any more", now, []uint64{now + 1, now + 2, now + 3}, []uint64{2, 3, 4}, now + 2},
		{"who is no voter does not count", now, []uint64{now + hour, now + hour, now}, []uint64{1, 4}, now},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLogTime()
			for i, ms := range c.others {
				if ms != 0 {
					ms -= 50
				}
				l.observe(uint64(i+2), ms, 10*time.Second)
			}
			got, ok := l.majority(1, c.own, 10*time.Second+50*time.Millisecond, c.voters)
			require.Equal(t, c.want != 0, ok)
			require.Equal(t, c.want, got)
		})
	}
}

// Log time jumps to the clock of the majority at the first stamp after a pause, and is never faster than it.
func TestStamps(t *testing.T) {
	const day = 24 * hour
	l := newLogTime()
	sec := func(n int) time.Duration { return time.Duration(n) * time.Second }
	require.Equal(t, day, l.stamp(sec(1), day-hour, day, true), "an hour was quiet, or another led")
	require.Equal(t, day+1000, l.stamp(sec(2), day, day+1000, true))
	require.Equal(t, day+1500, l.stamp(sec(3), day+1000, day+1500, true), "as fast as that clock")
	require.Equal(t, day+3500, l.stamp(sec(5), day+1500, 0, false), "nobody was heard: as fast as the own")
	require.Equal(t, day+4500, l.stamp(sec(7), day+3500, hour, true), "ahead of all clocks: half as fast")
	for ms := range 4000 {
		require.LessOrEqual(t, l.stamp(sec(7)+time.Duration(ms)*time.Millisecond, day+4500, hour, true), day+6500)
	}
	require.InDelta(t, day+6500, l.last, 2, "also when it is asked all the time")
	require.Equal(t, 2*day, l.stamp(sec(20), 2*day, 2*day-10, true), "never before the log")
}
