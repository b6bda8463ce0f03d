package tests

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/eraft-io/eraft/cluster"
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
	told := infoOf(t, nodes[0].RESP())
	_, port, err := net.SplitHostPort(nodes[0].RESP())
	require.NoError(t, err)
	require.Equal(t, port, told["Server"]["tcp_port"])
	require.Equal(t, "cluster", told["Server"]["redis_mode"])
	require.Equal(t, "1", told["Cluster"]["cluster_enabled"])
	require.Equal(t, "n1", told["Eraft"]["eraft_node"])
	require.True(t, ids[told["Server"]["run_id"]], "the node's own name")
	for section, names := range map[string]string{
		"Server": "redis_version uptime_in_seconds", "Clients": "connected_clients maxclients blocked_clients", "Memory": "used_memory",
		"Stats": "total_connections_received total_commands_processed total_net_input_bytes", "Persistence": "loading", "CPU": "used_cpu_sys used_cpu_user",
		"Replication": "role connected_slaves",
	} {
		for name := range strings.FieldsSeq(names) { // what redis-cli --stat and exporters read
			require.NotEmpty(t, told[section][name], "%s: %s", section, name)
		}
	}
	require.Eventually(t, func() bool { return infoOf(t, nodes[0].RESP())["Keyspace"]["db0"] == "keys=100,expires=0,avg_ttl=0" }, 20*time.Second, 100*time.Millisecond)
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

func infoOf(t *testing.T, address string) map[string]map[string]string {
	c := redis.NewClient(&redis.Options{Addr: address})
	defer c.Close()
	told, err := c.InfoMap(t.Context()).Result()
	require.NoError(t, err)
	return told
}

// With OwnKeys each node tells of the keys that it leads, so that clients that sum up over nodes count none twice.
func TestOwnKeys(t *testing.T) {
	const keys = 300
	nodes := loopback.Start(t, 3, func(_ int, c *cluster.Config) { c.OwnKeys = true }).Nodes
	c := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{nodes[0].RESP()}})
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	ctx := t.Context()
	for i := range keys {
		require.NoError(t, c.Set(ctx, fmt.Sprintf("k%d", i), i, 0).Err())
	}
	require.Eventually(t, func() bool { // leaders may still be spreading, and nodes hear of it one after the other
		c.ReloadState(ctx)
		var mu sync.Mutex
		scanned, listed, masters := map[string]int{}, 0, 0
		err := c.ForEachMaster(ctx, func(ctx context.Context, node *redis.Client) error {
			mu.Lock()
			defer mu.Unlock()
			masters++
			all, err := node.Keys(ctx, "k*").Result()
			listed += len(all)
			for pages := node.Scan(ctx, 0, "k*", 50).Iterator(); pages.Next(ctx); {
				scanned[pages.Val()]++
			}
			return err
		})
		size, sizeErr := c.DBSize(ctx).Result()
		return err == nil && sizeErr == nil && masters == 3 && size == keys && listed == keys && len(scanned) == keys
	}, 20*time.Second, 50*time.Millisecond)
}
