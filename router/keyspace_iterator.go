package router

import (
	"bytes"

	"github.com/eraft-io/eraft/messages"
)

// KeyspaceIterator walks over the whole keyspace, bucket after bucket, and within a bucket in the order of the keys. It is
// pure: its user sends all Scans that Next gives to a Session, and gives the replies to Advance, until Next gives none.
//
// A position is a bucket and the last key seen in it. No migration of a bucket and no restart changes which bucket a key
// belongs to, so a position stays valid for ever. A user that cannot keep a key keeps Cursor, the number of the key at which
// the next page begins.
type KeyspaceIterator struct {
	Prefix     []byte                   // only keys that start with it
	Match      []byte                   // only keys that match the pattern, see messages.Glob
	PageSize   int                      // keys to examine for one page; 0: the cluster's default
	Projection messages.Scan_Projection // keys and values, keys, or only their number
	Filter     func(bucket uint32) bool // optional: buckets for which it is false are skipped

	Bucket uint32 // the position: where the iteration continues
	After  []byte // the last key seen in Bucket; nil: Bucket begins
	// Cursor is used instead of After at the beginning of an iteration. Afterwards it says where the last page ended, if
	// Projection asks for keys.
	Cursor  uint64
	Scanned int // keys examined so far
	Matched int // of them, keys that match

	started bool
	seeking bool   // the iteration began with a Cursor, and its key is not found yet
	buckets uint32 // of the cluster; 0 before the first reply
	fanout  int    // Scans of one Next
	done    bool
}

// maxFanout bounds the Scans of one Next. More than one bucket is scanned at once where buckets hold so little that a page is
// far from full.
const maxFanout = 32

// Next gives the Scans to send now. None: the iteration is complete.
func (it *KeyspaceIterator) Next() []*messages.Scan {
	if !it.started {
		it.skipFiltered()
	}
	if it.done {
		return nil
	}
	fanout := uint32(max(it.fanout, 1))
	if it.buckets == 0 || it.tagged() {
		fanout = 1 // the first reply says how many buckets there are
	} else {
		fanout = min(fanout, it.buckets-it.Bucket)
	}
	var scans []*messages.Scan
	for b := it.Bucket; uint32(len(scans)) < fanout && b < it.end(); b = it.firstWanted(b + 1) {
		scans = append(scans, &messages.Scan{
			Bucket: b, Prefix: it.prefix(), Match: it.Match, MaxKeys: uint32(max(it.PageSize, 0)), Projection: it.Projection,
		})
	}
	if !it.started {
		it.started, it.seeking = true, it.Cursor != 0
	}
	if scans[0].After = it.After; it.seeking {
		scans[0].Cursor = it.Cursor
	}
	return scans
}

// Advance takes the replies to the Scans of Next, in their order, and gives the items found. A refusal ends the page: the
// position is behind the replies before it, and Next continues there. The error is that of the first reply; of a later refusal
// only the items before it are given.
func (it *KeyspaceIterator) Advance(replies []*messages.Reply) ([]*messages.Item, error) {
	var items []*messages.Item
	scanned, complete := 0, true
	for i, r := range replies {
		if err := r.Err(); err != nil {
			if i == 0 {
				return nil, err
			}
			it.fanout = 1
			return items, nil
		}
		page := r.GetPage()
		if it.buckets = page.GetBuckets(); page.GetSeeking() {
			it.After = page.After
			return items, nil
		}
		it.Cursor, it.seeking = page.GetCursor(), false
		items = append(items, page.GetItems()...)
		scanned, it.Matched = scanned+int(page.GetScannedKeys()), it.Matched+int(page.GetMatchedKeys())
		if complete = page.GetLast(); !complete {
			it.After = page.After
			break // the buckets behind are scanned again
		}
		it.nextBucket()
	}
	it.Scanned += scanned
	switch {
	case !complete || scanned >= max(it.PageSize, 100):
		it.fanout = 1
	default:
		it.fanout = min(2*max(it.fanout, 1), maxFanout)
	}
	return items, nil
}

// Buckets is the number of buckets of the cluster; 0 before the first reply.
func (it *KeyspaceIterator) Buckets() int { return int(it.buckets) }

// nextBucket moves the position to the next bucket that may hold a key of the iteration.
func (it *KeyspaceIterator) nextBucket() {
	it.Bucket, it.After, it.Cursor = it.Bucket+1, nil, 0
	if it.tagged() {
		only := uint32(messages.BucketOf(it.prefix(), int(it.buckets)))
		it.done = it.Bucket > only
		it.Bucket = max(it.Bucket, only)
	}
	it.done = it.done || it.Bucket >= it.buckets
	it.skipFiltered()
}

// skipFiltered moves the position to the first bucket that Filter wants.
func (it *KeyspaceIterator) skipFiltered() {
	if b := it.firstWanted(it.Bucket); b != it.Bucket {
		it.Bucket, it.After, it.Cursor = b, nil, 0
		it.done = it.done || b >= it.end()
	}
}

// firstWanted is the first bucket from this one on that Filter wants.
func (it *KeyspaceIterator) firstWanted(bucket uint32) uint32 {
	for it.Filter != nil && bucket < it.end() && !it.Filter(bucket) {
		bucket++
	}
	return bucket
}

// end is behind the last bucket, as far as it is known.
func (it *KeyspaceIterator) end() uint32 {
	if it.buckets == 0 {
		return messages.Slots
	}
	return it.buckets
}

// prefix is Prefix, or the literal beginning of Match if that is longer.
func (it *KeyspaceIterator) prefix() []byte {
	if literal := messages.GlobPrefix(it.Match); bytes.HasPrefix(literal, it.Prefix) {
		return literal
	}
	return it.Prefix
}

// tagged reports whether the prefix contains a whole {tag}: then all keys are in one bucket.
func (it *KeyspaceIterator) tagged() bool {
	prefix := it.prefix()
	open := bytes.IndexByte(prefix, '{')
	return open >= 0 && bytes.IndexByte(prefix[open+1:], '}') > 0
}
