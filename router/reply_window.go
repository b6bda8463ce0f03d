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
type replyWindow struct {
	admissionQueue              // of requests that wait for room
	capacity       int          // bytes
	inFlight       int          // of them, kept for what is on its way
	readSize       SizeEstimate // of what a read needs
	writeReplySize int          // what a write needs that answers with a value: all of them at first, then less and less
}

const (
	// smallReply and below is not counted: such answers are bounded by the number of requests, and wait for no large ones.
	smallReply = 4 << 10
	// minWriteReplySize is kept for a write that answers with a value, however small they were.
	minWriteReplySize  = 64 << 10
	defaultReplyWindow = 16 << 20
)

// expect gives the room that a request needs for its answer, as far as anybody knows; 0: any, of what nobody asks many of.
func (a *replyWindow) replyBudget(op proto.Message) int {
	switch q := op.(type) {
	case *messages.Get:
		if q.GetMetaOnly() {
			return smallReply
		}
		return max(smallReply, a.readSize.Bytes())
	case *messages.Scan:
		return max(smallReply, scanPageBytes(q))
	case *messages.MetaQuery:
		return 0
	}
	return max(smallReply, min(returnedValues(op)*a.writeReplySize, messages.MaxReplyBytes))
}

// scanned is what a page has at most, but for the pair that passes its limit.
func scanPageBytes(q *messages.Scan) int {
	if q.GetProjection() == messages.Scan_COUNT {
		return smallReply
	}
	bytes := messages.MaxScanBytes / 4
	if q.GetMaxBytes() > 0 {
		bytes = int(min(q.GetMaxBytes(), messages.MaxScanBytes))
	}
	if q.GetMaxKeys() > 0 && q.GetProjection() == messages.Scan_KEYS {
		bytes = int(min(uint64(bytes), uint64(q.GetMaxKeys())*(messages.MaxKeyBytes+32)))
	}
	return bytes + smallReply
}

// returnedValues counts the values that a write may answer with.
func returnedValues(op proto.Message) int {
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
			n += returnedValues(one.GetPut()) + returnedValues(one.GetDelete())
		}
		n = max(n, min(len(w.GetConditions()), 1))
	}
	return n
}

// takes tells whether a request whose answer needs so much may be sent now. One that needs more than there is goes alone.
func (a *replyWindow) admits(budget int) bool {
	return budget <= smallReply || a.inFlight == 0 || a.inFlight+budget <= a.capacity
}

func (a *replyWindow) add(budget int) {
	if budget > smallReply {
		a.inFlight += budget
	}
}

// over is the end of a request that was sent.
func (a *replyWindow) remove(budget int) {
	if budget > smallReply {
		a.inFlight -= budget
	}
}

// saw learns from an answer of so many bytes.
func (a *replyWindow) observe(op proto.Message, bytes int) {
	switch q := op.(type) {
	case *messages.Get:
		if !q.GetMetaOnly() {
			a.readSize.Observe(bytes)
		}
	case *messages.Scan, *messages.MetaQuery:
	default:
		if n := returnedValues(op); n > 0 {
			a.writeReplySize = max(bytes/n, a.writeReplySize-a.writeReplySize/16, minWriteReplySize)
		}
	}
}

// Guess follows how large answers are: about two of three of those that came lately were no larger. The zero value knows
// of none.
type SizeEstimate struct{ bytes int }

const minEstimate, initialEstimate = 512, 4 << 10

// Saw an answer of that many bytes.
func (g *SizeEstimate) Observe(bytes int) {
	switch now := g.bytes; {
	case now == 0:
		g.bytes = max(bytes, minEstimate)
	case bytes > now:
		g.bytes = min(bytes, 2*now)
	default:
		g.bytes = max(bytes, now-now/4, minEstimate)
	}
}

// Known tells whether any answer was seen.
func (g *SizeEstimate) Known() bool { return g.bytes > 0 }

// Bytes are what the next answer should have room for.
func (g *SizeEstimate) Bytes() int {
	if g.bytes == 0 {
		return initialEstimate
	}
	return g.bytes
}
