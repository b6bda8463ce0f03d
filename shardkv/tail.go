package shardkv

import (
	"encoding/binary"

	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/persistence"
)

// The tail of a bucket that is given names what has changed since the giving began, in order. It holds names only: the
// taker wants what is there when it asks, and a name that stands there often travels once per chunk.
//
//	t<bucket><seq>  bytes changed up to and with this entry, as a varint, then kind and name of the record

func tailKey(id uint32, seq uint64) []byte {
	return binary.BigEndian.AppendUint64(bucketKey('t', id), seq)
}

// note appends an entry, if the bucket is given: a record of about so many bytes has changed. The bucket's own record is
// written at the end of the turn.
func (m *Machine) note(tx persistence.Tx, id uint32, b *bucket, kind byte, name []byte, size int) {
	if b.state != Giving {
		return
	}
	b.tail++
	b.changed += uint64(entryBytes + len(name) + size)
	tx.Put(tailKey(id, b.tail), append(append(binary.AppendUvarint(nil, b.changed), kind), name...))
	m.touched = append(m.touched, id)
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

// tailChunk fills a chunk with the present state of what has changed behind a position of the tail.
func (m *Machine) tailChunk(store persistence.Reader, b *bucket, p *messages.BucketPull, chunk *messages.BucketChunk) error {
	var names []string
	var came uint64 // bytes changed up to where the chunk begins
	known, full, bad, size := map[string]bool{}, false, error(nil), uint64(limit(p.Bytes, chunkBytes, maxChunkBytes))
	chunk.Copied, chunk.Tail = true, p.Tail
	prefix := bucketKey('t', p.Bucket)
	reached := uint64(0)
	err := store.Scan(tailKey(p.Bucket, p.Tail), persistence.PrefixEnd(prefix), func(key, value []byte) bool {
		changed, n := binary.Uvarint(value)
		if n <= 0 || len(value) == n || len(key) != len(prefix)+8 {
			bad = errDamaged
			return false
		}
		seq := binary.BigEndian.Uint64(key[len(prefix):])
		if seq == p.Tail {
			came, reached = changed, changed
			return true
		}
		if full = len(names) > 0 && changed-came > size; full {
			return false
		}
		if name := string(value[n:]); !known[name] {
			known[name] = true
			names = append(names, name)
		}
		chunk.Tail, reached = seq, changed
		return true
	})
	if err == nil {
		err = bad
	}
	chunk.Behind, chunk.Last = b.changed-reached, b.state == Frozen && !full
	for _, name := range names {
		if err == nil {
			err = m.current(store, p.Bucket, name, chunk)
		}
	}
	return err
}

// current adds the present state of a record to a chunk.
func (m *Machine) current(store persistence.Reader, id uint32, name string, chunk *messages.BucketChunk) error {
	pair := &messages.Pair{Key: []byte(name)}
	switch name[0] {
	case 'd':
		stored, found, err := store.Get(dataKey(id, pair.Key[1:]))
		if err != nil {
			return err
		}
		if found {
			pair.Value = stored
		}
	case 's':
		// The newest state of a session may not be in the store before the end of the turn.
		s := m.sessions.all[sessionID{id, binary.BigEndian.Uint64(pair.Key[1:])}]
		if s == nil {
			return nil // forgotten since; that the taker knows it longer does no harm
		}
		body, err := encodeSession(s)
		if err != nil {
			return err
		}
		pair.Value = body
	default:
		return errDamaged
	}
	chunk.Pairs = append(chunk.Pairs, pair)
	return nil
}
