package router

import (
	"bytes"

	"github.com/eraft-io/eraft/messages"
)

// Walk goes over the whole keyspace, bucket after bucket, each in the order of its keys. It is pure: who walks asks a
// Session what Next says, all of it at once, and gives the answers to Take. A position is a bucket and the last key
// seen in it. No move of a bucket and no restart changes where a key lies, so a position stays good for ever. Who cannot carry
// a key carries Cursor, the number of the key at which the next page begins.
type Walk struct {
	Prefix []byte                   // only keys that start with it
	Match  []byte                   // only keys that match the pattern, see messages.Glob
	Count  int                      // keys to look at for one page; 0: what the cluster likes
	Want   messages.Scan_Projection // what to learn of them
	Only   func(bucket uint32) bool // optional; other buckets are passed over

	Bucket  uint32 // the position: where the walk goes on
	After   []byte
	Cursor  uint64 // instead of After, at the beginning of a walk; and where the last page ended, of a walk that wants keys
	Looked  int    // keys looked at so far
	Found   int    // of them, how many matched
	seeking bool   // the walk has begun with a cursor, whose key is not found yet
	begun   bool
	buckets uint32
	width   int
	done    bool
}

// maxWidth is how many buckets are asked at once at most, when they hold so little that a page is far from full.
const maxWidth = 32

// Next is what to ask now; nothing: the walk is over.
func (w *Walk) Next() []*messages.Scan {
	if !w.begun {
		w.pass()
	}
	if w.done {
		return nil
	}
	width := uint32(max(w.width, 1))
	if w.buckets == 0 || w.tagged() {
		width = 1 // how many buckets there are is in the first answer
	} else {
		width = min(width, w.buckets-w.Bucket)
	}
	var asks []*messages.Scan
	for b := w.Bucket; uint32(len(asks)) < width && b < w.end(); b = w.from(b + 1) {
		asks = append(asks, &messages.Scan{Bucket: b, Prefix: w.prefix(), Match: w.Match, MaxKeys: uint32(max(w.Count, 0)), Projection: w.Want})
	}
	if !w.begun {
		w.begun, w.seeking = true, w.Cursor != 0
	}
	if asks[0].After = w.After; w.seeking {
		asks[0].Cursor = w.Cursor
	}
	return asks
}

// Take takes the answers, in the order of the asks, and gives what was found. After a refusal the walk is where the
// answers before it end: it may go on from there. The refusal is only given when nothing came before it.
func (w *Walk) Take(replies []*messages.Reply) ([]*messages.Item, error) {
	var items []*messages.Item
	looked, whole := 0, true
	for i, r := range replies {
		if err := r.Err(); err != nil {
			if i == 0 {
				return nil, err
			}
			w.width = 1
			return items, nil
		}
		page := r.GetPage()
		if w.buckets = page.GetBuckets(); page.GetSeeking() {
			w.After = page.After
			return items, nil
		}
		w.Cursor, w.seeking = page.GetCursor(), false
		items = append(items, page.GetItems()...)
		looked, w.Found = looked+int(page.GetScannedKeys()), w.Found+int(page.GetMatchedKeys())
		if whole = page.GetLast(); !whole {
			w.After = page.After
			break // what was asked beyond is asked again
		}
		w.step()
	}
	w.Looked += looked
	switch {
	case !whole || looked >= max(w.Count, 100):
		w.width = 1
	default:
		w.width = min(2*max(w.width, 1), maxWidth)
	}
	return items, nil
}

// Buckets of the cluster, 0 before the first answer.
func (w *Walk) Buckets() int { return int(w.buckets) }

// step goes to the next bucket in which there may be something.
func (w *Walk) step() {
	w.Bucket, w.After, w.Cursor = w.Bucket+1, nil, 0
	if w.tagged() {
		only := uint32(messages.BucketOf(w.prefix(), int(w.buckets)))
		w.done = w.Bucket > only
		w.Bucket = max(w.Bucket, only)
	}
	w.done = w.done || w.Bucket >= w.buckets
	w.pass()
}

// pass goes on to the first bucket from the position on that is not to be passed over.
func (w *Walk) pass() {
	if b := w.from(w.Bucket); b != w.Bucket {
		w.Bucket, w.After, w.Cursor = b, nil, 0
		w.done = w.done || b >= w.end()
	}
}

// from is the first bucket from one on that is not to be passed over.
func (w *Walk) from(bucket uint32) uint32 {
	for w.Only != nil && bucket < w.end() && !w.Only(bucket) {
		bucket++
	}
	return bucket
}

// end is behind the last bucket, as far as is known.
func (w *Walk) end() uint32 {
	if w.buckets == 0 {
		return messages.Slots
	}
	return w.buckets
}

// prefix is the one asked for, or the one that the pattern has.
func (w *Walk) prefix() []byte {
	if literal := messages.GlobPrefix(w.Match); bytes.HasPrefix(literal, w.Prefix) {
		return literal
	}
	return w.Prefix
}

// tagged tells that the prefix holds a whole {tag}: then all its keys are in one bucket.
func (w *Walk) tagged() bool {
	prefix := w.prefix()
	open := bytes.IndexByte(prefix, '{')
	return open >= 0 && bytes.IndexByte(prefix[open+1:], '}') > 0
}
