package router

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/eraft-io/eraft/messages"
)

// keyspace answers Scans from one sorted list per bucket.
type keyspace [][]string

func newKeyspace(buckets, keys int) keyspace {
	k := make(keyspace, buckets)
	for i := range keys {
		key := fmt.Sprintf("key-%d", i)
		b := messages.BucketOf([]byte(key), buckets)
		k[b] = append(k[b], key)
	}
	for _, bucket := range k {
		slices.Sort(bucket)
	}
	return k
}

func (k keyspace) answer(s *messages.Scan) *messages.Reply {
	page := &messages.Page{Last: true, Buckets: uint32(len(k))}
	for _, key := range k[s.Bucket] {
		if key <= string(s.After) {
			continue
		}
		if int(page.ScannedKeys) >= max(int(s.MaxKeys), 1) {
			page.Last = false
			break
		}
		page.ScannedKeys++
		page.After = []byte(key)
		if len(s.Match) == 0 || messages.Glob(s.Match, []byte(key)) {
			page.Items = append(page.Items, &messages.Item{Key: []byte(key)})
		}
	}
	return &messages.Reply{Page: page}
}

// Every key comes exactly once, whatever the sizes of pages and buckets, also when pages are refused now and then.
func TestIteratorSeesEveryKeyOnce(t *testing.T) {
	for _, c := range []struct{ buckets, keys, count int }{{1, 100, 7}, {16, 1000, 10}, {256, 3, 10}, {256, 1000, 100}, {3, 0, 1}} {
		for _, refuse := range []int{0, 3} {
			space, w, asked := newKeyspace(c.buckets, c.keys), &KeyspaceIterator{PageSize: c.count}, 0
			seen := map[string]int{}
			for asks := w.Next(); asks != nil; asks = w.Next() {
				var replies []*messages.Reply
				for _, s := range asks {
					if asked++; refuse > 0 && asked%refuse == 0 {
						replies = append(replies, &messages.Reply{Code: messages.Code_UNAVAILABLE})
					} else {
						replies = append(replies, space.answer(s))
					}
				}
				require.LessOrEqual(t, len(asks), maxFanout)
				items, err := w.Advance(replies)
				require.Equal(t, replies[0].Code != messages.Code_OK, err != nil)
				for _, item := range items {
					seen[string(item.Key)]++
				}
			}
			require.Len(t, seen, c.keys)
			for key, n := range seen {
				require.Equal(t, 1, n, key)
			}
		}
	}
}

// Iterators with disjoint filters see each key exactly once, wherever the buckets are.
func TestIteratorsDivideTheBuckets(t *testing.T) {
	space := newKeyspace(64, 1000)
	for _, owner := range []func(bucket uint32) int{
		func(b uint32) int { return int(b) % 3 }, func(b uint32) int { return int(b) / 30 }, func(uint32) int { return 1 },
	} {
		seen := map[string]int{}
		for walker := range 3 {
			w := &KeyspaceIterator{PageSize: 7, Filter: func(b uint32) bool { return b < 64 && owner(b) == walker }}
			for asks := w.Next(); asks != nil; asks = w.Next() {
				var replies []*messages.Reply
				for _, s := range asks {
					require.Equal(t, walker, owner(s.Bucket))
					replies = append(replies, space.answer(s))
				}
				items, err := w.Advance(replies)
				require.NoError(t, err)
				for _, item := range items {
					seen[string(item.Key)]++
				}
			}
		}
		require.Len(t, seen, 1000)
		for key, n := range seen {
			require.Equal(t, 1, n, key)
		}
	}
	w := &KeyspaceIterator{Bucket: 5, Cursor: 77, Filter: func(b uint32) bool { return b == 9 }}
	asks := w.Next()
	require.EqualValues(t, 9, asks[0].Bucket)
	require.Zero(t, asks[0].Cursor, "the position was in a bucket that is passed over")
}

func TestIteratorOfATagReadsOneBucket(t *testing.T) {
	only := uint32(messages.BucketOf([]byte("{x}"), 256))
	for _, w := range []*KeyspaceIterator{{Prefix: []byte("{x}a")}, {Match: []byte("{x}*")}} {
		var asked []uint32
		for asks := w.Next(); asks != nil; asks = w.Next() {
			require.Len(t, asks, 1)
			asked = append(asked, asks[0].Bucket)
			_, err := w.Advance([]*messages.Reply{newKeyspace(256, 0).answer(asks[0])})
			require.NoError(t, err)
		}
		require.Equal(t, []uint32{0, only}, asked, "the first answer tells how many buckets there are")
	}
}
