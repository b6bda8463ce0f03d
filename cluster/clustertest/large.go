package clustertest

import (
	"math/rand/v2"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/cluster"
	"github.com/eraft-io/eraft/messages"
)

// largeValues makes some values as large as the limits allow. It has a random source of its own, so that the other operations are
// the same with and without it, and it stops after largeBytes: large values cost time and memory.
type largeValues struct {
	rng  *rand.Rand
	left int // bytes that may still be drawn
}

const (
	largeBytes = 12 << 20 // bytes of large values in one history
	// batchRoom bounds the bytes of the keys in a batch that writes both keys of a tag.
	batchRoom = 64
	// Of a batch that returns the previous values: how often it writes each of the two keys, and the size of the values. The reply
	// is too large if both keys had large values.
	writesOfEach        = 4
	batchReplyValueSize = 200 << 10
)

// drawLarge reports whether the clients of a seed use large values. If so, it makes copying fast enough for them.
func drawLarge(seed uint64, p *Plan) bool {
	if rand.New(rand.NewPCG(seed, 12)).IntN(16) > 0 {
		return false
	}
	p.Limits.SnapshotRate, p.Migration.BytesPerSecond = 0, cluster.MigrationLimits{}.BytesPerSecond
	return true
}

// grow makes some values larger.
func (l *largeValues) grow(value string) string {
	if l == nil || l.left <= 0 || l.rng.IntN(24) > 0 {
		return value
	}
	sizes := []int{5 << 10, 300 << 10, messages.MaxValueBytes / 2, messages.MaxValueBytes - batchRoom - 1, messages.MaxValueBytes - batchRoom}
	size := sizes[l.rng.IntN(len(sizes))]
	l.left -= size
	return value + strings.Repeat("x", size-len(value))
}

// answered makes some writes return the previous values.
func (l *largeValues) answered(at input, op proto.Message) (input, proto.Message) {
	if l == nil || l.rng.IntN(4) > 0 {
		return at, op
	}
	switch op := op.(type) {
	case *messages.Put:
		if at.op == "put" {
			at.op, op.ReturnPrevious = "exchange", true
		}
	case *messages.Batch:
		if at.op != "batch" || l.left <= 0 {
			return at, op
		}
		l.left -= batchReplyValueSize
		at.op = "batch answered"
		if len(at.value) < batchReplyValueSize {
			at.value += strings.Repeat("y", batchReplyValueSize-len(at.value))
		} else {
			at.value = at.value[:batchReplyValueSize]
		}
		again := &messages.Batch{}
		for range writesOfEach {
			for _, w := range op.Writes {
				put := &messages.Put{Key: w.GetPut().Key, Value: []byte(at.value), ReturnPrevious: true}
				again.Writes = append(again.Writes, &messages.Write{Op: &messages.Write_Put{Put: put}})
			}
		}
		return at, again
	}
	return at, op
}

// replyBytes returns the size of the values in the reply to such a batch.
func (p pair) replyBytes() int {
	return len(p[0].value) + len(p[1].value) + 2*(writesOfEach-1)*batchReplyValueSize
}

// reply returns the values in that reply.
func (p pair) reply(value string) string {
	return p[0].String() + p[1].String() + strings.Repeat(cell{true, value}.String(), 2*(writesOfEach-1))
}

// replyOverhead bounds the bytes of a reply beside its values.
const replyOverhead = 4 << 10

// stepBatchReply is the model of a batch that returns the previous values: it is executed unless its reply would be too large.
func (p pair) stepBatchReply(in input, got output) (bool, pair) {
	size := p.replyBytes()
	done := size <= messages.MaxReplyBytes-replyOverhead
	if got.known && got.done != done && (size <= messages.MaxReplyBytes-replyOverhead || size > messages.MaxReplyBytes) {
		return false, p
	}
	if got.known {
		done = got.done
	}
	if !done {
		return true, p
	}
	return !got.known || got.value == p.reply(in.value), pair{{true, in.value}, {true, in.value}}
}
