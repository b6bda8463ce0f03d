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

// History makes up what the clients of a cluster, simulated or real, ask: they put, get, delete, append, count, swap, write
// batches and scan, on few keys, so that they meet. It keeps what they were told, and Judge holds that against a model.
// It is safe for concurrent use; equal sources of randomness, times and answers make equal questions.
type History struct {
	clock   func() time.Duration
	rng     *rand.Rand
	buckets int
	mu      sync.Mutex
	ops     []porcupine.Operation
	tags    map[string]bool
	open    int          // asked and not answered
	done    int          // operations with a known outcome
	unknown int          // that may have been applied
	refused int          // known to be not applied
	large   *largeValues // nil: all values are small
}

// step is what a client asked, and what it was told. It is one porcupine operation. Two keys share a tag, and so a
// bucket.
type step struct {
	tag       string
	nth       int // key of the tag
	op, value string
	by        int64
}

func (s step) key() string { return "{" + s.tag + "}" + "ab"[s.nth:s.nth+1] }

type outcome struct {
	known  bool
	found  bool
	value  string
	number int64
	done   bool // false: a condition did not hold
}

const (
	tagsAtOnce  = 6
	tagLifetime = 5 * time.Second // then others are used: a history must stay short enough to be judged
)

// NewHistory of a cluster of so many buckets, in which nothing was asked yet. clock must not go backwards.
func NewHistory(rng *rand.Rand, buckets int, clock func() time.Duration) *History {
	return &History{rng: rng, buckets: buckets, clock: clock, tags: map[string]bool{}}
}

// Next is what a client asks now. Answer wants the id again; without an answer it may be carried out at any time, or never.
func (h *History) Next() (id int, op proto.Message) {
	h.mu.Lock()
	defer h.mu.Unlock()
	at, op := h.large.answered(h.draw())
	return h.ask(at), op
}

func (h *History) ask(at step) (id int) {
	id = len(h.ops)
	h.tags[at.tag] = true
	h.ops = append(h.ops, porcupine.Operation{ClientId: id, Input: at, Call: int64(h.clock()), Return: forever, Output: outcome{}})
	h.open++
	return id
}

// EveryKey reads all that was ever asked for, each key when its turn comes: Answer wants these ids, too.
func (h *History) EveryKey(from messages.ReadFrom) iter.Seq2[int, proto.Message] {
	h.mu.Lock()
	defer h.mu.Unlock()
	tags := slices.Sorted(maps.Keys(h.tags))
	return func(yield func(int, proto.Message) bool) {
		for _, tag := range tags {
			for nth := range 2 {
				at := step{tag: tag, nth: nth, op: "get"}
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

// Answer is what the client of an operation was told, now. The error tells that nobody may be told this.
func (h *History) Answer(id int, r *messages.Reply) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.open--
	op := &h.ops[id]
	switch r.Code {
	case messages.Code_TOO_LARGE: // the model says whether it was
		h.done++
		op.Return, op.Output = int64(h.clock()), outcome{known: true}
	case messages.Code_OK, messages.Code_CONFLICT:
		h.done++
		op.Return = int64(h.clock())
		op.Output = outcome{
			known: true, found: r.Found, value: string(r.Value), number: r.Number, done: r.Code == messages.Code_OK,
		}
		for _, item := range r.GetPage().GetItems() {
			op.Output = outcome{known: true, done: true, value: op.Output.(outcome).value + cell{true, string(item.Value)}.String()}
		}
		if r.Page != nil && !r.Page.Last {
			op.Input = nil // there is more than a page takes
		}
		for _, part := range r.Parts {
			if op.Input.(step).op == "batch answered" {
				op.Output = outcome{known: true, done: true, value: op.Output.(outcome).value + cell{part.Found, string(part.Value)}.String()}
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

// Counts of the answers so far: with a known outcome, of what may have been applied, and of what was not.
func (h *History) Counts() (done, unknown, refused int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.done, h.unknown, h.refused
}

// Judge holds the history against the model, once all is answered. violation is "" or says which answers cannot be. A
// history that cannot be judged in time is no violation; unjudged says so.
func (h *History) Judge(patience time.Duration) (judged int, unjudged bool, violation string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	ops := slices.DeleteFunc(slices.Clone(h.ops), func(op porcupine.Operation) bool { return op.Input == nil })
	switch porcupine.CheckOperationsTimeout(register, ops, patience) {
	case porcupine.Illegal:
		violation = explain(ops)
	case porcupine.Unknown:
		return 0, true, ""
	}
	return len(ops), false, violation
}

// draw makes up what a client asks next.
func (h *History) draw() (step, proto.Message) {
	at := step{tag: fmt.Sprintf("%d-%d", h.clock()/tagLifetime, h.rng.IntN(tagsAtOnce)), nth: h.rng.IntN(2)}
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
		at.tag, at.op, at.by = at.tag+"-count", "incr", 1+h.rng.Int64N(5)
		return at, &messages.Incr{Key: []byte(at.key()), By: at.by}
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

// drawSwap swaps what somebody has seen, or what was never there.
func (h *History) drawSwap(at step) (step, proto.Message) {
	expect, value := at.value, []byte(at.value)
	if n := len(h.ops); n > 0 {
		if seen, ok := h.ops[h.rng.IntN(n)].Output.(outcome); ok && seen.known {
			expect = seen.value
		}
	}
	at.op, at.value = "swap", at.value+"\x00"+expect
	return at, &messages.CompareAndSwap{
		Expect: &messages.Condition{Key: []byte(at.key()), Expect: &messages.Condition_Value{Value: []byte(expect)}}, Value: value,
	}
}

// drawBatch writes both keys of a tag; or adds to the first and writes the second, if the first is there; or the same,
// if the second is not, which the batch finds out when it has done half.
func (h *History) drawBatch(at step) (step, proto.Message) {
	first, second := step{tag: at.tag}, step{tag: at.tag, nth: 1}
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
