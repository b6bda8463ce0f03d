//go:build !race

package clustertest_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/eraft-io/eraft/cluster/clustertest"
)

// Not under the race detector: two of Proto.Actor's remotes in one process are never free of races.
func TestStart(t *testing.T) {
	for _, n := range []int{1, 3} {
		t.Run(map[int]string{1: "one node", 3: "three nodes"}[n], func(t *testing.T) {
			t.Parallel()
			c := clustertest.Start(t, n).Client(t)
			_, err := c.Put(t.Context(), []byte("k"), []byte("v"))
			require.NoError(t, err)
			v, found, err := c.Get(t.Context(), []byte("k"))
			require.NoError(t, err)
			require.True(t, found)
			require.Equal(t, "v", string(v.Data))
		})
	}
}
