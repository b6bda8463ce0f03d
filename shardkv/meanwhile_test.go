package shardkv_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/shardkv"
)

// What changes is taken while the copying goes on, but for what is copied later. So however much is written, little is
// missing when all has been copied once, and everything arrives.
func TestChangesAreTakenMeanwhile(t *testing.T) {
	const keys, chunk = 100, 10 << 10
	a, b := newReplica(t, 1, true), newReplica(t, 2, false)
	id := uint32(messages.BucketOf([]byte("{x}"), buckets))
	key := func(i int) string { return fmt.Sprintf("{x}%02d", i%keys) }
	newest, writes := map[string]string{}, 0
	write := func(many int) {
		for range many {
			k, v := key(7*writes), strings.Repeat(fmt.Sprint(writes%10), 1000)
			if newest[k] = v; writes%5 == 0 {
				delete(newest, k)
				a.apply(&messages.Command{Op: &messages.Command_Delete{Delete: &messages.Delete{Key: []byte(k)}}})
			} else {
				a.apply(put(k, v))
			}
			writes++
		}
	}
	for i := range keys {
		newest[key(i)] = strings.Repeat("v", 1000)
		a.apply(put(key(i), newest[key(i)]))
	}
	taken, copied := 0, 0
	for b.m.View().(*shardkv.View).Find(id).State != shardkv.Serving {
		asks := shardkv.PlanMigrations(2, moving(id), b.m.View().(*shardkv.View), nil, shardkv.MigrationLimits{ChunkBytes: chunk}).Steps
		require.Len(t, asks, 1)
		var c *messages.BucketChunk
		if asks[0].Command != nil {
			c = a.shard(asks[0].Command).Chunk
		} else if c = a.pull(asks[0].Pull); asks[0].Pull.Copied {
			require.Less(t, c.BacklogBytes, uint64(2*chunk), "little is missing")
		} else if write(4); asks[0].Pull.ChangesOnly {
			taken++
			require.False(t, c.Copied)
			for _, p := range c.Pairs {
				require.LessOrEqual(t, string(p.Key), string(asks[0].Pull.After), "it is copied later")
			}
		} else {
			copied++
		}
		command, word := shardkv.InterpretChunk(1, c)
		require.Nil(t, word)
		b.shard(command)
	}
	require.Greater(t, taken, 2)
	require.Greater(t, copied, taken)
	for i := range keys {
		got, found := b.get(key(i))
		want, exists := newest[key(i)]
		require.Equal(t, exists, found, i)
		require.Equal(t, want, got, i)
	}
}
