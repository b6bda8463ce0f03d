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
func TestNodesFindEachOtherAtNewAddresses(t *testing.T) {
	for seed := range uint64(*seeds)/4 + 2 {
		s := startCluster(t, 700+seed, clustertest.Options{Groups: 2})
		_, err := s.Client("before").Do(put("k", "v"))
		require.NoError(t, err)
		moved := s.Nodes[:2+seed%2]
		for _, m := range s.Nodes {
			m.Kill()
		}
		for _, m := range moved {
			m.Readdress()
		}
		for _, m := range s.Nodes {
			m.Seeds(s.Nodes[0])
			m.Start()
		}
		settled(t, s)
		require.Equal(t, "v", get(t, s.Client("after"), "k"))
		configured(t, s)
		require.Empty(t, s.Oracle.Violations)
	}
}

// configured waits until the config says where every node is.
func configured(t *testing.T, s *clustertest.Simulation) {
	t.Helper()
	want := map[string]string{}
	for _, m := range s.Nodes {
		want[status(t, m).Node] = m.Machine().Address()
	}
	for _, m := range s.Nodes {
		require.True(t, s.RunUntil(func() bool {
			said := map[string]string{}
			for _, n := range status(t, m).Nodes {
				said[n.Name] = n.Addr
			}
			return maps.Equal(want, said)
		}, time.Minute), "the config says where they are: %s", m.Node.Status())
	}
}

// Addresses are handed round: each node is where another one was, as far as the config knows. What it says of the others is no
// reason to refuse any of them.
func TestAddressesAreForwarded(t *testing.T) {
	s := startCluster(t, 720, clustertest.Options{Groups: 2})
	placed(t, s)
	_, err := s.Client("before").Do(put("k", "v"))
	require.NoError(t, err)
	for _, m := range s.Nodes {
		m.Kill()
	}
	last := s.Nodes[2].Machine()
	for i := 2; i > 0; i-- {
		s.Nodes[i].TakeAddress(s.Nodes[i-1].Machine())
	}
	s.Nodes[0].TakeAddress(last)
	for _, m := range s.Nodes {
		m.Seeds(s.Nodes...)
		m.Start()
	}
	settled(t, s)
	configured(t, s)
	require.Equal(t, "v", get(t, s.Client("after"), "k"))
	require.Empty(t, s.Oracle.Violations)
}
