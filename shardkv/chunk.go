package shardkv

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math"
	"slices"

	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/persistence"
)

// About how much of a bucket travels in one chunk, if the pull does not say, and at most. Small records cost by their
// number: a chunk has no more of them than others hardly notice, unless the bucket is frozen and clients wait for it.
const (
	defaultChunkBytes = 256 << 10
	maxChunkBytes     = 1 << 20
	maxChunkPairs     = 256
)

// pull answers with the chunk that a taker asks for.
func (m *Machine) readChunk(store persistence.Reader, p *messages.BucketPull) (*messages.Reply, error) {
	chunk := m.statusChunk(p)
	b := m.buckets[p.Bucket]
	chunk.NotReady = chunk.NotReady || !chunk.Abandoned && b.base != p.Base
	if chunk.Abandoned || chunk.NotReady {
		return &messages.Reply{Chunk: chunk}, nil
	}
	chunk.VersionCounter = b.versionCounter
	if b.state == Frozen {
		chunk.TimeMs = b.minTimeMs
	}
	fill := m.fillCopyChunk
	if p.Copied || p.ChangesOnly {
		fill = m.fillChangesChunk
	}
	if err := fill(store, b, p, chunk); err != nil {
		return nil, err
	}
	chunk.Checksum = Checksum(chunk)
	return &messages.Reply{Chunk: chunk}, nil
}

// kinds of records in a chunk, in the order in which they travel.
var recordKinds = []byte{'s', 'd'}

// alreadyCopied tells whether a record was copied when the cursor got there, if it was there.
func alreadyCopied(cursor, key []byte) bool {
	return len(cursor) > 0 && cmp.Or(
		cmp.Compare(slices.Index(recordKinds, key[0]), slices.Index(recordKinds, cursor[0])), bytes.Compare(key[1:], cursor[1:]),
	) <= 0
}

// load is a chunk that is being filled.
type chunkBuilder struct {
	chunk    *messages.BucketChunk
	bytes    int
	maxBytes int
	full     bool
}

// add puts a pair in, unless the chunk is full; the cursor is where the next chunk goes on then.
func (l *chunkBuilder) add(key, value, cursor []byte) bool {
	size := len(key) + len(value)
	if l.full = l.full || l.bytes > 0 && l.bytes+size > l.maxBytes || len(l.chunk.Pairs) == maxChunkPairs; l.full {
		return false
	}
	l.bytes += size
	l.chunk.Pairs = append(l.chunk.Pairs, &messages.Pair{Key: key, Value: value})
	l.chunk.Cursor = cursor
	return true
}

// fillCopyChunk fills a chunk with the records behind the cursor of the one before, as they are now. What changes afterwards
// is in the tail.
func (m *Machine) fillCopyChunk(store persistence.Reader, b *bucket, p *messages.BucketPull, chunk *messages.BucketChunk) error {
	came, err := changedBytesAt(store, b, p)
	if err != nil {
		return err
	}
	chunk.ChangeLogPosition, chunk.BacklogBytes = p.ChangeLogPosition, b.changedBytes-came
	l := &chunkBuilder{chunk: chunk, maxBytes: limit(p.MaxBytes, defaultChunkBytes, maxChunkBytes)}
	if len(p.After) == 0 || p.After[0] == 's' {
		err = m.copySessions(store, p, l)
	}
	if err == nil && !l.full {
		err = copyData(store, p, l)
	}
	chunk.Copied = !l.full
	return err
}

// copySessions copies what sessions did in a bucket: each is up to where it has acknowledged replies, in whatever bucket, and
// the replies of this one that it has not. The cursor is a session and the last seq of it that was copied.
func (m *Machine) copySessions(store persistence.Reader, p *messages.BucketPull, l *chunkBuilder) error {
	var at, upTo uint64
	low := []byte{'f'}
	if len(p.After) >= 9 {
		at, upTo = binary.BigEndian.Uint64(p.After[1:]), math.MaxUint64
		if len(p.After) == 17 { // a version that had one record for each session did not say how far
			upTo = binary.BigEndian.Uint64(p.After[9:])
		}
		low = sessionKey(at)
	}
	var bad error
	err := store.Scan(low, []byte{'f' + 1}, func(key, _ []byte) bool {
		id, from := binary.BigEndian.Uint64(key[1:]), uint64(0)
		if len(p.After) > 0 && id == at {
			if upTo == math.MaxUint64 {
				return true
			}
			from = upTo + 1
		}
		for s := m.sessions.all[id]; s != nil; {
			record, last, err := s.exportFrom(p.Bucket, from)
			if bad = err; bad != nil {
				return false
			}
			name := append([]byte{'s'}, commandName(id, last)...)
			if !l.add(name[:9:9], record, name) {
				return false
			}
			if last == math.MaxUint64 {
				break
			}
			from = last + 1
		}
		return true
	})
	return errors.Join(err, bad)
}

