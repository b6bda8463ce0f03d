package clustertest

import (
	"fmt"
	"iter"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/anishathalye/porcupine"
	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/messages"
)

// History generates the operations of the clients of a cluster, simulated or real: put, get, delete, append, incr,
// compare-and-swap, batches and scans, on few keys, so that clients compete. It records the replies, and Judge checks them against a
// model. It is safe for concurrent use. With equal random sources, times and replies it generates equal operations.
type History struct {
	clock   func() time.Duration
	rng     *rand.Rand
	buckets int
	mu      sync.Mutex
	ops     []porcupine.Operation
	tags    map[string]bool
	open    int          // operations without a reply so far
	done    int          // operations with a known outcome
	unknown int          // operations that may have been applied
	refused int          // operations that were not applied
	large   *largeValues // nil: all values are small
}

// input is the input of one porcupine operation: what a client asks. Two keys share a tag, and so a bucket.
type input struct {
	tag       string
	nth       int // which key of the tag: 0 or 1
	op, value string
	delta     int64
}

func (s input) key() string { return "{" + s.tag + "}" + "ab"[s.nth:s.nth+1] }

type output struct {
	known  bool
	found  bool
	value  string
	number int64
	done   bool // false: a condition did not hold, and nothing was changed
}

const (
	tagsAtOnce  = 6
	tagLifetime = 5 * time.Second // of a set of tags: the history of a tag must be short enough to be judged
)

// NewHistory returns an empty History for a cluster with that number of buckets. clock must not go backwards.
func NewHistory(rng *rand.Rand, buckets int, clock func() time.Duration) *History {
	return &History{rng: rng, buckets: buckets, clock: clock, tags: map[string]bool{}}
}

// Next returns the next operation of a client. Its reply is passed to Answer with the same id. An operation without a reply may be
// executed at any time, or never.
func (h *History) Next() (id int, op proto.Message) {
	h.mu.Lock()
	defer h.mu.Unlock()
	at, op := h.large.answered(h.draw())
	return h.ask(at), op
}

func (h *History) ask(at input) (id int) {
	id = len(h.ops)
	h.tags[at.tag] = true
	h.ops = append(h.ops, porcupine.Operation{ClientId: id, Input: at, Call: int64(h.clock()), Return: forever, Output: output{}})
	h.open++
	return id
}

// EveryKey yields one read of each key that was ever used. Each begins when it is yielded; its reply is passed to Answer.
func (h *History) EveryKey(from messages.ReadFrom) iter.Seq2[int, proto.Message] {
	h.mu.Lock()
	defer h.mu.Unlock()
	tags := slices.Sorted(maps.Keys(h.tags))
	return func(yield func(int, proto.Message) bool) {
		for _, tag := range tags {
			for nth := range 2 {
				at := input{tag: tag, nth: nth, op: "get"}
				h.mu.Lock()
				id := h.ask(at)
				h.mu.Unlock()
				if !yield(id, &messages.Get{Key: []byte(at.key()), From: from}) {
					return
				}
			}
		}
	}
}

const forever = int64(1) << 60

// Answer records the reply to an operation, now. It fails if no client may get such a reply.
func (h *History) Answer(id int, r *messages.Reply) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.open--
	op := &h.ops[id]
	switch r.Code {
	case messages.Code_TOO_LARGE: // the model decides whether it was too large
		h.done++
		op.Return, op.Output = int64(h.clock()), output{known: true}
	case messages.Code_OK, messages.Code_CONFLICT:
		h.done++
		op.Return = int64(h.clock())
		op.Output = output{
			known: true, found: r.Found, value: string(r.Value), number: r.Number, done: r.Code == messages.Code_OK,
		}
		for _, item := range r.GetPage().GetItems() {
			op.Output = output{known: true, done: true, value: op.Output.(output).value + cell{true, string(item.Value)}.String()}
		}
		if r.Page != nil && !r.Page.Last {
			op.Input = nil // the page does not show all keys
		}
		for _, part := range r.Parts {
			if op.Input.(input).op == "batch answered" {
				op.Output = output{known: true, done: true, value: op.Output.(output).value + cell{part.Found, string(part.Value)}.String()}
			}
		}
	case messages.Code_UNCERTAIN, messages.Code_REPLY_DISCARDED:
		h.unknown++
	case messages.Code_UNAVAILABLE, messages.Code_OVERLOADED:
		h.refused++
		op.Input = nil
	default:
		op.Input = nil
		return fmt.Errorf("%v: %s", r.Code, r.Text)
	}
	return nil
}

