package clustertest

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/anishathalye/porcupine"
	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/router"
)

// Workload is a number of clients that ask one thing after another: they put, get, delete, append, count, swap, write
// batches and scan, on few keys, so that they meet. What they saw is kept as a history, which Judge holds against a model.
type Workload struct {
	s       *Simulation
	rng     *rand.Rand
	until   time.Duration
	think   time.Duration
	ops     []porcupine.Operation
	open    int // asked and not answered
	workers int
	tags    map[string]bool
	Done    int // operations with a known outcome
	Unknown int // that may have been applied
	Refused int // known to be not applied
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

// Work lets clients work until a time of the World.
func (s *Simulation) Work(clients int, until, think time.Duration) *Workload {
	w := &Workload{s: s, rng: s.source(2), until: until, think: think, tags: map[string]bool{}}
	for i := range clients {
		c := s.Client(fmt.Sprintf("c%d", i+1))
		w.workers++
		s.At(s.Now()+time.Duration(w.rng.Int64N(int64(think)+1)), func() { w.next(c) })
	}
	return w
}

// Over tells whether all clients have ended, and all is answered.
func (w *Workload) Over() bool { return w.workers == 0 && w.open == 0 }

func (w *Workload) next(c *Client) {
	if w.s.Now() >= w.until {
		w.workers--
		return
	}
	at, op := w.draw()
	w.ask(c, at, op, func() {
		w.s.At(w.s.Now()+time.Duration(w.rng.Int64N(int64(2*w.think)+1)), func() { w.next(c) })
	})
}

func (w *Workload) ask(c *Client, at step, op proto.Message, then func()) {
	call := len(w.ops)
	w.tags[at.tag] = true
	w.ops = append(w.ops, porcupine.Operation{ClientId: call, Input: at, Call: int64(w.s.Now()), Return: forever, Output: outcome{}})
	w.open++
	c.Ask(op, router.DefaultTimeout, func(r *messages.Reply) {
		w.open--
		w.answered(&w.ops[call], r)
		then()
	})
}

const forever = int64(1) << 60

func (w *Workload) answered(op *porcupine.Operation, r *messages.Reply) {
	switch r.Code {
	case messages.Code_OK, messages.Code_CONFLICT:
		w.Done++
		op.Return = int64(w.s.Now())
		op.Output = outcome{
			known: true, found: r.Found, value: string(r.Value), number: r.Number, done: r.Code == messages.Code_OK,
		}
		for _, item := range r.GetPage().GetItems() {
			op.Output = outcome{known: true, done: true, value: op.Output.(outcome).value + cell{true, string(item.Value)}.String()}
		}
	case messages.Code_UNCERTAIN:
		w.Unknown++
	case messages.Code_UNAVAILABLE, messages.Code_OVERLOADED:
		w.Refused++
		op.Input = nil
	default:
		op.Input = nil
		w.s.Oracle.violated("Answers say what is so", "%v: %s", r.Code, r.Text)
	}
}

// draw makes up what a client asks next.
func (w *Workload) draw() (step, proto.Message) {
	at := step{tag: fmt.Sprintf("%d-%d", w.s.Now()/tagLifetime, w.rng.IntN(tagsAtOnce)), nth: w.rng.IntN(2)}
	at.value = strconv.Itoa(len(w.ops)) + ","
	key, value := []byte(at.key()), []byte(at.value)
	switch w.rng.IntN(10) {
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
		at.tag, at.op, at.by = at.tag+"-count", "incr", 1+w.rng.Int64N(5)
		return at, &messages.Incr{Key: []byte(at.key()), By: at.by}
	case 5:
		at.op = "create"
		return at, &messages.Put{Key: key, Value: value, Mode: messages.Put_IF_ABSENT}
	case 6:
		return w.drawSwap(at)
	case 7:
		return w.drawBatch(at)
	case 8:
		at.op, at.value = "scan", ""
		return at, &messages.Scan{
			Bucket: uint32(messages.BucketOf(key, w.s.o.Buckets)), Prefix: key[:len(key)-1], Want: messages.Scan_PAIRS,
		}
	}
	at.op, at.value = "get", ""
	if w.rng.IntN(4) == 0 {
		at.tag += "-count"
	}
	return at, &messages.Get{Key: []byte(at.key()), From: messages.ReadFrom(w.rng.IntN(2))}
}

// drawSwap swaps what somebody has seen, or what was never there.
func (w *Workload) drawSwap(at step) (step, proto.Message) {
	expect, value := at.value, []byte(at.value)
	if n := len(w.ops); n > 0 {
		if seen, ok := w.ops[w.rng.IntN(n)].Output.(outcome); ok && seen.known {
			expect = seen.value
		}
	}
	at.op, at.value = "swap", at.value+"\x00"+expect
	return at, &messages.CompareAndSwap{
		Expect: &messages.Condition{Key: []byte(at.key()), Expect: &messages.Condition_Value{Value: []byte(expect)}}, Value: value,
	}
}

// drawBatch writes both keys of a tag, or adds to the first and writes the second if the first is there.
func (w *Workload) drawBatch(at step) (step, proto.Message) {
	first, second := step{tag: at.tag}, step{tag: at.tag, nth: 1}
	a, b, value := []byte(first.key()), []byte(second.key()), []byte(at.value)
	put := func(key []byte) *messages.Write {
		return &messages.Write{Op: &messages.Write_Put{Put: &messages.Put{Key: key, Value: value}}}
	}
	if at.op = "batch"; at.nth == 0 {
		return at, &messages.Batch{Writes: []*messages.Write{put(a), put(b)}}
	}
	at.op = "batch if"
	return at, &messages.Batch{
		Conditions: []*messages.Condition{{Key: a, Expect: &messages.Condition_Exists{Exists: true}}},
		Writes:     []*messages.Write{{Op: &messages.Write_Append{Append: &messages.Append{Key: a, Value: value}}}, put(b)},
	}
}
