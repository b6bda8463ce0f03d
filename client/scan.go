package client

import (
	"context"
	"iter"

	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/router"
)

// ScanOptions select what a Scan gives. The zero value selects everything.
type ScanOptions struct {
	Prefix   []byte // only keys that begin with it; with a complete {tag}, only one bucket is read
	Match    []byte // only keys that this Redis pattern matches; at most 256 bytes
	PageSize int    // keys examined for one page; 0: 1000, at most 10000
	KeysOnly bool   // no values
}

// Item is a key that a Scan found. Version is as in Value.
type Item struct {
	Key, Value []byte
	Version    uint64
}

// Scan iterates over the keyspace page by page: bucket after bucket, and within a bucket in the order of the keys. It holds no
// more than a few pages in memory.
//
// Each page is linearizable: it shows the state at one instant after it was requested. The whole scan is no snapshot. A key that
// exists from the beginning of the scan to its end comes exactly once, over migrations and restarts too; a key that is written or
// deleted meanwhile comes at most once, with its value when its page was read.
//
// The sequence ends after the first error, which is one of this package or the context's. If ctx has no deadline, each page has
// Config.Timeout. Ranging over the sequence again is a new scan.
func (c *Client) Scan(ctx context.Context, o ScanOptions) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		if o.PageSize < 0 {
			yield(Item{}, messages.Errorf(messages.Code_INVALID, "a page of %d keys", o.PageSize))
			return
		}
		it := &router.KeyspaceIterator{Prefix: o.Prefix, Match: o.Match, PageSize: min(o.PageSize, messages.MaxScanKeys)}
		if o.KeysOnly {
			it.Projection = messages.Scan_KEYS
		}
		for asks := it.Next(); asks != nil; asks = it.Next() {
			items, err := c.pages(ctx, it, asks)
			for _, item := range items {
				if !yield(Item{item.Key, item.Value, item.Version}, nil) {
					return
				}
			}
			if err != nil {
				yield(Item{}, err)
				return
			}
		}
	}
}

// pages sends several Scans at once, and advances the iteration.
func (c *Client) pages(ctx context.Context, it *router.KeyspaceIterator, asks []*messages.Scan) ([]*messages.Item, error) {
	ops := make([]proto.Message, len(asks))
	for i, ask := range asks {
		ask.From = c.readFrom
		ops[i] = ask
	}
	replies, problems := c.doAll(ctx, ops)
	for i, r := range replies {
		if r == nil {
			replies[i] = &messages.Reply{Code: messages.Code_UNAVAILABLE, Text: "no answer before the context ended"}
		}
	}
	items, err := it.Advance(replies)
	if err != nil {
		err = problems[0]
	}
	return items, err
}
