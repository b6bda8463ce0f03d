package cluster

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Nodes that know of each other never both give birth, and who misses a seed never does.
func TestRendezvous(t *testing.T) {
	seeds := []string{"a", "b", "c"}
	meet := func(self string, answers ...string) *rendezvous {
		r := newRendezvous(self, seeds, 3)
		for _, a := range answers {
			r.answered(a, time.Second)
		}
		return r
	}
	require.True(t, meet("a", "b", "c").birth())
	require.False(t, meet("b", "a", "c").birth(), "not the lowest")
	require.False(t, meet("a", "b").birth(), "a seed is silent")
	require.Equal(t, []string{"c"}, meet("a", "b").silent())

	r := meet("a", "b", "c")
	r.mention([]string{"0", "a"}, time.Second)
	require.False(t, r.birth(), "somebody lower is known, and silent")
	r.forget(time.Minute)
	require.Equal(t, []string{"b", "c"}, r.others(), "strangers are forgotten, seeds are not")
	require.False(t, r.birth(), "old answers do not count")

	alone := newRendezvous("a", nil, 1)
	require.True(t, alone.birth())
	one := newRendezvous("b", []string{"a"}, 3)
	one.answered("a", 0)
	require.False(t, one.birth(), "too few")
	one.mention([]string{"c"}, 0)
	one.answered("c", 0)
	require.False(t, one.birth())
}

func TestConfigRefusesNonsense(t *testing.T) {
	for says, c := range map[string]Config{
		"no data directory": {},
		"expect is -1":      {Dir: "x", Expect: -1},
		"no seeds":          {Dir: "x", Expect: 3},
		"host:port":         {Dir: "x", Seeds: []string{"nonsense"}},
		"without TLS":       {Dir: "x", RESP: "0.0.0.0:1"},
		"no port":           {Dir: "x", Listen: "127.0.0.1:70000"},
		"groups is 9":       {Dir: "x", Buckets: 3, Groups: 9},
		"say key=value":     {Dir: "x", Labels: []string{"zone"}},
		"is there twice":    {Dir: "x", Labels: []string{"zone=a", "zone=b"}},
		"replace-after":     {Dir: "x", ReplaceAfter: time.Second},
		"clock-ratio":       {Dir: "x", ClockRatio: 4},
	} {
		require.ErrorContains(t, c.fill(), says)
	}
}
