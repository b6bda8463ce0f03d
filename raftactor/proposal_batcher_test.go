package raftactor

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestProposalBatcher(t *testing.T) {
	const ms = time.Millisecond
	committed := func(took time.Duration, size, gathered int) *proposalBatcher {
		p := new(proposalBatcher)
		p.observe(0, false, size)
		require.Zero(t, p.wait(0, size), "who finds the group idle does not wait")
		p.proposed(0, size)
		p.observe(took/2, true, gathered)
		p.observe(took, false, gathered)
		return p
	}
	for _, c := range []struct {
		name           string
		took           time.Duration
		size, gathered int
		later          time.Duration // after the commit
		now            int           // gathered then
		wait           time.Duration
	}{
		{"nobody asked meanwhile: the next one goes at once", 4 * ms, 40, 0, 0, 1, 0},
		{"those who asked wait for those who were answered", 4 * ms, 40, 40, 0, 40, 2 * ms},
		{"until all are there", 4 * ms, 40, 40, 1 * ms, 80, 0},
		{"or half the time is over", 4 * ms, 40, 40, 2 * ms, 41, 0},
		{"a slow quorum makes nobody wait long", 300 * ms, 40, 40, 0, 41, maxWait},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := committed(c.took, c.size, c.gathered)
			require.Equal(t, c.wait, p.wait(c.took+c.later, c.now))
		})
	}
}
