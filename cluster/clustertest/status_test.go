package clustertest_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/eraft-io/eraft/cluster/clustertest"
	"github.com/eraft-io/eraft/messages"
)

// R20: who polls the status delays nobody, however many keys there are. It is made of what replicas told last, so the
// world goes the very same way with and without it: no actor is asked, and no disk.
func TestStatusAsksNobody(t *testing.T) {
	run := func(polls int) (steps uint64, now any) {
		s := startCluster(t, 90, clustertest.Options{Groups: 2})
		c := s.Client("c")
		for i := range 300 {
			_, err := c.Do(&messages.Put{Key: fmt.Appendf(nil, "k%d", i), Value: make([]byte, 100)})
			require.NoError(t, err)
			for range polls {
				for _, m := range s.Nodes {
					require.NotEmpty(t, m.Node.Status())
					require.Empty(t, m.Node.Failing())
				}
			}
		}
		return s.World.Steps(), s.Now()
	}
	alone, at := run(0)
	polled, then := run(3)
	require.Equal(t, alone, polled)
	require.Equal(t, at, then)
}
