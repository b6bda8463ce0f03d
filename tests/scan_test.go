package tests

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/eraft-io/eraft/client"
	"github.com/eraft-io/eraft/cluster/loopback"
)

// TestScanWhileBucketsMove: every key comes exactly once, while each bucket goes to another group.
func TestScanWhileBucketsMove(t *testing.T) {
	nodes := loopback.Start(t, 3).Nodes
	c := nodes[0].Client()
	const keys = 600
	for i := range keys {
		_, err := c.Put(t.Context(), fmt.Appendf(nil, "key-%d", i), fmt.Appendf(nil, "value-%d", i))
		require.NoError(t, err)
	}
	seen := map[string]string{}
	for item, err := range nodes[1].Client().Scan(t.Context(), client.ScanOptions{PageSize: 10}) {
		require.NoError(t, err)
		require.NotContains(t, seen, string(item.Key))
		require.NotZero(t, item.Version)
		seen[string(item.Key)] = string(item.Value)
		if n := len(seen); n%50 == 0 {
			config, err := c.Config(t.Context(), 0)
			require.NoError(t, err)
			bucket := uint32(100 + n/10)
			_, err = c.Move(t.Context(), bucket, bucket, config.Owners[bucket]%3+1)
			require.NoError(t, err)
		}
	}
	require.Len(t, seen, keys)
	for i := range keys {
		require.Equal(t, fmt.Sprintf("value-%d", i), seen[fmt.Sprintf("key-%d", i)])
	}
	some := 0
	for item, err := range c.Scan(t.Context(), client.ScanOptions{Match: []byte("key-[12]?"), KeysOnly: true}) {
		require.NoError(t, err)
		require.Empty(t, item.Value)
		some++
	}
	require.Equal(t, 20, some)
	for _, err := range c.Scan(t.Context(), client.ScanOptions{PageSize: -1}) {
		require.ErrorIs(t, err, client.ErrInvalid)
	}
}
