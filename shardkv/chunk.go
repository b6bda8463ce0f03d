package shardkv

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"slices"

	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/persistence"
)

// Bounds of a chunk, in bytes of keys and values and in pairs. A chunk is one entry in the log of the destination. Small
// records cost by their number; once the bucket is frozen, clients wait for it and the number is not bounded.
const (
	defaultChunkBytes = 256 << 10 // if the pull does not say
	maxChunkBytes     = 1 << 20   // whatever the pull says; one record that is larger is alone in a chunk
	maxChunkPairs     = 256
)

// Kinds of pairs in a chunk: the first byte of the key.
const (
	sessionPair = 's' // then the session, 8 bytes; the value is a session record: encodeMigratedSession
	dataPair    = 'd' // then the key; the value is as stored, empty: the key was deleted
)

// pairKinds are the kinds in the order in which a copy reads them.
var pairKinds = []byte{sessionPair, dataPair}

// alreadyCopied reports whether a copy that has come to cursor has passed key, so that a copy of the record, if there was
// one, was made already.
func alreadyCopied(cursor, key []byte) bool {
	return len(cursor) > 0 && cmp.Or(
		cmp.Compare(slices.Index(pairKinds, key[0]), slices.Index(pairKinds, cursor[0])), bytes.Compare(key[1:], cursor[1:]),
	) <= 0
}

// chunkBuilder fills a chunk up to its bounds.
type chunkBuilder struct {
	chunk    *messages.BucketChunk
	bytes    int // of the pairs so far
	maxBytes int
	full     bool // a pair was refused
}

// add adds a pair and reports whether it fit. cursor is where the next chunk goes on if this pair is the last one.
func (b *chunkBuilder) add(key, value, cursor []byte) bool {
	size := len(key) + len(value)
	if b.full = b.full || b.bytes > 0 && b.bytes+size > b.maxBytes || len(b.chunk.Pairs) == maxChunkPairs; b.full {
		return false
	}
	b.bytes += size
	b.chunk.Pairs = append(b.chunk.Pairs, &messages.Pair{Key: key, Value: value})
	b.chunk.Cursor = cursor
	return true
}

// pairBytes is the bytes of the keys and values in a chunk.
func pairBytes(c *messages.BucketChunk) (size uint64) {
	for _, p := range c.Pairs {
		size += uint64(len(p.Key) + len(p.Value))
	}
	return size
}

// Checksum is the CRC-32C of a chunk without its Checksum field. It covers the chunk on its way between the groups.
func Checksum(c *messages.BucketChunk) uint32 {
	head := []byte{boolByte(c.Copied) | boolByte(c.Last)<<1}
	for _, n := range []uint64{uint64(c.Bucket), c.ConfigVersion, c.Base, c.Number, c.ChangeLogPosition, c.BacklogBytes, c.VersionCounter} {
		head = binary.AppendUvarint(head, n)
	}
	if c.TimeMs != 0 { // programs that do not know the field leave it out
		head = binary.AppendUvarint(head, c.TimeMs)
	}
	sum := persistence.CRC32C(0, appendBytes(head, c.Cursor))
	for _, p := range c.Pairs {
		for _, part := range [][]byte{p.Key, p.Value} {
			sum = persistence.CRC32C(sum, binary.AppendUvarint(nil, uint64(len(part))), part)
		}
	}
	return sum
}
