package shardkv

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/persistence"
)

// A RESP client can carry only a number from one page of a SCAN to the next. The cursor of a page is the bucket and the
// fingerprint of the key at which the next page begins, so any replica can find that key again.

// cursorCache has the keys of the newest cursors. It only saves work: the key of a cursor that it does not have is looked for
// in the bucket. It is not part of the replicated state.
type cursorCache struct {
	keys  map[cursorKey][]byte
	order []cursorKey // oldest first
	bytes int         // of keys and their overhead; at most maxCursorBytes
}

// cursorKey is a key of a bucket, by its fingerprint.
type cursorKey struct {
	bucket uint32
	cursor uint64
}

const (
	maxCursorBytes = 1 << 20 // of memory for the cursors of a replica
	cursorOverhead = 128     // bytes counted for a cursor beside its key
)

// fingerprint is the number of a key: 1 to 2^messages.CursorBits-1. Of so many pairs of keys one has equal numbers.
func fingerprint(key []byte) uint64 {
	sum := sha256.Sum256(key)
	return 1 + binary.BigEndian.Uint64(sum[:])%(1<<messages.CursorBits-1)
}

// remember returns the fingerprint of a key, and keeps the key.
func (c *cursorCache) remember(bucket uint32, key []byte) uint64 {
	at := cursorKey{bucket, fingerprint(key)}
	if _, known := c.keys[at]; known {
		return at.cursor
	}
	if c.keys == nil {
		c.keys = map[cursorKey][]byte{}
	}
	c.keys[at], c.order, c.bytes = bytes.Clone(key), append(c.order, at), c.bytes+len(key)+cursorOverhead
	for c.bytes > maxCursorBytes {
		c.bytes -= len(c.keys[c.order[0]]) + cursorOverhead
		delete(c.keys, c.order[0])
		c.order = c.order[1:]
	}
	return at.cursor
}

// resolveCursor returns the key that a Scan's cursor stands for. A key that is not in the cache is looked for in the bucket, as far
// as one page goes; if it is not found there, the reply says how far the search came, or that the bucket has no such key.
func (m *Machine) resolveCursor(store persistence.Reader, s *messages.Scan) ([]byte, *messages.Reply, error) {
	if key, known := m.cursors.keys[cursorKey{s.Bucket, s.Cursor}]; known {
		return key, nil, nil
	}
	low := dataKey(s.Bucket, nil)
	high, strip := persistence.PrefixEnd(low), len(low)
	if len(s.After) > 0 {
		low = append(dataKey(s.Bucket, s.After), 0)
	}
	page, scanned := &messages.Page{Last: true, Seeking: true, Buckets: uint32(m.bucketCount)}, 0
	var found []byte
	err := store.Scan(low, high, func(stored, value []byte) bool {
		key := stored[strip:]
		if fingerprint(key) == s.Cursor {
			found = bytes.Clone(key)
			return false
		}
		page.ScannedBytes += uint32(len(key) + len(value))
		page.After = append(page.After[:0], key...)
		scanned++
		page.Last = scanned < messages.MaxScanKeys && page.ScannedBytes < messages.MaxScanBytes
		return page.Last
	})
	switch {
	case err != nil:
		return nil, nil, fmt.Errorf("look for a cursor in bucket %d: %w", s.Bucket, err)
	case found != nil:
		return found, nil, nil
	case !page.Last:
		return nil, &messages.Reply{Page: page}, nil
	}
	return nil, errorReply(messages.Errorf(messages.Code_INVALID,
		"cursor %d is of no key of bucket %d: if it once was, the key has been deleted; begin the scan again", s.Cursor, s.Bucket)), nil
}
