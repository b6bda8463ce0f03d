package clustertest_test

import (
	"maps"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/eraft-io/eraft/cluster/clustertest"
)

// Two of three nodes, or all, come back at addresses that nobody has heard of, so no quorum can write down where they are
// before they have found each other. One node that all are told of is enough.
func TestMembersFindEachOtherAtNewAddresses(t *testing.T) {
	for seed := range uint64(*seeds)/4 + 2 {
		s := born(t, 700+seed, clustertest.Options{Groups: 2})
		_, err := s.Client("before").Do(put("k", "v"))
		require.NoError(t, err)
		moved := s.Members[:2+seed%2]
		for _, m := range s.Members {
			m.Kill()
		}
		for _, m := range moved {
			m.Readdress()
		}
		for _, m := range s.Members {
			m.Seeds(s.Members[0])
			m.Start()
		}
		settled(t, s)
		require.Equal(t, "v", get(t, s.Client("after"), "k"))
		want := map[string]string{}
		for _, m := range s.Members {
			want[status(t, m).Node] = m.Host().Address()
		}
		for _, m := range s.Members {
			require.True(t, s.RunUntil(func() bool {
				said := map[string]string{}
				for _, n := range status(t, m).Nodes {
					said[n.Name] = n.Addr
				}
				return maps.Equal(want, said)
			}, time.Minute), "the config says where they are: %s", m.Node.Status())
		}
		require.Empty(t, s.Oracle.Violations)
	}
}
