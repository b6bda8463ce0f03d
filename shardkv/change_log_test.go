package shardkv_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/shardkv"
)

// When the change log is longer than allowed the source aborts the migration, and the destination begins again.
func TestChangeLogIsBounded(t *testing.T) {
	a, b := newReplica(t, 1, true), newReplica(t, 2, false)
	id := uint32(messages.BucketOf([]byte("k"), buckets))
	begin := startMigration(id, 5, 2)
	begin.GetStartMigration().MaxChangeLogBytes = 1000
	b.shard(importChunk(1, a.shard(begin).Chunk))
	for i := range 80 {
		a.apply(put("k", fmt.Sprint(i)))
	}
	require.Equal(t, shardkv.Serving, a.m.View().(*shardkv.View).Find(id).State)
	for _, line := range a.dump() {
		require.False(t, strings.HasPrefix(line, `"t`), "%s", line)
	}
	config, statuses := moving(id), map[uint32]shardkv.MoveStatus{}
	step := shardkv.PlanMigrations(2, config, b.m.View().(*shardkv.View), statuses, shardkv.MigrationLimits{}).Steps[0]
	_, status := shardkv.InterpretChunk(1, a.pull(step.Pull))
	require.True(t, status.NotReady)
	statuses[id] = *status
	step = shardkv.PlanMigrations(2, config, b.m.View().(*shardkv.View), statuses, shardkv.MigrationLimits{}).Steps[0]
	again := a.shard(step.Command).Chunk
	require.Positive(t, again.Base)
	b.shard(importChunk(1, again))
	require.Equal(t, again.Base, b.m.View().(*shardkv.View).Migrations[0].Base)
}

// Changes travel while the copy is under way, except those of records that are copied later. So however much is written, the
// backlog is small when every record has been copied once, and everything arrives.
func TestChangesTravelDuringTheCopy(t *testing.T) {
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
		steps := shardkv.PlanMigrations(2, moving(id), b.m.View().(*shardkv.View), nil, shardkv.MigrationLimits{ChunkBytes: chunk}).Steps
		require.Len(t, steps, 1)
		var c *messages.BucketChunk
		if steps[0].Command != nil {
			c = a.shard(steps[0].Command).Chunk
		} else if c = a.pull(steps[0].Pull); steps[0].Pull.Copied {
			require.Less(t, c.BacklogBytes, uint64(2*chunk), "the backlog is small")
		} else if write(4); steps[0].Pull.ChangesOnly {
			taken++
			require.False(t, c.Copied)
			for _, p := range c.Pairs {
				require.LessOrEqual(t, string(p.Key), string(steps[0].Pull.After), "it is copied later")
			}
		} else {
			copied++
		}
		command, status := shardkv.InterpretChunk(1, c)
		require.Nil(t, status)
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
