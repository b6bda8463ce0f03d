package router

import (
	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/messages"
)

// replyWindow bounds the bytes of the large replies that a Session has asked for and not received: the receive window of
// the session. How large a reply will be is not known before. Therefore each read carries a reply budget, in bytes; a read
// with a larger result gets the size of the result instead, waits until the window has that much room, and is sent again.
// So a value crosses the network only when there is room for it.
//
// A write that returns a value cannot be sent again for a larger budget: for it the window keeps as much room as such
// writes needed lately.
type replyWindow struct {
	capacity       int          // bytes
	inFlight       int          // bytes of capacity that requests on their way occupy
	readSize       SizeEstimate // of the replies to Gets
	writeReplySize int          // bytes kept for each value that a write returns: the largest value at first, then less and less
}

const (
	// smallReply: reply budgets of up to that many bytes are not counted. Such replies are bounded by the number of requests,
	// and do not wait for large ones.
	smallReply = 4 << 10
	// minWriteReplySize is the smallest writeReplySize.
	minWriteReplySize = 64 << 10
)

// budgetFor gives the reply budget of a request, in bytes. 0 means any size: of queries of which nobody sends many.
func (w *replyWindow) budgetFor(op proto.Message) int {
	switch q := op.(type) {
	case *messages.Get:
		if q.GetMetaOnly() {
			return smallReply
		}
		return max(smallReply, w.readSize.Bytes())
	case *messages.Scan:
		return max(smallReply, scanPageBytes(q))
	case *messages.MetaQuery:
		return 0
	}
	return max(smallReply, min(returnedValues(op)*w.writeReplySize, messages.MaxReplyBytes))
}

// scanPageBytes is the size of the largest page, without the pair that exceeds its limit.
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

// returnedValues is the number of values that a write may return.
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
		n++ // the current value, if the condition does not hold
	case *messages.Batch:
		for _, one := range w.GetWrites() {
			n += returnedValues(one.GetPut()) + returnedValues(one.GetDelete())
		}
		n = max(n, min(len(w.GetConditions()), 1))
	}
	return n
}

// admits reports whether a request with that reply budget may be sent now. A budget above the capacity is admitted alone.
func (w *replyWindow) admits(budget int) bool {
	return budget <= smallReply || w.inFlight == 0 || w.inFlight+budget <= w.capacity
}

// add counts the reply budget of a request that is sent.
func (w *replyWindow) add(budget int) {
	if budget > smallReply {
		w.inFlight += budget
	}
}

// remove is the end of a request that was added.
func (w *replyWindow) remove(budget int) {
	if budget > smallReply {
		w.inFlight -= budget
	}
}

// observe learns from the size of a reply, in bytes.
func (w *replyWindow) observe(op proto.Message, bytes int) {
	switch q := op.(type) {
	case *messages.Get:
		if !q.GetMetaOnly() {
			w.readSize.Observe(bytes)
		}
	case *messages.Scan, *messages.MetaQuery:
	default:
		if n := returnedValues(op); n > 0 {
			w.writeReplySize = max(bytes/n, w.writeReplySize-w.writeReplySize/16, minWriteReplySize)
		}
	}
}

// SizeEstimate follows the sizes of replies: about two thirds of the recent ones were not larger. The zero value has seen no
// reply.
type SizeEstimate struct{ bytes int }

const minEstimate, initialEstimate = 512, 4 << 10

// Observe records a reply of that many bytes.
func (e *SizeEstimate) Observe(bytes int) {
	switch now := e.bytes; {
	case now == 0:
		e.bytes = max(bytes, minEstimate)
	case bytes > now:
		e.bytes = min(bytes, 2*now)
	default:
		e.bytes = max(bytes, now-now/4, minEstimate)
	}
}

// Known reports whether any reply was observed.
func (e *SizeEstimate) Known() bool { return e.bytes > 0 }

// Bytes is the reply budget for the next read, in bytes.
func (e *SizeEstimate) Bytes() int {
	if e.bytes == 0 {
		return initialEstimate
	}
	return e.bytes
}
