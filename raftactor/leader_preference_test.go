package raftactor

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A history of who leads and who is up to date, second by second: "P" the preferred one leads, "." it is not up to date,
// "u" it is. It shows at which seconds the leadership is handed over.
func TestPreferredLeaderGetsItBackWithoutFlapping(t *testing.T) {
	run := func(p *leaderPreference, seconds int, upToDate func(second int) bool) (handed []int) {
		for s := 1; s < seconds; s++ {
			if p.due(time.Duration(s)*time.Second, upToDate(s)) {
				handed = append(handed, s)
			}
		}
		return handed
	}
	always := func(int) bool { return true }

	require.Equal(t, []int{11, 32, 73}, run(new(leaderPreference), 100, always), "in vain: each time it waits twice as long")
	require.Nil(t, run(new(leaderPreference), 100, func(s int) bool { return s%10 != 9 }), "it never keeps up for long enough")
	require.Equal(t, []int{60}, run(new(leaderPreference), 65, func(s int) bool { return s >= 50 }))

	p := new(leaderPreference)
	wobbles := func(at, keeps time.Duration) time.Duration {
		p.observe(at, true)
		p.observe(at+keeps, false)
		return p.wait()
	}
	require.Equal(t, 20*time.Second, wobbles(0, time.Second))
	require.Equal(t, 40*time.Second, wobbles(10*time.Second, 19*time.Second))
	require.Equal(t, 80*time.Second, wobbles(time.Minute, 39*time.Second))
	for range 10 {
		wobbles(time.Hour, time.Second)
	}
	require.Equal(t, maxBackoff, p.wait())
	require.Equal(t, minBackoff, wobbles(2*time.Hour, maxBackoff), "it has kept it")

	p.observe(4*time.Hour, false)
	require.Equal(t, minBackoff, p.wait(), "that others follow one another says nothing about it")
}
