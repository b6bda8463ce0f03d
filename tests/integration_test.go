package tests

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/eraft-io/eraft/cluster/loopback"
)

// TestBasicClusterRW writes through each node and reads through every other.
func TestBasicClusterRW(t *testing.T) {
	nodes := loopback.Start(t, 3).Nodes
	ctx := t.Context()
	for i := range 60 {
		key, value := fmt.Appendf(nil, "key-%d", i), fmt.Appendf(nil, "value-%d", i)
		_, err := nodes[i%3].Client().Put(ctx, key, value)
		require.NoError(t, err)
		for _, node := range nodes {
			got, found, err := node.Client().Get(ctx, key)
			require.NoError(t, err)
			require.True(t, found)
			require.Equal(t, value, got.Data)
		}
	}
	c := nodes[0].Client()
	found, err := c.Delete(ctx, []byte("key-7"))
	require.NoError(t, err)
	require.True(t, found)
	_, found, err = nodes[2].Client().Get(ctx, []byte("key-7"))
	require.NoError(t, err)
	require.False(t, found)
	for want := int64(1); want <= 5; want++ {
		n, err := nodes[want%3].Client().Incr(ctx, []byte("counter"), 1)
		require.NoError(t, err)
		require.Equal(t, want, n)
	}
}

// TestClusterRwBench prints what this machine does; it asserts only that everything is answered.
func TestClusterRwBench(t *testing.T) {
	nodes := loopback.Start(t, 3).Nodes
	const clients, each = 64, 100
	var mu sync.Mutex
	var took []time.Duration
	var wg sync.WaitGroup
	began := time.Now()
	for w := range clients {
		wg.Go(func() {
			c := nodes[w%3].Client()
			for i := range each {
				start := time.Now()
				if _, err := c.Put(t.Context(), fmt.Appendf(nil, "bench-%d-%d", w, i), make([]byte, 64)); err != nil {
					t.Errorf("put: %v", err)
					return
				}
				mu.Lock()
				took = append(took, time.Since(start))
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	total := time.Since(began)
	require.Len(t, took, clients*each)
	slices.Sort(took)
	t.Logf("%d puts by %d clients in %v: %.0f puts/s, p50 %v, p99 %v, max %v", len(took), clients, total.Round(time.Millisecond),
		float64(len(took))/total.Seconds(), took[len(took)/2], took[len(took)*99/100], took[len(took)-1])
}
