package remoting

import (
	"sync"
	"sync/atomic"

	"github.com/asynkron/protoactor-go/actor"
	"google.golang.org/protobuf/proto"
)

// outgoingMessage is a message that is to be sent. It must not be changed any more.
type outgoingMessage struct {
	to, sender *actor.PID
	message    proto.Message
	size       int // of the message, encoded
}

// queue holds the messages that wait for one stream, and counts those that are being sent as well. It is bounded in messages and bytes, and
// safe for concurrent use.
type queue struct {
	limit  int     // bytes
	budget *budget // that the queues of all clients share; nil: for another node

	mu      sync.Mutex
	waiting []outgoingMessage
	count   int // of messages that wait or are being sent
	bytes   int // of them
	closed  bool
	wake    chan struct{} // holds an element if the queue may have a new message
}

func newQueue(limit int, shared *budget) *queue {
	return &queue{limit: limit, budget: shared, wake: make(chan struct{}, 1)}
}

type postResult int

const (
	queued postResult = iota
	queueFull
	queueClosed // the stream has ended
)

// post queues a message, or tells why it does not.
func (q *queue) post(l outgoingMessage) postResult {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.closed:
		return queueClosed
	case q.count >= maxQueue || q.bytes+l.size > q.limit || !q.budget.reserve(l.size, q.bytes):
		return queueFull
	}
	q.waiting, q.count, q.bytes = append(q.waiting, l), q.count+1, q.bytes+l.size
	if len(q.waiting) == 1 {
		select {
		case q.wake <- struct{}{}:
		default:
		}
	}
	return queued
}

// drain returns all messages that wait, and lets the queue use the memory of an earlier result. They count until release.
func (q *queue) drain(spare []outgoingMessage) []outgoingMessage {
	q.mu.Lock()
	defer q.mu.Unlock()
	all := q.waiting
	q.waiting = spare[:0]
	return all
}

// release stops counting messages that have been sent.
func (q *queue) release(count, bytes int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return
	}
	q.count, q.bytes = q.count-count, q.bytes-bytes
	q.budget.release(bytes)
}

// close lets nothing in any more. It returns how many messages are lost: those that were not sent.
func (q *queue) close() (lost int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return 0
	}
	lost = q.count
	q.budget.release(q.bytes)
	q.closed, q.waiting, q.count, q.bytes = true, nil, 0, 0
	return lost
}

// size is how many messages, and bytes, wait or are being sent.
func (q *queue) size() (count, bytes int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.count, q.bytes
}

// closeIfEmpty closes the queue if it is empty and nothing is being sent. It reports whether the queue is closed.
func (q *queue) closeIfEmpty() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = q.closed || q.count == 0
	return q.closed
}

// budget bounds the bytes that wait for all clients together. Each of them may have as much as is left for the others (dynamic
// thresholds, Choudhury and Hahne 1998): one may take half, and however many take all they can, newcomers find room.
type budget struct {
	limit int64
	used  atomic.Int64
}

// reserve tells whether a queue that has a number of bytes may have more, which then count.
func (b *budget) reserve(more, has int) bool {
	if b == nil {
		return true
	}
	used := b.used.Add(int64(more))
	if int64(has) > b.limit-used {
		b.used.Add(-int64(more))
		return false
	}
	return true
}

func (b *budget) release(bytes int) {
	if b != nil {
		b.used.Add(-int64(bytes))
	}
}

// messageSender is the sending end of a stream.
type messageSender interface{ SendMsg(m any) error }

// send sends messages in order, in frames that are not too large for the other system's memory.
func (q *queue) send(n *Network, to messageSender, header []byte, batch []outgoingMessage) error {
	p, bytes := frame{n: n, header: header}, 0
	flush := func() error {
		if len(p.envelopes) == 0 {
			return nil
		}
		if err := to.SendMsg(&p); err != nil {
			return err
		}
		q.release(len(p.envelopes), bytes)
		p, bytes = frame{n: n, header: header}, 0
		return nil
	}
	for _, l := range batch {
		if p.bytes > 0 && p.bytes+l.size > partBytes {
			if err := flush(); err != nil {
				return err
			}
		}
		p.add(l)
		bytes += l.size
	}
	return flush()
}
