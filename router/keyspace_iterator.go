package router

import (
	"bytes"

	"github.com/eraft-io/eraft/messages"
)

// Walk goes over the whole keyspace, bucket after bucket, each in the order of its keys. It is pure: who walks asks a
// Session what Next says, all of it at once, and gives the answers to Take. A position is a bucket and the last key
// seen in it. No move of a bucket and no restart changes where a key lies, so a position stays good for ever. Who cannot carry
// a key carries Cursor, the number of the key at which the next page begins.
type KeyspaceIterator struct {
	Prefix     []byte                   // only keys that start with it
	Match      []byte                   // only keys that match the pattern, see messages.Glob
	PageSize   int                      // keys to look at for one page; 0: what the cluster likes
	Projection messages.Scan_Projection // what to learn of them
	Filter     func(bucket uint32) bool // optional; other buckets are passed over

	Bucket  uint32 // the position: where the walk goes on
	After   []byte
	Cursor  uint64 // instead of After, at the beginning of a walk; and where the last page ended, of a walk that wants keys
	Scanned int    // keys looked at so far
	Matched int    // of them, how many matched
	seeking bool   // the walk has begun with a cursor, whose key is not found yet
	started bool
	buckets uint32
	fanout  int
	done    bool
}

// maxFanout is how many buckets are asked at once at most, when they hold so little that a page is far from full.
const maxFanout = 32

// Next is what to ask now; nothing: the walk is over.
func (w *KeyspaceIterator) Next() []*messages.Scan {
	if !w.started {
		w.skipFiltered()
	}
	if w.done {
		return nil
	}
	width := uint32(max(w.fanout, 1))
	if w.buckets == 0 || w.tagged() {
		width = 1 // how many buckets there are is in the first answer
	} else {
		width = min(width, w.buckets-w.Bucket)
	}
	var asks []*messages.Scan
	for b := w.Bucket; uint32(len(asks)) < width && b < w.end(); b = w.firstWanted(b + 1) {
		asks = append(asks, &messages.Scan{Bucket: b, Prefix: w.prefix(), Match: w.Match, MaxKeys: uint32(max(w.PageSize, 0)), Projection: w.Projection})
	}
	if !w.started {
		w.started, w.seeking = true, w.Cursor != 0
	}
	if asks[0].After = w.After; w.seeking {
		asks[0].Cursor = w.Cursor
	}
	return asks
}

// Take takes the answers, in the order of the asks, and gives what was found. After a refusal the walk is where the
// answers before it end: it may go on from there. The refusal is only given when nothing came before it.
func (w *KeyspaceIterator) Advance(replies []*messages.Reply) ([]*messages.Item, error) {
	var items []*messages.Item
	looked, whole := 0, true
	for i, r := range replies {
		if err := r.Err(); err != nil {
			if i == 0 {
				return nil, err
			}
			w.fanout = 1
			return items, nil
		}
		page := r.GetPage()
		if w.buckets = page.GetBuckets(); page.GetSeeking() {
			w.After = page.After
			return items, nil
		}
		w.Cursor, w.seeking = page.GetCursor(), false
		items = append(items, page.GetItems()...)
		looked, w.Matched = looked+int(page.GetScannedKeys()), w.Matched+int(page.GetMatchedKeys())
		if whole = page.GetLast(); !whole {
			w.After = page.After
			break // what was asked beyond is asked again
		}
		w.nextBucket()
	}
	w.Scanned += looked
	switch {
	case !whole || looked >= max(w.PageSize, 100):
		w.fanout = 1
	default:
		w.fanout = min(2*max(w.fanout, 1), maxFanout)
	}
	return items, nil
}

// Buckets of the cluster, 0 before the first answer.
func (w *KeyspaceIterator) Buckets() int { return int(w.buckets) }

// step goes to the next bucket in which there may be something.
func (w *KeyspaceIterator) nextBucket() {
	w.Bucket, w.After, w.Cursor = w.Bucket+1, nil, 0
	if w.tagged() {
		only := uint32(messages.BucketOf(w.prefix(), int(w.buckets)))
		w.done = w.Bucket > only
		w.Bucket = max(w.Bucket, only)
	}
	w.done = w.done || w.Bucket >= w.buckets
	w.skipFiltered()
}

// pass goes on to the first bucket from the position on that is not to be passed over.
func (w *KeyspaceIterator) skipFiltered() {
	if b := w.firstWanted(w.Bucket); b != w.Bucket {
		w.Bucket, w.After, w.Cursor = b, nil, 0
		w.done = w.done || b >= w.end()
	}
}

// from is the first bucket from one on that is not to be passed over.
func (w *KeyspaceIterator) firstWanted(bucket uint32) uint32 {
	for w.Filter != nil && bucket < w.end() && !w.Filter(bucket) {
		bucket++
	}
	return bucket
}

// end is behind the last bucket, as far as is known.
func (w *KeyspaceIterator) end() uint32 {
	if w.buckets == 0 {
		return messages.Slots
	}
	return w.buckets
}

// prefix is the one asked for, or the one that the pattern has.
func (w *KeyspaceIterator) prefix() []byte {
	if literal := messages.GlobPrefix(w.Match); bytes.HasPrefix(literal, w.Prefix) {
		return literal
	}
	return w.Prefix
}

// tagged tells that the prefix holds a whole {tag}: then all its keys are in one bucket.
func (w *KeyspaceIterator) tagged() bool {
	prefix := w.prefix()
	open := bytes.IndexByte(prefix, '{')
	return open >= 0 && bytes.IndexByte(prefix[open+1:], '}') > 0
}
