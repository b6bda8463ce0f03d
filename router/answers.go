package router

import (
	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/messages"
)

// answers bounds the bytes of the answers that a Session has asked for and not got. How large an answer is nobody knows
// before, so each read says how much room there is for it. One that finds its answer larger is told how large it is instead,
// waits until there is that much room, and asks again. So a value crosses the network only when there is room for it.
//
// A write that answers with a value cannot be told to ask again: for it as much is kept as such writes needed lately.
type answers struct {
	queue         // of requests that wait for room
	most    int   // bytes
	used    int   // of them, kept for what is on its way
	read    Guess // of what a read needs
	written int   // what a write needs that answers with a value: all of them at first, then less and less
}

const (
	// smallAnswer and below is not counted: such answers are bounded by the number of requests, and wait for no large ones.
	smallAnswer = 4 << 10
	// leastWritten is kept for a write that answers with a value, however small they were.
	leastWritten  = 64 << 10
	defaultAnswer = 16 << 20
)

// expect gives the room that a request needs for its answer, as far as anybody knows; 0: any, of what nobody asks many of.
func (a *answers) expect(op proto.Message) int {
	switch q := op.(type) {
	case *messages.Get:
		if q.GetMetaOnly() {
			return smallAnswer
		}
		return max(smallAnswer, a.read.Bytes())
	case *messages.Scan:
		return max(smallAnswer, scanned(q))
	case *messages.MetaQuery:
		return 0
	}
	return max(smallAnswer, min(valuesOf(op)*a.written, messages.MaxReplyBytes))
}

// scanned is what a page has at most, but for the pair that passes its limit.
func scanned(q *messages.Scan) int {
	if q.GetProjection() == messages.Scan_COUNT {
		return smallAnswer
	}
	bytes := messages.MaxScanBytes / 4
	if q.GetMaxBytes() > 0 {
		bytes = int(min(q.GetMaxBytes(), messages.MaxScanBytes))
	}
	if q.GetMaxKeys() > 0 && q.GetProjection() == messages.Scan_KEYS {
		bytes = int(min(uint64(bytes), uint64(q.GetMaxKeys())*(messages.MaxKeyBytes+32)))
	}
	return bytes + smallAnswer
}

// valuesOf counts the values that a write may answer with.
func valuesOf(op proto.Message) int {
	n := 0
	switch w := op.(type) {
	case *messages.Put:
		if w.GetReturnPrevious() {
			n++
		}
	case *messages.Delete:
		if w.GetReturnPrevious() {
			n++
		}
	case *messages.CompareAndSwap:
		n++ // what is there
	case *messages.Batch:
		for _, one := range w.GetWrites() {
			n += valuesOf(one.GetPut()) + valuesOf(one.GetDelete())
		}
		n = max(n, min(len(w.GetConditions()), 1))
	}
	return n
}

// takes tells whether a request whose answer needs so much may be sent now. One that needs more than there is goes alone.
func (a *answers) takes(room int) bool {
	return room <= smallAnswer || a.used == 0 || a.used+room <= a.most
}

func (a *answers) sent(room int) {
	if room > smallAnswer {
		a.used += room
	}
}

// over is the end of a request that was sent.
func (a *answers) over(room int) {
	if room > smallAnswer {
		a.used -= room
	}
}

// saw learns from an answer of so many bytes.
func (a *answers) saw(op proto.Message, bytes int) {
	switch q := op.(type) {
	case *messages.Get:
		if !q.GetMetaOnly() {
			a.read.Saw(bytes)
		}
	case *messages.Scan, *messages.MetaQuery:
	default:
		if n := valuesOf(op); n > 0 {
			a.written = max(bytes/n, a.written-a.written/16, leastWritten)
		}
	}
}

// Guess follows how large answers are: about two of three of those that came lately were no larger. The zero value knows
// of none.
type Guess struct{ bytes int }

const leastGuess, firstGuess = 512, 4 << 10

// Saw an answer of that many bytes.
func (g *Guess) Saw(bytes int) {
	switch now := g.bytes; {
	case now == 0:
		g.bytes = max(bytes, leastGuess)
	case bytes > now:
		g.bytes = min(bytes, 2*now)
	default:
		g.bytes = max(bytes, now-now/4, leastGuess)
	}
}

// Known tells whether any answer was seen.
func (g *Guess) Known() bool { return g.bytes > 0 }

// Bytes are what the next answer should have room for.
func (g *Guess) Bytes() int {
	if g.bytes == 0 {
		return firstGuess
	}
	return g.bytes
}
