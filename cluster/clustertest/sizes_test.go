package clustertest_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/eraft-io/eraft/cluster/clustertest"
	"github.com/eraft-io/eraft/messages"
)

// A few big buckets, all in one group, are spread by exchanges for small ones: the numbers of buckets stay even. When
// that is done nothing moves, also if meta and the groups change their leaders.
func TestBytesAreEvenedOut(t *testing.T) {
	s := startCluster(t, 360, clustertest.Options{Groups: 3, Buckets: 24, UnevenBytes: 6 << 20})
	placed(t, s)
	c := s.Client("c")
	owners := status(t, s.Nodes[0]).Buckets.Owners
	bytes, keys := map[int]int{}, 0
	for i := 0; keys < 64; i++ {
		key := fmt.Sprint("k", i)
		if b := messages.BucketOf([]byte(key), len(owners)); owners[b] == 1 && b%2 == 0 {
			_, err := c.Do(put(key, string(make([]byte, 256<<10))))
			require.NoError(t, err)
			bytes[int(b)] += 256 << 10
			keys++
		}
	}
	gap := func() int {
		sum := map[uint64]int{1: 0, 2: 0, 3: 0}
		for b, owner := range status(t, s.Nodes[0]).Buckets.Owners {
			sum[owner] += bytes[b]
		}
		return max(sum[1], sum[2], sum[3]) - min(sum[1], sum[2], sum[3])
	}
	require.Greater(t, gap(), 15<<20)
	require.True(t, s.RunUntil(func() bool { return s.Steps()%64 == 0 && gap() < 6<<20 }, 3*time.Minute), "%s", s.Nodes[0].Node.Status())
	placed(t, s)
	require.Equal(t, 3, even(t, s))
	said := status(t, s.Nodes[0]).Groups
	require.InDelta(t, 16<<20, said[1].Bytes+said[2].Bytes+said[3].Bytes, 2<<20)

	version := status(t, s.Nodes[0]).ConfigVersion
	for range 3 {
		m := leader(t, s, 0)
		m.Kill()
		s.RunUntil(func() bool { return false }, 5*time.Second)
		m.Start()
		s.RunUntil(func() bool { return false }, 2*time.Minute)
	}
	require.Equal(t, version, status(t, s.Nodes[0]).ConfigVersion, "what is even stays where it is")
	require.Empty(t, s.Oracle.Violations)
}
