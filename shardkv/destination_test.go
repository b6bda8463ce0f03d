package shardkv_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/shardkv"
)

// A chunk that could not be read later is refused, before the log and in it, whatever its checksum says.
func TestDamagedChunksAreRefused(t *testing.T) {
	for name, pair := range map[string]*messages.Pair{
		"no key":                {},
		"value without version": {Key: []byte("dk"), Value: []byte{0x80}},
		"no kind of record":     {Key: []byte("o"), Value: []byte{9}},
		"no session":            {Key: []byte("s12345678"), Value: []byte{7}},
		"no session id":         {Key: []byte("s1"), Value: []byte{1, 0, 0, 0, 0}},
	} {
		c := importChunk(2, &messages.BucketChunk{ConfigVersion: 1, Bucket: 3, Pairs: []*messages.Pair{pair}})
		encoded, err := proto.Marshal(&messages.Command{Op: &messages.Command_Shard{Shard: c}})
		require.NoError(t, err)
		require.Equal(t, messages.Code_INVALID, shardkv.Checker(nil, encoded).Code, name)
		r := newReplica(t, 1, false)
		require.Equal(t, messages.Code_INVALID, r.shard(c).Code, name)
		require.Empty(t, r.dump(), name)
	}
	good := importChunk(2, &messages.BucketChunk{ConfigVersion: 1, Bucket: 3, Base: 7, Pairs: []*messages.Pair{{Key: []byte("dk"), Value: []byte{1, 'v'}}}})
	for name, harm := range map[string]func(*messages.BucketChunk){
		"a bit of a value": func(c *messages.BucketChunk) { c.Pairs[0].Value[1] ^= 1 },
		"the end":          func(c *messages.BucketChunk) { c.Last = true },
		"a number":         func(c *messages.BucketChunk) { c.Base++ },
	} {
		c := proto.CloneOf(good)
		harm(c.GetImportChunk().Chunk)
		require.Equal(t, messages.Code_INVALID, newReplica(t, 1, false).shard(c).Code, name)
	}
}

// Only chunks of changes that leave the backlog no smaller count as stalls: each raises the backlog at which the bucket is frozen.
func TestStallsAreChunksWithoutProgress(t *testing.T) {
	r := newReplica(t, 2, false)
	r.shard(importChunk(1, &messages.BucketChunk{Bucket: 3, ConfigVersion: 5}))
	for i, c := range []struct{ behind, stalls uint64 }{{500, 0}, {400, 0}, {300, 0}, {300, 1}, {350, 2}, {200, 2}} {
		r.shard(importChunk(1, &messages.BucketChunk{Bucket: 3, ConfigVersion: 5, Number: uint64(i + 1), Copied: true, BacklogBytes: c.behind}))
		require.Equal(t, c.stalls, r.m.View().(*shardkv.View).Migrations[0].Stalls, "chunk %d", i+1)
	}
}
