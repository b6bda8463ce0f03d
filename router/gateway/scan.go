package gateway

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/router"
)

// A cursor is a position of a walk in 63 bits: 14 of the bucket, 49 of a fingerprint of the last key seen in it, 0 for
// its beginning. Any node can find the position again at any time; see docs/adr/0011-scan-cursors.md.
const printBits = 49

func cursorOf(bucket uint32, after []byte) uint64 {
	return uint64(bucket)<<printBits | fingerprint(after)
}

func fingerprint(key []byte) uint64 {
	if len(key) == 0 {
		return 0
	}
	sum := sha256.Sum256(key)
	return 1 + binary.BigEndian.Uint64(sum[:])%(1<<printBits-1)
}

// positions remembers which key a cursor stands for, for the newest cursors. It only saves work.
type positions struct {
	mu   sync.Mutex
	keys map[uint64][]byte
	ring [4096]uint64
	next int
}

func (p *positions) remember(cursor uint64, key []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.keys == nil {
		p.keys = map[uint64][]byte{}
	}
	if _, known := p.keys[cursor]; !known {
		delete(p.keys, p.ring[p.next])
		p.ring[p.next] = cursor
		p.next = (p.next + 1) % len(p.ring)
	}
	p.keys[cursor] = key
}

func (p *positions) recall(cursor uint64) []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.keys[cursor]
}

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

// find gives the key that a cursor stands for: remembered, or found by walking its bucket. A key that is gone leaves
// nil: the bucket is walked from its beginning again, so nothing is left out and some keys come twice.
func (g *Gateway) find(cursor uint64) ([]byte, *messages.Reply) {
	if key := g.positions.recall(cursor); key != nil || cursor&(1<<printBits-1) == 0 {
		return key, nil
	}
	w := &router.Walk{Bucket: uint32(cursor >> printBits), Count: wholePages, Want: messages.Scan_KEYS}
	for bucket := w.Bucket; w.Bucket == bucket; {
		asks := w.Next()
		if asks == nil {
			break
		}
		items, refused := g.turn(w, asks[:1])
		if refused != nil {
			return nil, refused
		}
		for _, item := range items {
			if cursorOf(bucket, item.Key) == cursor {
				return item.Key, nil
			}
		}
	}
	return nil, nil
}

func scan(c *call, r *request) string {
	cursor, err := strconv.ParseUint(string(r.args[1]), 10, 64)
	if err != nil {
		return "ERR invalid cursor"
	}
	w, nothing := &router.Walk{Count: 10, Want: messages.Scan_KEYS}, cursor>>printBits >= messages.Slots
	for i := 2; i < len(r.args); i += 2 {
		if i+1 == len(r.args) {
			return errSyntax
		}
		arg := r.args[i+1]
		switch strings.ToUpper(string(r.args[i])) {
		case "MATCH":
			w.Match = arg
		case "TYPE":
			nothing = nothing || !strings.EqualFold(string(arg), "string")
		case "COUNT":
			n, err := strconv.ParseInt(string(arg), 10, 64)
			if err != nil {
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
	c.work = func() { c.scanned(r.g, w, cursor, nothing) }
	return ""
}

// scanned carries SCAN out: it goes on until it has looked at as many keys as asked for.
func (c *call) scanned(g *Gateway, w *router.Walk, cursor uint64, nothing bool) {
	var keys [][]byte
	next := uint64(0)
	if !nothing {
		after, refused := g.find(cursor)
		if refused != nil {
			c.answers = []*messages.Reply{refused}
			return
		}
		w.Bucket, w.After = uint32(cursor>>printBits), after
		asks := w.Next()
		size := 0
		for ; asks != nil && w.Looked < w.Count && size < scanBytes; asks = w.Next() {
			items, refused := g.turn(w, asks)
			if refused != nil && refused.Code == messages.Code_INVALID && w.Looked == 0 {
				asks = nil // the cursor is none of ours: Redis' answer to that is the end
				break
			}
			if refused != nil {
				c.answers = []*messages.Reply{refused}
				return
			}
			for _, item := range items {
				keys, size = append(keys, item.Key), size+len(item.Key)+plainAnswer
			}
		}
		if asks != nil {
			next = cursorOf(w.Bucket, w.After)
			g.positions.remember(next, w.After)
		}
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
	w := &router.Walk{Match: r.args[1], Count: wholePages, Want: messages.Scan_KEYS}
	c.bytes = largestAnswer
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

// dbsize counts, for a second at most; the buckets that are left are taken to hold as many keys as those counted.
func dbsize(c *call, r *request) string {
	w := &router.Walk{Count: wholePages, Want: messages.Scan_COUNT}
	c.work = func() {
		began, buckets := time.Now(), 0
		for asks := w.Next(); asks != nil; asks = w.Next() {
			if w.Bucket > 0 && time.Since(began) > sizeTime {
				break
			}
			_, refused := r.g.turn(w, asks)
			if refused != nil {
				c.answers = []*messages.Reply{refused}
				return
			}
			buckets = w.Buckets()
		}
		total := int64(w.Found)
		if seen := int64(w.Bucket); seen > 0 {
			total = total * int64(buckets) / seen
		}
		c.render = func(conn *writer, _ []*messages.Reply) { conn.WriteInt64(total) }
	}
	return ""
}
