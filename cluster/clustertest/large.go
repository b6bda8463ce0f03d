package clustertest

import (
	"math/rand/v2"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/cluster"
	"github.com/eraft-io/eraft/messages"
)

// largeValues make some of what clients ask as large as it may be. It has a source of its own, so that all else is drawn as
// without it, and it stops after a while: large values cost time and memory.
type largeValues struct {
	rng  *rand.Rand
	left int // bytes that may still be drawn
}

const (
	largeBytes = 12 << 20 // in one history
	// batchRoom is what keys take of a batch that writes both keys of a tag, at most.
	batchRoom = 64
	// Of a batch that is answered with what was there: how often each of the two keys is written, and the size of the values.
	// The answer is too large if both keys were.
	writesOfEach = 4
	answeredSize = 200 << 10
)

// drawLarge tells whether the clients of a seed use large values. Then what has been written can be copied in time.
func drawLarge(seed uint64, p *Plan) bool {
	if rand.New(rand.NewPCG(seed, 12)).IntN(16) > 0 {
		return false
	}
	p.Limits.SnapshotRate, p.HandOver.BytesPerSecond = 0, cluster.HandOverLimits{}.BytesPerSecond
	return true
}

// grow makes a value of what is asked larger.
func (l *largeValues) grow(value string) string {
	if l == nil || l.left <= 0 || l.rng.IntN(24) > 0 {
		return value
	}
	sizes := []int{5 << 10, 300 << 10, messages.MaxValueBytes / 2, messages.MaxValueBytes - batchRoom - 1, messages.MaxValueBytes - batchRoom}
	size := sizes[l.rng.IntN(len(sizes))]
	l.left -= size
	return value + strings.Repeat("x", size-len(value))
}

// answered lets some writes answer with what was there before.
func (l *largeValues) answered(at step, op proto.Message) (step, proto.Message) {
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
		l.left -= answeredSize
		at.op = "batch answered"
		if len(at.value) < answeredSize {
			at.value += strings.Repeat("y", answeredSize-len(at.value))
		} else {
			at.value = at.value[:answeredSize]
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

// answeredBytes are the values that a batch is answered with.
func (p pair) answeredBytes() int {
	return len(p[0].value) + len(p[1].value) + 2*(writesOfEach-1)*answeredSize
}

// answer is what it says.
func (p pair) answer(value string) string {
	return p[0].String() + p[1].String() + strings.Repeat(cell{true, value}.String(), 2*(writesOfEach-1))
}

// answerOverhead is more than an answer takes beside its values.
const answerOverhead = 4 << 10

// stepAnswered is a batch that is answered with what was there: it is carried out unless that is too much to say.
func (p pair) stepAnswered(in step, got outcome) (bool, pair) {
	size := p.answeredBytes()
	done := size <= messages.MaxReplyBytes-answerOverhead
	if got.known && got.done != done && (size <= messages.MaxReplyBytes-answerOverhead || size > messages.MaxReplyBytes) {
		return false, p
	}
	if got.known {
		done = got.done
	}
	if !done {
		return true, p
	}
	return !got.known || got.value == p.answer(in.value), pair{{true, in.value}, {true, in.value}}
}
