package shardkv

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/persistence"
)

// Bounds of what one page scans if the Scan does not say.
const (
	defaultScanKeys  = 1000
	defaultScanBytes = 256 << 10 // of keys and values
)

// limit is what is asked for, or the default if that is 0, but never above the highest.
func limit(asked uint32, usual, highest int) int {
	if asked == 0 {
		return usual
	}
	return int(min(asked, uint32(highest)))
}

// scan replies with one page of a bucket. Its cost is bounded by the keys and bytes that it scans, whether they match or not.
func (m *Machine) scan(store persistence.Reader, s *messages.Scan) (*messages.Reply, error) {
	if int64(s.GetBucket()) >= int64(m.bucketCount) {
		return m.noSuchBucket(s.GetBucket()), nil
	}
	if b := m.buckets[s.GetBucket()]; !b.serves() {
		return m.wrongGroup(b), nil
	}
	maxKeys, maxBytes := limit(s.MaxKeys, defaultScanKeys, messages.MaxScanKeys), limit(s.MaxBytes, defaultScanBytes, messages.MaxScanBytes)
	low := dataKey(s.Bucket, s.Prefix)
	high := persistence.PrefixEnd(low)
	strip := len(low) - len(s.Prefix)
	from := dataKey(s.Bucket, nil)
	switch {
	case s.Cursor != 0:
		key, reply, err := m.resolveCursor(store, s)
		if key == nil {
			return reply, err
		}
		from = dataKey(s.Bucket, key)
	case len(s.After) > 0:
		from = append(dataKey(s.Bucket, s.After), 0)
	}
	if bytes.Compare(from, low) > 0 {
		low = from
	}
	page := &messages.Page{Last: true, Buckets: uint32(m.bucketCount)}
	if bytes.Compare(low, high) >= 0 {
		return &messages.Reply{Page: page}, nil
	}
	var bad error
	err := store.Scan(low, high, func(stored, value []byte) bool {
		if int(page.ScannedKeys) >= maxKeys || int(page.ScannedBytes) >= maxBytes {
			if page.Last = false; s.Projection == messages.Scan_KEYS {
				page.Cursor = m.cursors.remember(s.Bucket, stored[strip:])
			}
			return false
		}
		key := stored[strip:]
		page.ScannedKeys++
		page.ScannedBytes += uint32(len(key) + len(value))
		page.After = append(page.After[:0], key...)
		if len(s.Match) > 0 && !messages.Glob(s.Match, key) {
			return true
		}
		page.MatchedKeys++
		if s.Projection == messages.Scan_COUNT {
			return true
		}
		var version uint64
		if version, value, bad = decodeValue(value); bad != nil {
			bad = fmt.Errorf("key %q: %w", key, bad)
			return false
		}
		item := &messages.Item{Key: bytes.Clone(key), Version: version}
		if s.Projection == messages.Scan_PAIRS {
			item.Value = bytes.Clone(value)
		}
		page.Items = append(page.Items, item)
		return true
	})
	if err != nil || bad != nil {
		return nil, fmt.Errorf("scan bucket %d: %w", s.Bucket, errors.Join(bad, err))
	}
	return &messages.Reply{Page: page}, nil
}