func copyData(store persistence.Reader, p *messages.BucketPull, l *chunkBuilder) error {
	prefix := bucketKey('d', p.Bucket)
	low := prefix
	if len(p.After) > 0 && p.After[0] == 'd' {
		low = append(append(slices.Clone(prefix), p.After[1:]...), 0)
	}
	return store.Scan(low, persistence.PrefixEnd(prefix), func(key, value []byte) bool {
		key = append([]byte{'d'}, key[len(prefix):]...)
		return l.add(key, slices.Clone(value), key)
	})
}

// install takes the next chunk of a bucket that comes from another group.
func (m *Machine) importChunk(tx persistence.Tx, at persistence.Position, i *messages.ImportChunk) (*messages.Reply, error) {
	if why := checkImport(i); why != nil {
		return errorReply(why), nil
	}
	c := i.Chunk
	if int64(c.Bucket) >= int64(m.bucketCount) {
		return m.noSuchBucket(c.Bucket), nil
	}
	b := m.buckets[c.Bucket]
	switch {
	case c.Number == 0:
		if !m.startsImport(b, c) {
			return &messages.Reply{}, nil
		}
		if b != nil && b.state != Absent {
			m.deleteContents(tx, c.Bucket)
		}
		b = &bucket{state: Importing, configVersion: c.ConfigVersion, counterpart: i.Source, base: c.Base}
	case b == nil || b.state != Importing || b.configVersion != c.ConfigVersion || b.base != c.Base || b.nextChunk != c.Number:
		return &messages.Reply{}, nil // came before, or belongs to a hand-over that is over
	default:
		copied := *b
		b = &copied
	}
	for _, p := range c.Pairs {
		if err := m.importPair(tx, at, c.Bucket, p); err != nil {
			return nil, err
		}
		b.receivedBytes += uint64(len(p.Key) + len(p.Value))
	}
	if b.copied && c.BacklogBytes >= b.backlogBytes {
		b.stalls++
	}
	b.versionCounter, b.copied, b.cursor, b.logPosition, b.backlogBytes, b.nextChunk = c.VersionCounter, c.Copied, c.Cursor, c.ChangeLogPosition, c.BacklogBytes, c.Number+1
	if c.Last {
		b = &bucket{state: Serving, configVersion: b.configVersion, counterpart: b.counterpart, versionCounter: b.versionCounter, minTimeMs: c.TimeMs}
	}
	m.putBucket(tx, c.Bucket, b)
	return &messages.Reply{}, nil
}

// begins tells whether a first chunk begins something here: for a move that is newer than what is here, whose giver
// proves by it that nothing newer is served here; or for a copying that had to begin again.
func (m *Machine) startsImport(b *bucket, c *messages.BucketChunk) bool {
	switch {
	case m.absentBefore(c.Bucket, c.ConfigVersion):
		return true
	case b.state == Frozen, b.state == Importing && b.configVersion != c.ConfigVersion:
		return b.configVersion < c.ConfigVersion
	case b.state == Importing:
		return b.base < c.Base
	}
	return false
}

// importPair writes one pair; keys in chunks are the giver's without the bucket: kind, then the rest.
func (m *Machine) importPair(tx persistence.Tx, at persistence.Position, id uint32, p *messages.Pair) error {
	full := append(bucketKey(p.Key[0], id), p.Key[1:]...)
	switch {
	case p.Key[0] == 'd' && len(p.Value) == 0:
		tx.Delete(full)
	case p.Key[0] == 'd':
		tx.Put(full, p.Value)
	case p.Key[0] == 's':
		came, err := decodeMigratedSession(p.Value, id, binary.BigEndian.Uint64(p.Key[1:]))
		if err != nil {
			return err
		}
		m.ordinal++
		s := m.sessions.touch(came.id, at.TimeMs, came.deadlineMs, m.logOrder())
		if came.noDeadlineUseMs != 0 {
			m.sessions.touch(came.id, at.TimeMs, 0, m.logOrder())
		}
		m.sessions.acknowledge(s, came.acked)
		for _, a := range came.replies {
			m.sessions.save(s, a)
		}
	}
	return nil
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Checksum covers a chunk on its way between groups.
func Checksum(c *messages.BucketChunk) uint32 {
	head := []byte{boolByte(c.Copied) | boolByte(c.Last)<<1}
	for _, n := range []uint64{uint64(c.Bucket), c.ConfigVersion, c.Base, c.Number, c.ChangeLogPosition, c.BacklogBytes, c.VersionCounter} {
		head = binary.AppendUvarint(head, n)
	}
	if c.TimeMs != 0 { // versions that do not know it leave it out
		head = binary.AppendUvarint(head, c.TimeMs)
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

func boolByte(set bool) byte {
	if set {
		return 1
	}
	return 0
}
