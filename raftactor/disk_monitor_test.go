package raftactor

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestStall lists what happens between ticks: "+" a step goes to the Writer, "-" one is durable. It shows when the disk counts as stalled.
func TestStall(t *testing.T) {
	for _, c := range []struct {
		name  string
		ticks []string
		want  []bool
	}{
		{"nothing to write", []string{"", "", "", ""}, []bool{false, false, false, false}},
		{"each step takes two ticks", []string{"+", "-+", "", "-+", "", "-"}, []bool{false, false, false, false, false, false}},
		{"one step hangs", []string{"+", "", "", "", "-", ""}, []bool{false, false, true, true, false, false}},
		{"the disk is slow: it is given twice as long",
			[]string{"+", "", "", "", "-+", "", "", "", "", "", "-+", "", "", ""},
			[]bool{false, false, true, true, false, false, false, false, false, false, false, false, false, false}},
		{"but not for ever",
			[]string{"+", "", "", "", "", "", "", "", "", "", "", "", "-+", "", "", "", "", "", "", "", "", "", "", "", ""},
			[]bool{false, false, true, true, true, true, true, true, true, true, true, true, false, false, false, false, false, false, false, false, false, false, false, false, true}},
		{"others queue up behind it", []string{"+", "+", "+", "+", "-", "", "", "---"}, []bool{false, false, true, true, false, false, false, false}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var s diskWatch
			var got []bool
			for _, what := range c.ticks {
				for _, x := range what {
					if x == '+' {
						s.submitted++
					} else {
						s.completed++
					}
				}
				got = append(got, s.tick(3))
			}
			require.Equal(t, c.want, got)
		})
	}
}

// The two disks stall apart from each other, and a probe is sent whenever the data's disk has answered the one before.
func TestDiskMonitor(t *testing.T) {
	m := diskMonitor{limit: 2}
	log, data, probe := m.tick(true)
	require.Equal(t, []bool{false, false, false}, []bool{log, data, probe}, "a snapshot is being installed")
	_, _, probe = m.tick(false)
	require.True(t, probe)
	m.logSubmitted(7)
	for tick := range dataStallFactor*m.limit + 1 {
		m.applied() // the Applier gets on, though the probe waits
		log, data, probe = m.tick(false)
		require.Equal(t, tick+1 >= m.limit, log, "tick %d", tick)
		require.False(t, data)
		require.False(t, probe)
	}
	require.True(t, m.changed(log, data))
	require.False(t, m.changed(true, false), "it has been told")
	m.logCompleted(7)
	require.False(t, m.idle(), "the probe is not answered")
	for range dataStallFactor*m.limit + 1 {
		log, data, _ = m.tick(false)
	}
	require.False(t, log)
	require.True(t, data)
	require.False(t, m.changed(log, data), "stalled before, stalled now")
	m.probed()
	require.True(t, m.idle())
	require.True(t, m.changed(false, false))
	_, _, probe = m.tick(false)
	require.True(t, probe, "the next")
}
