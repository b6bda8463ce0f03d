package shardkv_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/eraft-io/eraft/messages"
)

// A chunk has a bounded number of records, until the bucket is frozen: then clients wait for it.
func TestChunksHaveFewRecords(t *testing.T) {
	a := newReplica(t, 1, true)
	id := uint32(messages.BucketOf([]byte("{x}"), buckets))
	fill := func() {
		for i := range 600 {
			a.apply(put(fmt.Sprintf("{x}%d", i), "v"))
		}
	}
	fill()
	chunk := a.shard(startMigration(id, 5, 2)).Chunk
	var sizes []int
	pull := &messages.BucketPull{Bucket: id, ConfigVersion: 5, Base: chunk.Base, ChangeLogPosition: chunk.ChangeLogPosition}
	for !chunk.Copied {
		pull.After = chunk.Cursor
		chunk = a.pull(pull)
		sizes = append(sizes, len(chunk.Pairs))
	}
	require.Equal(t, []int{256, 256, 88}, sizes)
	fill()
	pull.Copied = true
	require.Len(t, a.pull(pull).Pairs, 256)
	last := a.shard(freezeBucket(pull)).Chunk
	require.Len(t, last.Pairs, 600)
	require.True(t, last.Last)
}
