package clustertest_test

import (
	"flag"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/eraft-io/eraft/cluster/clustertest"
)

var births = flag.Int("births", 60, "how many births are simulated")

// However seed lists overlap, whoever is slow, pauses or starts again, one cluster is founded, and all nodes get in.
func TestBirths(t *testing.T) {
	for seed := range uint64(*births) {
		require.Empty(t, clustertest.Birth(t, seed+1), "seed %d", seed+1)
	}
}
