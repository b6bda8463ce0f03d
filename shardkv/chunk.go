package shardkv

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"hash/crc32"
	"slices"

	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/persistence"
)

// About how much of a bucket travels in one chunk, if the pull does not say, and at most. Small records cost by their
// number: a chunk has no more of them than others hardly notice, unless the bucket is frozen and clients wait for it.
const (
	chunkBytes    = 256 << 10
	maxChunkBytes = 1 << 20
	chunkPairs    = 256
)

// pull answers with the chunk that a taker asks for.
func (m *Machine) pull(store persistence.Reader, p *messages.BucketPull) (*messages.Reply, error) {
	chunk := m.standing(p)
	b := m.buckets[p.Bucket]
	chunk.NotReady = chunk.NotReady || !chunk.Gone && b.base != p.Base
	if chunk.Gone || chunk.NotReady {
		return &messages.Reply{Chunk: chunk}, nil
	}
	chunk.Counter = b.counter
	fill := m.copyChunk
	if p.Copied || p.Changes {
		fill = m.tailChunk
	}
	if err := fill(store, b, p, chunk); err != nil {
		return nil, err
	}
	chunk.Checksum = Checksum(chunk)
	return &messages.Reply{Chunk: chunk}, nil
}

// kinds of records in a chunk, in the order in which they travel.
var kinds = []byte{'s', 'd'}

// hasCome tells whether a record was copied when the cursor got there, if it was there.
func hasCome(cursor, key []byte) bool {
	return len(cursor) > 0 && cmp.Or(
		cmp.Compare(slices.Index(kinds, key[0]), slices.Index(kinds, cursor[0])), bytes.Compare(key[1:], cursor[1:]),
	) <= 0
}

// copyChunk fills a chunk with the records behind the cursor of the one before, as they are now. What changes afterwards
// is in the tail.
func (m *Machine) copyChunk(store persistence.Reader, b *bucket, p *messages.BucketPull, chunk *messages.BucketChunk) error {
	size, full, most := 0, false, limit(p.Bytes, chunkBytes, maxChunkBytes)
	came, err := changedUpTo(store, b, p)
	if err != nil {
		return err
	}
	chunk.Copied, chunk.Tail, chunk.Behind = true, p.Tail, b.changed-came
	for _, kind := range kinds {
		if len(p.After) > 0 && slices.Index(kinds, kind) < slices.Index(kinds, p.After[0]) {
			continue
		}
		prefix := bucketKey(kind, p.Bucket)
		low := prefix
		if len(p.After) > 0 && p.After[0] == kind {
			low = append(append(slices.Clone(prefix), p.After[1:]...), 0)
		}
		err := store.Scan(low, persistence.PrefixEnd(prefix), func(key, value []byte) bool {
			if full = size > 0 && size+len(key)+len(value) > most || len(chunk.Pairs) == chunkPairs; full {
				return false
			}
			size += len(key) + len(value)
			chunk.Pairs = append(chunk.Pairs, &messages.Pair{
				Key: append([]byte{kind}, key[len(prefix):]...), Value: slices.Clone(value),
			})
			return true
		})
		if err != nil {
			return err
		}
		if full {
			chunk.Copied = false
			break
		}
	}
	if n := len(chunk.Pairs); n > 0 {
		chunk.Cursor = chunk.Pairs[n-1].Key
	}
	return nil
}

// install takes the next chunk of a bucket that comes from another group.
func (m *Machine) install(tx persistence.Tx, at persistence.Position, i *messages.Install) (*messages.Reply, error) {
	if why := checkInstall(i); why != nil {
		return refusal(why), nil
	}
	c := i.Chunk
	if int64(c.Bucket) >= int64(m.count) {
		return m.noBucket(c.Bucket), nil
	}
	b := m.buckets[c.Bucket]
	switch {
	case c.Number == 0:
		if !m.begins(b, c) {
			return &messages.Reply{}, nil
		}
		if b != nil && b.state != None {
			m.clear(tx, c.Bucket)
		}
		b = &bucket{state: Installing, configVersion: c.ConfigVersion, other: i.From, base: c.Base}
	case b == nil || b.state != Installing || b.configVersion != c.ConfigVersion || b.base != c.Base || b.nextChunk != c.Number:
		return &messages.Reply{}, nil // came before, or belongs to a hand-over that is over
	default:
		copied := *b
		b = &copied
	}
	for _, p := range c.Pairs {
		if err := m.installPair(tx, at, c.Bucket, p); err != nil {
			return nil, err
		}
		b.bytes += uint64(len(p.Key) + len(p.Value))
	}
	if b.copied && c.Behind >= b.behind {
		b.stalls++
	}
	b.counter, b.copied, b.cursor, b.tail, b.behind, b.nextChunk = c.Counter, c.Copied, c.Cursor, c.Tail, c.Behind, c.Number+1
	if c.Last {
		b = &bucket{state: Serving, configVersion: b.configVersion, other: b.other, counter: b.counter}
	}
	m.set(tx, c.Bucket, b)
	return &messages.Reply{}, nil
}

// begins tells whether a first chunk begins something here: for a move that is newer than what is here, whose giver
// proves by it that nothing newer is served here; or for a copying that had to begin again.
func (m *Machine) begins(b *bucket, c *messages.BucketChunk) bool {
	switch {
	case m.absent(c.Bucket, c.ConfigVersion):
		return true
	case b.state == Frozen, b.state == Installing && b.configVersion != c.ConfigVersion:
		return b.configVersion < c.ConfigVersion
	case b.state == Installing:
		return b.base < c.Base
	}
	return false
}

// installPair writes one pair; keys in chunks are the giver's without the bucket: kind, then the rest.
func (m *Machine) installPair(tx persistence.Tx, at persistence.Position, id uint32, p *messages.Pair) error {
	full := append(bucketKey(p.Key[0], id), p.Key[1:]...)
	switch {
	case p.Key[0] == 'd' && len(p.Value) == 0:
		tx.Delete(full)
	case p.Key[0] == 'd':
		tx.Put(full, p.Value)
	case p.Key[0] == 's':
		s, err := decodeSession(p.Value)
		if err != nil {
			return err
		}
		m.place++
		s.bucket, s.id = id, binary.BigEndian.Uint64(p.Key[1:])
		s.usedMs, s.used = at.TimeMs, m.index<<20|m.place
		m.sessions.insert(s)
		m.sessions.mark(s)
	}
	return nil
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Checksum covers a chunk on its way between groups.
func Checksum(c *messages.BucketChunk) uint32 {
	head := []byte{flag(c.Copied) | flag(c.Last)<<1}
	for _, n := range []uint64{uint64(c.Bucket), c.ConfigVersion, c.Base, c.Number, c.Tail, c.Behind, c.Counter} {
		head = binary.AppendUvarint(head, n)
	}
	sum := crc32.Checksum(appendBytes(head, c.Cursor), castagnoli)
	for _, p := range c.Pairs {
		for _, part := range [][]byte{p.Key, p.Value} {
			sum = crc32.Update(sum, castagnoli, binary.AppendUvarint(nil, uint64(len(part))))
			sum = crc32.Update(sum, castagnoli, part)
		}
	}
	return sum
}

func flag(set bool) byte {
	if set {
		return 1
	}
	return 0
}
