package gateway

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/router"
)

// A cursor consists of a bucket and the number of a key in it; number 0 is the beginning of the bucket. It has 53 bits, which clients
// can store that have only floating-point numbers. Any node can continue from it at any time; see docs/adr/0031-the-leader-resolves-cursors.md.
const (
	cursorBits = 14 + messages.CursorBits
	errCursor  = "ERR invalid cursor"
)

// Limits of one command.
const (
	maxKeysBytes  = maxReply    // bytes of the keys in a reply to KEYS
	maxScanBytes  = 1 << 20     // bytes of the keys of one SCAN, and one page more
	maxCountTime  = time.Second // for which DBSIZE counts, before it estimates
	countPageSize = messages.MaxScanKeys
)

// scanStep sends the Scans of one iteration step, and waits for the replies.
func (g *Gateway) scanStep(it *router.KeyspaceIterator, asks []*messages.Scan) ([]*messages.Item, *messages.Reply) {
	replies := make([]*messages.Reply, len(asks))
	var open sync.WaitGroup
	open.Add(len(asks))
	for i, ask := range asks {
		g.options.Backend.Ask(ask, g.options.Timeout, 0, func(r *messages.Reply) {
			replies[i] = r
			open.Done()
		})
	}
	open.Wait()
	items, err := it.Advance(replies)
	if err != nil {
		return nil, replies[0]
	}
	return items, nil
}

func scan(c *call, r *request) string {
	cursor, ok := parseCursor(r.args[1])
	if !ok {
		return errCursor
	}
	it, other, empty := &router.KeyspaceIterator{
		PageSize: 10, Projection: messages.Scan_KEYS, Filter: r.g.ownBuckets(), Bucket: uint32(cursor >> messages.CursorBits), Cursor: cursor & (1<<messages.CursorBits - 1),
	}, false, false
	for i := 2; i < len(r.args); i += 2 {
		if i+1 == len(r.args) {
			return errSyntax
		}
		arg := r.args[i+1]
		switch upperWord(r.args[i]) {
		case "MATCH":
			it.Match, empty = arg, len(arg) == 0
		case "TYPE":
			other = upperWord(arg) != "STRING"
		case "COUNT":
			n, ok := integer(arg)
			if !ok {
				return errInteger
			}
			if n < 1 {
				return errSyntax
			}
			it.PageSize = int(min(n, messages.MaxScanKeys))
		default:
			return errSyntax
		}
	}
	if len(it.Match) == 1 && it.Match[0] == '*' {
		it.Match = nil
	}
	c.bytes = min(it.PageSize*(messages.MaxKeyBytes+plainReply), maxScanBytes+maxScanBytes/4)
	c.steps = func() { c.runScan(r.g, it, other || empty) } // no key matches an empty pattern
	return ""
}

// parseCursor parses a cursor as C's strtoul does in Redis: nothing, a sign and leading zeros are allowed.
func parseCursor(arg []byte) (cursor uint64, ok bool) {
	digits, sign := errorExcerpt(arg, len(arg)), ""
	if digits == "" {
		return 0, true
	}
	if digits[0] == '+' || digits[0] == '-' {
		sign, digits = digits[:1], digits[1:]
	}
	cursor, err := strconv.ParseUint(digits, 10, 64)
	if sign == "-" {
		cursor = -cursor
	}
	return cursor, err == nil && cursor>>cursorBits == 0
}

// runScan carries SCAN out: it continues until as many keys were examined as asked for.
func (c *call) runScan(g *Gateway, it *router.KeyspaceIterator, nothing bool) {
	var keys [][]byte
	next, size := uint64(0), 0
	asks := it.Next()
	for ; !nothing && asks != nil && it.Scanned < it.PageSize && size < maxScanBytes; asks = it.Next() {
		items, refused := g.scanStep(it, asks)
		if refused != nil {
			if refused.Code == messages.Code_INVALID {
				refused.Text = strings.TrimPrefix(errCursor, "ERR ") + ": " + refused.Text
			}
			c.replies = []*messages.Reply{refused}
			return
		}
		for _, item := range items {
			keys, size = append(keys, item.Key), size+len(item.Key)+plainReply
		}
	}
	if !nothing && asks != nil {
		next = uint64(it.Bucket)<<messages.CursorBits | it.Cursor
	}
	if it.After != nil && it.Cursor == 0 {
		c.reject("TRYAGAIN the bucket is led by a node of an older version, which knows no cursors")
		return
	}
	c.render = func(conn *writer, _ []*messages.Reply) {
		conn.WriteArray(2)
		conn.WriteBulkString(strconv.FormatUint(next, 10))
		writeKeys(conn, keys)
	}
}

func writeKeys(conn *writer, keys [][]byte) {
	conn.WriteArray(len(keys))
	for _, key := range keys {
		conn.WriteBulk(key)
	}
}

func keys(c *call, r *request) string {
	it := &router.KeyspaceIterator{Match: r.args[1], PageSize: countPageSize, Projection: messages.Scan_KEYS, Filter: r.g.ownBuckets()}
	c.bytes = maxReply
	if len(it.Match) == 0 { // no key matches an empty pattern; to the iterator it means every key
		c.render = func(conn *writer, _ []*messages.Reply) { writeKeys(conn, nil) }
		return ""
	}
	c.steps = func() {
		var all [][]byte
		size := 0
		for asks := it.Next(); asks != nil; asks = it.Next() {
			items, refused := r.g.scanStep(it, asks)
			if refused != nil {
				c.replies = []*messages.Reply{refused}
				return
			}
			for _, item := range items {
				all = append(all, item.Key)
				size += len(item.Key)
			}
			if size > maxKeysBytes {
				c.replies = []*messages.Reply{{Code: messages.Code_TOO_LARGE, Text: fmt.Sprintf("the keys are more than %d bytes: use SCAN", maxKeysBytes)}}
				return
			}
		}
		c.render = func(conn *writer, _ []*messages.Reply) { writeKeys(conn, all) }
	}
	return ""
}

func dbsize(c *call, r *request) string {
	c.steps = func() {
		total, refused := r.g.count()
		if refused != nil {
			c.replies = []*messages.Reply{refused}
			return
		}
		c.render = func(conn *writer, _ []*messages.Reply) { conn.WriteInt64(total) }
	}
	return ""
}

// count counts keys for up to maxCountTime. It assumes that the remaining buckets hold as many keys as those counted.
func (g *Gateway) count() (int64, *messages.Reply) {
	it := &router.KeyspaceIterator{PageSize: countPageSize, Projection: messages.Scan_COUNT, Filter: g.ownBuckets()}
	began, buckets := time.Now(), 0
	for asks := it.Next(); asks != nil; asks = it.Next() {
		if it.Bucket > 0 && time.Since(began) > maxCountTime {
			break
		}
		if _, refused := g.scanStep(it, asks); refused != nil {
			return 0, refused
		}
		buckets = it.Buckets()
	}
	seen, all := int64(0), int64(0)
	for b := range uint32(buckets) {
		if it.Filter == nil || it.Filter(b) {
			if all++; b < it.Bucket {
				seen++
			}
		}
	}
	return int64(it.Matched) * max(all, 1) / max(seen, 1), nil
}

// ownBuckets selects the buckets that SCAN, KEYS and DBSIZE cover; nil: all.
func (g *Gateway) ownBuckets() func(bucket uint32) bool {
	if !g.options.OwnKeys || g.options.Topology == nil {
		return nil
	}
	led := g.options.Topology().ledBuckets()
	return func(bucket uint32) bool { return int(bucket) < len(led) && led[bucket] }
}
