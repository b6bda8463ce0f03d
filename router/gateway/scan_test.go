package gateway_test

import (
	"fmt"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/eraft-io/eraft/router/gateway"
)

// TestScanGoesOnAnywhere: a cursor is good at a gateway that never saw it, also when its key is gone.
func TestScanGoesOnAnywhere(t *testing.T) {
	n := newOneNode(t)
	var clients []*redis.Client
	for range 3 {
		g, err := gateway.Start(gateway.Options{Listen: "127.0.0.1:0", Asker: n})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, g.Close()) })
		clients = append(clients, redis.NewClient(&redis.Options{Addr: g.Address(), Protocol: 2}))
	}
	for i := range 200 {
		require.NoError(t, clients[0].Set(t.Context(), fmt.Sprintf("key-%03d", i), "v", 0).Err())
	}
	for _, remove := range []bool{false, true} {
		seen := map[string]int{}
		cursor, removed := uint64(0), map[string]bool{}
		for i := 0; i == 0 || cursor != 0; i++ {
			keys, next, err := clients[i%3].Scan(t.Context(), cursor, "", 17).Result()
			require.NoError(t, err)
			require.Less(t, next, uint64(1<<63))
			for _, key := range keys {
				seen[key]++
			}
			if cursor = next; remove && i == 4 {
				removed[keys[len(keys)-1]] = true
				require.NoError(t, clients[0].Del(t.Context(), keys[len(keys)-1]).Err())
			}
			require.Less(t, i, 100)
		}
		require.Len(t, seen, 200)
		if !remove {
			for key, times := range seen {
				require.Equal(t, 1, times, key)
			}
		}
	}
	size, err := clients[1].DBSize(t.Context()).Result()
	require.NoError(t, err)
	require.EqualValues(t, 199, size)
	for _, foreign := range []uint64{1 << 63, 1<<64 - 1, 5 << 49} {
		keys, next, err := clients[0].Scan(t.Context(), foreign, "", 10).Result()
		require.NoError(t, err)
		require.Empty(t, keys)
		require.Zero(t, next)
	}
}
