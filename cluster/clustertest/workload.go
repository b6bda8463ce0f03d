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

// Workload is a number of clients that ask one thing after another: they put, get, delete, append, count and swap on
// few keys, so that they meet. What they saw is kept as a history, which Judge holds against a register.
type Workload struct {
	s       *Simulation
	rng     *rand.Rand
	until   time.Duration
	think   time.Duration
	ops     []porcupine.Operation
	open    int // asked and not answered
	workers int
	keys    map[string]bool
	Done    int // operations with a known outcome
	Unknown int // that may have been applied
	Refused int // known to be not applied
}

// step is what a client asked, and what it was told. It is one porcupine operation.
type step struct {
	key, op, value string
	by             int64
}

type outcome struct {
	known  bool
	found  bool
	value  string
	number int64
	done   bool // false: a condition did not hold
}

const (
	keysAtOnce  = 8
	keyLifetime = 5 * time.Second // then other keys are used: a history of a key must stay short enough to be judged
)

// Work lets clients work until a time of the World.
func (s *Simulation) Work(clients int, until, think time.Duration) *Workload {
	w := &Workload{s: s, rng: s.source(2), until: until, think: think, keys: map[string]bool{}}
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
	w.keys[at.key] = true
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
	at := step{key: fmt.Sprintf("%d-%d", w.s.Now()/keyLifetime, w.rng.IntN(keysAtOnce))}
	key := []byte(at.key)
	at.value = strconv.Itoa(len(w.ops)) + ","
	switch w.rng.IntN(8) {
	case 0, 1:
		at.op = "put"
		return at, &messages.Put{Key: key, Value: []byte(at.value)}
	case 2:
		at.op = "append"
		return at, &messages.Append{Key: key, Value: []byte(at.value)}
	case 3:
		at.op = "delete"
		return at, &messages.Delete{Key: key}
	case 4:
		at.op, at.by = "incr", 1+w.rng.Int64N(5)
		at.key += "-count"
		return at, &messages.Incr{Key: []byte(at.key), By: at.by}
	case 5:
		at.op = "create"
		return at, &messages.Put{Key: key, Value: []byte(at.value), Mode: messages.Put_IF_ABSENT}
	case 6:
		at.op = "swap"
		expect := at.value
		if n := len(w.ops); n > 0 {
			if seen, ok := w.ops[w.rng.IntN(n)].Output.(outcome); ok && seen.known {
				expect = seen.value
			}
		}
		return step{key: at.key, op: at.op, value: at.value + "\x00" + expect}, &messages.CompareAndSwap{
			Expect: &messages.Condition{Key: key, Expect: &messages.Condition_Value{Value: []byte(expect)}}, Value: []byte(at.value),
		}
	}
	at.op, at.value = "get", ""
	if w.rng.IntN(4) == 0 {
		at.key += "-count"
	}
	return at, &messages.Get{Key: []byte(at.key), From: messages.ReadFrom(w.rng.IntN(2))}
}
