package shardkv_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/eraft-io/eraft/messages"
)

func (r *replica) scan(s *messages.Scan) *messages.Reply {
	return r.query(&messages.Query{Op: &messages.Query_Scan{Scan: s}})
}

// pages scans a bucket to its end.
func (r *replica) pages(s *messages.Scan) (keys []string, pages int) {
	for {
		reply := r.scan(s)
		require.Equal(r.t, messages.Code_OK, reply.Code, reply.Text)
		require.EqualValues(r.t, buckets, reply.Page.Buckets)
		pages++
		for _, item := range reply.Page.Items {
			keys = append(keys, string(item.Key))
			require.NotZero(r.t, item.Version)
			if s.Projection == messages.Scan_PAIRS {
				require.Equal(r.t, "v"+string(item.Key), string(item.Value))
			}
		}
		if reply.Page.Last {
			return keys, pages
		}
		s.After = reply.Page.After
	}
}

func TestScanPages(t *testing.T) {
	r := newReplica(t, 1, true)
	var want, odd []string
	for i := range 100 {
		key := fmt.Sprintf("{x}%03d", i)
		r.apply(put(key, "v"+key))
		r.apply(put(fmt.Sprintf("other%d", i), "elsewhere"))
		want = append(want, key)
		if i%2 == 1 {
			odd = append(odd, key)
		}
	}
	b := uint32(messages.BucketOf([]byte("{x}"), buckets))
	for _, c := range []struct {
		name  string
		scan  *messages.Scan
		want  []string
		pages int
	}{
		{"one page", &messages.Scan{Prefix: []byte("{x}")}, want, 1},
		{"by count", &messages.Scan{Prefix: []byte("{x}"), MaxKeys: 10}, want, 10},
		{"by bytes: one key each", &messages.Scan{Prefix: []byte("{x}"), MaxBytes: 1, Projection: messages.Scan_KEYS}, want, 100},
		{"after a key", &messages.Scan{Prefix: []byte("{x}"), After: []byte("{x}089")}, want[90:], 1},
		{"after a key that is gone", &messages.Scan{Prefix: []byte("{x}"), After: []byte("{x}089zz")}, want[90:], 1},
		{"after all", &messages.Scan{Prefix: []byte("{x}"), After: []byte("{y}")}, nil, 1},
		{"prefix", &messages.Scan{Prefix: []byte("{x}04")}, want[40:50], 1},
		{"prefix of nothing", &messages.Scan{Prefix: []byte("{x}zz")}, nil, 1},
		{"prefix of 0xff", &messages.Scan{Prefix: []byte("\xff\xff")}, nil, 1},
		{"pattern, pages by what is scanned", &messages.Scan{Match: []byte("{x}??[13579]"), Prefix: []byte("{x}"), MaxKeys: 10}, odd, 10},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.scan.Bucket = b
			got, pages := r.pages(c.scan)
			require.Equal(t, c.want, got)
			require.Equal(t, c.pages, pages)
		})
	}
	total := uint32(0)
	for b := range uint32(buckets) {
		page := r.scan(&messages.Scan{Bucket: b, Projection: messages.Scan_COUNT}).Page
		require.Empty(t, page.Items)
		total += page.MatchedKeys
		keys, _ := r.pages(&messages.Scan{Bucket: b, Projection: messages.Scan_KEYS})
		require.True(t, slices.IsSorted(keys))
	}
	require.EqualValues(t, 200, total)
}

func TestScanRefusals(t *testing.T) {
	r := newReplica(t, 1, true)
	long := []byte(strings.Repeat("x", messages.MaxKeyBytes+1))
	require.Equal(t, messages.Code_INVALID, r.scan(&messages.Scan{Bucket: buckets}).Code)
	require.Equal(t, messages.Code_INVALID, r.scan(&messages.Scan{Bucket: 1 << 31}).Code)
	require.Equal(t, messages.Code_TOO_LARGE, r.scan(&messages.Scan{After: long}).Code)
	require.Equal(t, messages.Code_TOO_LARGE, r.scan(&messages.Scan{Prefix: long}).Code)
	require.Equal(t, messages.Code_TOO_LARGE, r.scan(&messages.Scan{Match: long}).Code)
	require.Equal(t, messages.Code_INVALID, r.query(&messages.Query{}).Code)
	r.shard(startMigration(3, 5, 2))
	require.Equal(t, messages.Code_OK, r.scan(&messages.Scan{Bucket: 3}).Code, "it is served until it is frozen")
	r.shard(freezeBucket(&messages.BucketPull{Bucket: 3, ConfigVersion: 5}))
	moved := r.scan(&messages.Scan{Bucket: 3})
	require.Equal(t, messages.Code_WRONG_GROUP, moved.Code)
	require.EqualValues(t, 2, moved.Hint.Group)
}
