package gateway_test

import (
	"fmt"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/eraft-io/eraft/router/gateway"
)

// TestScanGoesOnAnywhere: a cursor is good at a gateway that never saw it, also when keys around it are gone, and costs no more
// there; it is a number that clients without 64-bit integers keep.
func TestScanGoesOnAnywhere(t *testing.T) {
	n := newOneNode(t)
	var clients []*redis.Client
	for range 3 {
		g, err := gateway.Start(gateway.Options{Listen: "127.0.0.1:0", Backend: n})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, g.Close()) })
		clients = append(clients, redis.NewClient(&redis.Options{Addr: g.Address()}))
	}
	for i := range 200 {
		require.NoError(t, clients[0].Set(t.Context(), fmt.Sprintf("key-%03d", i), "v", 0).Err())
	}
	for _, remove := range []bool{false, true} {
		seen := map[string]int{}
		n.asked = 0
		cursor, pages := uint64(0), 0
		for ; pages == 0 || cursor != 0; pages++ {
			keys, next, err := clients[pages%3].Scan(t.Context(), cursor, "", 17).Result()
			require.NoError(t, err)
			require.Less(t, next, uint64(1<<53))
			for _, key := range keys {
				seen[key]++
			}
			if cursor = next; remove { // what was seen is deleted, as those do who clean up
				require.NoError(t, clients[0].Del(t.Context(), keys...).Err())
			}
			require.Less(t, pages, 100)
		}
		require.Len(t, seen, 200)
		for key, times := range seen {
			require.Equal(t, 1, times, key)
		}
		if !remove {
			require.Equal(t, pages, n.asked, "each page was asked for once")
		}
	}
	size, err := clients[1].DBSize(t.Context()).Result()
	require.NoError(t, err)
	require.Zero(t, size)
}

// A cursor without a key is an error: to start anew would never end, and to end would miss keys.
func TestUnknownCursors(t *testing.T) {
	n := newOneNode(t)
	address := start(t, n)
	for i := range 50 {
		talk(t, address, fmt.Sprintf("SET k%d v", i))
	}
	for _, foreign := range []uint64{1, 12345, 1<<39 - 1, 1 << 39, 5 << 39, 1<<53 - 1, 1 << 53, 1 << 63, 1<<64 - 1} {
		require.Contains(t, talk(t, address, fmt.Sprintf("SCAN %d", foreign))[0], "-ERR invalid cursor", foreign)
	}
	require.Contains(t, talk(t, address, "SCAN 18446744073709551616")[0], "-ERR invalid cursor")
	require.Contains(t, talk(t, address, "SCAN 0 COUNT 100")[0], "*2\r\n$1\r\n0\r\n*50")
	require.Equal(t, "*2\r\n$1\r\n0\r\n*0\r\n", talk(t, address, "SCAN 0 TYPE list")[0])
}
