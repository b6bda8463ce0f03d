package raftactor

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// What happens between ticks: "+" a step goes to the Writer, "-" one is durable. It shows when the disk counts as stalled.
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
