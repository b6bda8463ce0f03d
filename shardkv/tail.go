package shardkv

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/persistence"
)

// The tail of a bucket that is given is what has changed since the giving began, in order: reading it is one scan, and
// asks for nothing where the bucket's other records are.
//
//	t<bucket><seq>  bytes changed up to and with this entry, as a varint; then a record's kind, name behind its length, and value

func tailKey(id uint32, seq uint64) []byte {
	return binary.BigEndian.AppendUint64(bucketKey('t', id), seq)
}

// note appends an entry, if the bucket is given. The value is the record's new one, empty if it is deleted; of a session
// there is none, because many commands of a turn change it: the taker gets it as it is then. The bucket's own record is
// written at the end of the turn.
func (m *Machine) note(tx persistence.Tx, id uint32, b *bucket, kind byte, name, value []byte) {
	if b.state != Giving {
		return
	}
	b.tail++
	b.changed += uint64(entryBytes + len(name) + len(value))
	entry := append(binary.AppendUvarint(make([]byte, 0, len(name)+len(value)+entryBytes), b.changed), kind)
	tx.Put(tailKey(id, b.tail), append(appendBytes(entry, name), value...))
	m.touch(id, b)
}

// entryBytes is what a change costs beside its key and value.
const entryBytes = 16

// bound calls a hand-over off whose tail grows without anybody taking it.
func (m *Machine) bound(tx persistence.Tx, id uint32, b *bucket) {
	if b.state == Giving && b.changed > b.limit {
		m.clearTail(tx, id, b)
		m.set(tx, id, &bucket{state: Serving, configVersion: b.configVersion, counter: b.counter, tail: b.tail})
	}
}

func (m *Machine) clearTail(tx persistence.Tx, id uint32, b *bucket) {
	if b.tail > b.base {
		tx.DeletePrefix(bucketKey('t', id))
	}
}

// tailChunk fills a chunk with what has changed behind a position of the tail. A record that changed often is there once;
// one that is copied later is not there.
func (m *Machine) tailChunk(store persistence.Reader, b *bucket, p *messages.BucketPull, chunk *messages.BucketChunk) error {
	var came, reached uint64 // bytes changed up to where the chunk begins, and ends
	known, full, bad, size := map[string]*messages.Pair{}, false, error(nil), uint64(limit(p.Bytes, chunkBytes, maxChunkBytes))
	chunk.Copied, chunk.Tail = p.Copied, p.Tail
	if !p.Copied {
		chunk.Cursor = p.After
	}
	prefix := bucketKey('t', p.Bucket)
	err := store.Scan(tailKey(p.Bucket, p.Tail), persistence.PrefixEnd(prefix), func(key, value []byte) bool {
		changed, pair, err := decodeEntry(value)
		if bad = err; bad != nil {
			return false
		}
		seq := binary.BigEndian.Uint64(key[len(prefix):])
		if seq == p.Tail {
			came, reached = changed, changed
			return true
		}
		many := len(chunk.Pairs) == chunkPairs && b.state != Frozen
		if full = seq > p.Tail+1 && changed-came > size || many; full {
			return false
		}
		if before := known[string(pair.Key)]; before != nil {
			before.Value = pair.Value
		} else if p.Copied || hasCome(p.After, pair.Key) {
			known[string(pair.Key)] = pair
			chunk.Pairs = append(chunk.Pairs, pair)
		}
		chunk.Tail, reached = seq, changed
		return true
	})
	chunk.Behind, chunk.Last = b.changed-reached, p.Copied && b.state == Frozen && !full
	if err = errors.Join(err, bad); err != nil {
		return fmt.Errorf("read the tail of bucket %d: %w", p.Bucket, err)
	}
	return m.fillSessions(p.Bucket, chunk)
}

// changedUpTo is how many bytes have changed up to where a pull stands in the tail.
func changedUpTo(store persistence.Reader, b *bucket, p *messages.BucketPull) (uint64, error) {
	entry, found, err := store.Get(tailKey(p.Bucket, p.Tail))
	if err != nil || !found || p.Tail <= b.base {
		return 0, err
	}
	changed, _, err := decodeEntry(entry)
	return changed, err
}

func decodeEntry(value []byte) (changed uint64, p *messages.Pair, err error) {
	f := fields{rest: value}
	changed = f.number()
	if len(f.rest) == 0 {
		return 0, nil, errDamaged
	}
	kind := f.rest[0]
	f.rest = f.rest[1:]
	key := append([]byte{kind}, f.bytes()...)
	return changed, &messages.Pair{Key: key, Value: bytes.Clone(f.rest)}, f.err
}

// fillSessions gives sessions their present records, from memory: they may not be in the store before the end of the
// turn. One that is forgotten since is left out; that the taker knows it longer does no harm.
func (m *Machine) fillSessions(id uint32, chunk *messages.BucketChunk) (err error) {
	chunk.Pairs = slices.DeleteFunc(chunk.Pairs, func(p *messages.Pair) bool {
		if p.Key[0] != 's' || err != nil {
			return false
		}
		s := m.sessions.all[sessionID{id, binary.BigEndian.Uint64(p.Key[1:])}]
		if s != nil {
			p.Value, err = encodeSession(s)
		}
		return s == nil
	})
	return err
}
