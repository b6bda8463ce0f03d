package cluster

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// All parts together never have more than the process may open, with a reserve; each has some, and with much room no more than it needs.
func TestFilesFit(t *testing.T) {
	for limit := uint64(minFiles); limit < 40_000; limit++ {
		f, err := shareFileLimit(limit)
		require.NoError(t, err)
		require.LessOrEqual(t, uint64(f.logTables+f.stateTables+f.resp+f.http+f.nodes+reservedFiles), limit)
		for _, part := range []int{f.logTables, f.stateTables, f.resp, f.http, f.nodes} {
			require.GreaterOrEqual(t, part, 5, "of %d", limit)
		}
	}
	for _, limit := range []uint64{1 << 16, 1 << 20, ^uint64(0)} {
		f, err := shareFileLimit(limit)
		require.NoError(t, err)
		require.Equal(t, fileLimits{maxTables, maxTables, maxRESPConnections, maxHTTPConnections, maxNodeConnections}, f)
	}
	_, err := shareFileLimit(100)
	require.ErrorContains(t, err, "may open 100 files, but a node needs 128")
	require.ErrorContains(t, err, "ulimit -n")
}
