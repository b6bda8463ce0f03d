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

// A cursor is a bucket and the number of a key in it, 0 for its beginning: 53 bits, which is what clients keep that have only
// floating-point numbers. Any node can go on from it at any time; see docs/adr/0031-cursors-are-found-where-the-data-is.md.
const (
	cursorBits = 14 + messages.CursorBits
	errCursor  = "ERR invalid cursor"
)

// Bounds of what is done for one command.
const (
	keysBytes  = largestAnswer // of keys that KEYS answers
	scanBytes  = 1 << 20       // of keys of one SCAN; a page more comes along
	sizeTime   = time.Second   // that DBSIZE counts before it estimates
	wholePages = messages.MaxScanKeys
)

// turn does one step of a walk.
func (g *Gateway) turn(w *router.Walk, asks []*messages.Scan) ([]*messages.Item, *messages.Reply) {
	replies := make([]*messages.Reply, len(asks))
	var open sync.WaitGroup
	open.Add(len(asks))
	for i, ask := range asks {
		g.o.Asker.Ask(ask, g.o.Timeout, 0, func(r *messages.Reply) {
			replies[i] = r
			open.Done()
		})
	}
	open.Wait()
	items, err := w.Take(replies)
	if err != nil {
		return nil, replies[0]
	}
	return items, nil
}

func scan(c *call, r *request) string {
	cursor, ok := cursorOf(r.args[1])
	if !ok {
		return errCursor
	}
	w, other, empty := &router.Walk{
		Count: 10, Want: messages.Scan_KEYS, Only: r.g.own(), Bucket: uint32(cursor >> messages.CursorBits), Cursor: cursor & (1<<messages.CursorBits - 1),
	}, false, false
	for i := 2; i < len(r.args); i += 2 {
		if i+1 == len(r.args) {
			return errSyntax
		}
		arg := r.args[i+1]
		switch option(r.args[i]) {
		case "MATCH":
			w.Match, empty = arg, len(arg) == 0
		case "TYPE":
			other = option(arg) != "STRING"
		case "COUNT":
			n, ok := integer(arg)
			if !ok {
				return errInteger
			}
			if n < 1 {
				return errSyntax
			}
			w.Count = int(min(n, messages.MaxScanKeys))
		default:
			return errSyntax
		}
	}
	if len(w.Match) == 1 && w.Match[0] == '*' {
		w.Match = nil
	}
	c.bytes = min(w.Count*(messages.MaxKeyBytes+plainAnswer), scanBytes+scanBytes/4)
	c.work = func() { c.scanned(r.g, w, other || empty) } // no key is empty
	return ""
}

// cursorOf reads a cursor as C's strtoul does, which Redis asks: nothing, signs and zeros in front are all right.
func cursorOf(arg []byte) (cursor uint64, ok bool) {
	digits, sign := cut(arg, len(arg)), ""
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

// scanned carries SCAN out: it goes on until it has looked at as many keys as asked for.
func (c *call) scanned(g *Gateway, w *router.Walk, nothing bool) {
	var keys [][]byte
	next, size := uint64(0), 0
	asks := w.Next()
	for ; !nothing && asks != nil && w.Looked < w.Count && size < scanBytes; asks = w.Next() {
		items, refused := g.turn(w, asks)
		if refused != nil {
			if refused.Code == messages.Code_INVALID {
				refused.Text = strings.TrimPrefix(errCursor, "ERR ") + ": " + refused.Text
			}
			c.answers = []*messages.Reply{refused}
			return
		}
		for _, item := range items {
			keys, size = append(keys, item.Key), size+len(item.Key)+plainAnswer
		}
	}
	if !nothing && asks != nil {
		next = uint64(w.Bucket)<<messages.CursorBits | w.Cursor
	}
	if w.After != nil && w.Cursor == 0 {
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
	w := &router.Walk{Match: r.args[1], Count: wholePages, Want: messages.Scan_KEYS, Only: r.g.own()}
	c.bytes = largestAnswer
	if len(w.Match) == 0 { // what no key matches; to a Walk it is every key
		c.render = func(conn *writer, _ []*messages.Reply) { writeKeys(conn, nil) }
		return ""
	}
	c.work = func() {
		var all [][]byte
		size := 0
		for asks := w.Next(); asks != nil; asks = w.Next() {
			items, refused := r.g.turn(w, asks)
			if refused != nil {
				c.answers = []*messages.Reply{refused}
				return
			}
			for _, item := range items {
				all = append(all, item.Key)
				size += len(item.Key)
			}
			if size > keysBytes {
				c.answers = []*messages.Reply{{Code: messages.Code_TOO_LARGE, Text: fmt.Sprintf("the keys are more than %d bytes: use SCAN", keysBytes)}}
				return
			}
		}
		c.render = func(conn *writer, _ []*messages.Reply) { writeKeys(conn, all) }
	}
	return ""
}

func dbsize(c *call, r *request) string {
	c.work = func() {
		total, refused := r.g.count()
		if refused != nil {
			c.answers = []*messages.Reply{refused}
			return
		}
		c.render = func(conn *writer, _ []*messages.Reply) { conn.WriteInt64(total) }
	}
	return ""
}

// count counts keys, for a second at most; the buckets that are left are taken to hold as many keys as those counted.
func (g *Gateway) count() (int64, *messages.Reply) {
	w := &router.Walk{Count: wholePages, Want: messages.Scan_COUNT, Only: g.own()}
	began, buckets := time.Now(), 0
	for asks := w.Next(); asks != nil; asks = w.Next() {
		if w.Bucket > 0 && time.Since(began) > sizeTime {
			break
		}
		if _, refused := g.turn(w, asks); refused != nil {
			return 0, refused
		}
		buckets = w.Buckets()
	}
	seen, all := int64(0), int64(0)
	for b := range uint32(buckets) {
		if w.Only == nil || w.Only(b) {
			if all++; b < w.Bucket {
				seen++
			}
		}
	}
	return int64(w.Found) * max(all, 1) / max(seen, 1), nil
}

// own tells of which buckets SCAN, KEYS and DBSIZE tell; nil: of all.
func (g *Gateway) own() func(bucket uint32) bool {
	if !g.o.OwnKeys || g.o.Topology == nil {
		return nil
	}
	led := g.o.Topology().led()
	return func(bucket uint32) bool { return int(bucket) < len(led) && led[bucket] }
}
