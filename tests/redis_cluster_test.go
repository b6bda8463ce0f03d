package tests

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/eraft-io/eraft/cluster/loopback"
)

// TestRedisClusterClient: a client for Redis Cluster finds all nodes, uses all of them, and is never sent elsewhere.
func TestRedisClusterClient(t *testing.T) {
	nodes := loopback.Start(t, 3).Nodes
	c := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{nodes[0].RESP()}, MaxRedirects: -1})
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	ctx := t.Context()
	for i := range 100 {
		require.NoError(t, c.Set(ctx, fmt.Sprintf("k%d", i), i, 0).Err())
		require.Equal(t, fmt.Sprint(i), c.Get(ctx, fmt.Sprintf("k%d", i)).Val())
	}
	var mu sync.Mutex
	var ids map[string]bool
	require.Eventually(t, func() bool { // a ready cluster may still be spreading its leaders
		c.ReloadState(ctx)
		ids = map[string]bool{}
		err := c.ForEachMaster(ctx, func(ctx context.Context, node *redis.Client) error {
			id, err := node.Do(ctx, "CLUSTER", "MYID").Text()
			mu.Lock()
			defer mu.Unlock()
			ids[id] = true
			return err
		})
		return err == nil && len(ids) == 3
	}, 20*time.Second, 50*time.Millisecond, "each node leads something")
	shards, err := c.ClusterShards(ctx).Result()
	require.NoError(t, err)
	require.NotEmpty(t, shards)
	slots := int64(0)
	for _, shard := range shards {
		require.True(t, ids[shard.Nodes[0].ID])
		for _, r := range shard.Slots {
			slots += r.End - r.Start + 1
		}
	}
	require.EqualValues(t, 16384, slots)
}