// Counts returns the numbers of replies so far: with a known outcome, possibly applied, and not applied.
func (h *History) Counts() (done, unknown, refused int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.done, h.unknown, h.refused
}

// Judge checks the history against the model, after all operations have their replies. violation is "" or shows the part that is not
// linearizable. unjudged: the check did not end within timeout, which is no violation.
func (h *History) Judge(timeout time.Duration) (judged int, unjudged bool, violation string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	ops := slices.DeleteFunc(slices.Clone(h.ops), func(op porcupine.Operation) bool { return op.Input == nil })
	switch porcupine.CheckOperationsTimeout(register, ops, timeout) {
	case porcupine.Illegal:
		violation = explain(ops)
	case porcupine.Unknown:
		return 0, true, ""
	}
	return len(ops), false, violation
}

// draw generates the next operation.
func (h *History) draw() (input, proto.Message) {
	at := input{tag: fmt.Sprintf("%d-%d", h.clock()/tagLifetime, h.rng.IntN(tagsAtOnce)), nth: h.rng.IntN(2)}
	at.value = h.large.grow(strconv.Itoa(len(h.ops)) + ",")
	key, value := []byte(at.key()), []byte(at.value)
	switch h.rng.IntN(10) {
	case 0, 1:
		at.op = "put"
		return at, &messages.Put{Key: key, Value: value}
	case 2:
		at.op = "append"
		return at, &messages.Append{Key: key, Value: value}
	case 3:
		at.op = "delete"
		return at, &messages.Delete{Key: key}
	case 4:
		at.tag, at.op, at.delta = at.tag+"-count", "incr", 1+h.rng.Int64N(5)
		return at, &messages.Incr{Key: []byte(at.key()), By: at.delta}
	case 5:
		at.op = "create"
		return at, &messages.Put{Key: key, Value: value, Mode: messages.Put_IF_ABSENT}
	case 6:
		return h.drawSwap(at)
	case 7:
		return h.drawBatch(at)
	case 8:
		at.op, at.value = "scan", ""
		return at, &messages.Scan{
			Bucket: uint32(messages.BucketOf(key, h.buckets)), Prefix: key[:len(key)-1], Projection: messages.Scan_PAIRS,
		}
	}
	at.op, at.value = "get", ""
	if h.rng.IntN(4) == 0 {
		at.tag += "-count"
	}
	return at, &messages.Get{Key: []byte(at.key()), From: messages.ReadFrom(h.rng.IntN(2))}
}

// drawSwap generates a compare-and-swap: it expects a value that a client has seen, or one that was never written.
func (h *History) drawSwap(at input) (input, proto.Message) {
	expect, value := at.value, []byte(at.value)
	if n := len(h.ops); n > 0 {
		if seen, ok := h.ops[h.rng.IntN(n)].Output.(output); ok && seen.known {
			expect = seen.value
		}
	}
	at.op, at.value = "swap", at.value+"\x00"+expect
	return at, &messages.CompareAndSwap{
		Expect: &messages.Condition{Key: []byte(at.key()), Expect: &messages.Condition_Value{Value: []byte(expect)}}, Value: value,
	}
}

// drawBatch generates one of three batches: write both keys of a tag; append to the first and write the second, if the first exists;
// the same if the second does not exist, which the batch learns after its first write.
func (h *History) drawBatch(at input) (input, proto.Message) {
	first, second := input{tag: at.tag}, input{tag: at.tag, nth: 1}
	a, b, value := []byte(first.key()), []byte(second.key()), []byte(at.value)
	put := func(key []byte, mode messages.Put_Mode) *messages.Write {
		return &messages.Write{Op: &messages.Write_Put{Put: &messages.Put{Key: key, Value: value, Mode: mode}}}
	}
	add := &messages.Write{Op: &messages.Write_Append{Append: &messages.Append{Key: a, Value: value}}}
	switch h.rng.IntN(3) {
	case 0:
		at.op = "batch"
		return at, &messages.Batch{Writes: []*messages.Write{put(a, messages.Put_ALWAYS), put(b, messages.Put_ALWAYS)}}
	case 1:
		at.op = "batch new"
		return at, &messages.Batch{Writes: []*messages.Write{add, put(b, messages.Put_IF_ABSENT)}}
	}
	at.op = "batch if"
	return at, &messages.Batch{
		Conditions: []*messages.Condition{{Key: a, Expect: &messages.Condition_Exists{Exists: true}}},
		Writes:     []*messages.Write{add, put(b, messages.Put_ALWAYS)},
	}
}
