package shardkv_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/eraft-io/eraft/messages"
)

// scanAll scans a bucket by cursors alone, and calls between after each page but the last.
func (r *replica) scanAll(t *testing.T, bucket uint32, count uint32, between func(keys []string)) (all []string, asked int) {
	for cursor := uint64(0); ; {
		s := &messages.Scan{Bucket: bucket, Cursor: cursor, MaxKeys: count, Projection: messages.Scan_KEYS}
		reply := r.scan(s)
		for asked++; reply.GetPage().GetSeeking(); asked++ {
			require.Empty(t, reply.Page.Items)
			s.After = reply.Page.After
			reply = r.scan(s)
		}
		require.Equal(t, messages.Code_OK, reply.Code, reply.Text)
		var keys []string
		for _, item := range reply.Page.Items {
			keys = append(keys, string(item.Key))
		}
		if all = append(all, keys...); reply.Page.Last {
			require.Zero(t, reply.Page.Cursor)
			return all, asked
		}
		cursor = reply.Page.Cursor
		require.Positive(t, cursor)
		require.Less(t, cursor, uint64(1)<<messages.CursorBits)
		between(keys)
	}
}

// A cursor finds its key again whichever replica leads the group, at the cost of one page where it is known, also when all keys that
// were returned have been deleted meanwhile.
func TestCursorsFindTheirPlace(t *testing.T) {
	const keys = 300
	bucket := uint32(messages.BucketOf([]byte("{x}"), buckets))
	for _, c := range []struct {
		name    string
		between func(r *replica, seen []string)
		asked   int
	}{
		{"one leader", func(*replica, []string) {}, keys / 10},
		{"another leader for each page", func(r *replica, _ []string) { r.restart() }, keys / 10},
		{"what was seen is deleted", func(r *replica, seen []string) {
			for _, key := range seen {
				r.apply(&messages.Command{Op: &messages.Command_Delete{Delete: &messages.Delete{Key: []byte(key)}}})
			}
			r.restart()
		}, keys / 10},
	} {
		r := newReplica(t, 1, true)
		var want []string
		for i := range keys {
			key := fmt.Sprintf("{x}%03d", i)
			r.apply(put(key, "v"))
			want = append(want, key)
		}
		all, asked := r.scanAll(t, bucket, 10, func(seen []string) { c.between(r, seen) })
		require.Equal(t, want, all, c.name)
		require.Equal(t, c.asked, asked, c.name)
	}
}

// In a large bucket the key of an unknown cursor is looked for in steps, each bounded as a page is.
func TestCursorsAreLookedForInSteps(t *testing.T) {
	r := newReplica(t, 1, true)
	bucket := uint32(messages.BucketOf([]byte("{x}"), buckets))
	for i := range 5 {
		r.apply(put(fmt.Sprintf("{x}%d", i), strings.Repeat("v", 600<<10)))
	}
	reply := r.scan(&messages.Scan{Bucket: bucket, After: []byte("{x}2"), MaxKeys: 1, Projection: messages.Scan_KEYS})
	require.Equal(t, "{x}3", string(reply.Page.Items[0].Key))
	r.restart()
	s := &messages.Scan{Bucket: bucket, Cursor: reply.Page.Cursor, Projection: messages.Scan_KEYS}
	for _, after := range []string{"{x}1", "{x}3"} {
		step := r.scan(s)
		require.True(t, step.Page.Seeking)
		require.False(t, step.Page.Last)
		require.Empty(t, step.Page.Items)
		require.Equal(t, after, string(step.Page.After))
		s.After = step.Page.After
	}
	last := r.scan(s)
	require.False(t, last.Page.Seeking)
	require.Equal(t, "{x}4", string(last.Page.Items[0].Key))
}

// A cursor of no key is refused: a client that began again with it would never end.
func TestUnknownCursorsAreRefused(t *testing.T) {
	r := newReplica(t, 1, true)
	bucket := uint32(messages.BucketOf([]byte("{x}"), buckets))
	for i := range 30 {
		r.apply(put(fmt.Sprintf("{x}%02d", i), "v"))
	}
	ask := func(cursor uint64) *messages.Reply {
		return r.scan(&messages.Scan{Bucket: bucket, Cursor: cursor, MaxKeys: 10, Projection: messages.Scan_KEYS})
	}
	require.Equal(t, messages.Code_INVALID, ask(12345).Code)
	cursor := ask(0).Page.Cursor
	r.apply(&messages.Command{Op: &messages.Command_Delete{Delete: &messages.Delete{Key: []byte("{x}10")}}})
	require.Equal(t, "{x}11", string(ask(cursor).Page.Items[0].Key), "the key is in the cache")
	r.restart()
	require.Equal(t, messages.Code_INVALID, ask(cursor).Code, "and unknown once the key is deleted where it is not")
	require.Zero(t, r.scan(&messages.Scan{Bucket: bucket, MaxKeys: 10}).Page.Cursor, "a scan by keys needs no cursor")
}
