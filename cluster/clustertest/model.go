package clustertest

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/eraft-io/eraft/messages"
)

// cell is what one key holds in the model.
type cell struct {
	found bool
	value string
}

// pair is what the two keys of a tag hold: a batch writes both at once, and a scan reads both at once.
type pair [2]cell

// register is the model of a tag: what each operation does to it, and what it must answer. The outcome of an operation
// that was not answered may be anything; it may also happen never, which is as good as after everything else.
var register = porcupine.Model{
	Partition: func(ops []porcupine.Operation) [][]porcupine.Operation {
		byKey := map[string][]porcupine.Operation{}
		var order []string
		for _, op := range ops {
			key := op.Input.(input).tag
			if byKey[key] == nil {
				order = append(order, key)
			}
			byKey[key] = append(byKey[key], op)
		}
		var all [][]porcupine.Operation
		for _, key := range order {
			all = append(all, byKey[key])
		}
		return all
	},
	Init: func() any { return pair{} },
	Step: func(state, in, out any) (bool, any) {
		if in.(input).op == "batch answered" {
			return state.(pair).stepBatchReply(in.(input), out.(output))
		}
		after, want := state.(pair).do(in.(input))
		got := out.(output)
		return !got.known || got.agrees(in.(input), want), after
	},
}

// do is one operation on a tag: what its keys hold then, and the answer.
func (p pair) do(s input) (pair, output) {
	switch s.op {
	case "scan":
		return p, output{known: true, done: true, value: p[0].String() + p[1].String()}
	case "batch":
		return pair{{true, s.value}, {true, s.value}}, output{known: true, done: true}
	case "batch new":
		if p[1].found || p[0].overflows(s.value) {
			return p, output{known: true}
		}
		return pair{{true, p[0].value + s.value}, {true, s.value}}, output{known: true, done: true}
	case "batch if":
		if !p[0].found || p[0].overflows(s.value) {
			return p, output{known: true}
		}
		return pair{{true, p[0].value + s.value}, {true, s.value}}, output{known: true, done: true}
	}
	var o output
	p[s.nth], o = p[s.nth].do(s)
	return p, o
}

// String is how a scan shows a key.
func (c cell) String() string {
	if !c.found {
		return ""
	}
	return "=" + c.value + ";"
}

// overflows tells whether more than a key can hold would be in it.
func (c cell) overflows(more string) bool { return len(c.value)+len(more) > messages.MaxValueBytes }

// do is one operation on a key: what it holds then, and the answer.
func (c cell) do(s input) (cell, output) {
	was := output{known: true, done: true, found: c.found}
	switch s.op {
	case "get":
		was.value = c.value
		return c, was
	case "put":
		return cell{true, s.value}, was
	case "exchange":
		was.value = c.value
		return cell{true, s.value}, was
	case "append":
		if c.overflows(s.value) {
			return c, output{known: true}
		}
		was.number = int64(len(c.value) + len(s.value))
		return cell{true, c.value + s.value}, was
	case "delete":
		return cell{}, was
	case "create":
		if was.done = !c.found; !was.done {
			return c, was
		}
		return cell{true, s.value}, was
	case "incr":
		n, err := strconv.ParseInt(c.value, 10, 64)
		if c.found && err != nil {
			was.done = false
			return c, was
		}
		was.number = n + s.delta
		return cell{true, strconv.FormatInt(was.number, 10)}, was
	case "swap":
		value, expect, _ := strings.Cut(s.value, "\x00")
		if was.done = c.found && c.value == expect; !was.done {
			return c, was
		}
		return cell{true, value}, was
	}
	return c, output{}
}

// agrees tells whether a client may have been told this.
func (o output) agrees(s input, want output) bool {
	if o.done != want.done {
		return false
	}
	switch s.op {
	case "get", "exchange":
		return o.found == want.found && o.value == want.value
	case "scan":
		return o.value == want.value
	case "append", "incr":
		return o.number == want.number
	case "delete":
		return o.found == want.found
	}
	return true
}

// explain names the first key whose history cannot be.
func explain(ops []porcupine.Operation) string {
	for _, part := range register.Partition(ops) {
		if porcupine.CheckOperationsTimeout(register, part, time.Second) != porcupine.Illegal {
			continue
		}
		var b strings.Builder
		b.WriteString("tag " + part[0].Input.(input).tag)
		slices.SortFunc(part, func(a, b porcupine.Operation) int { return int(a.Call - b.Call) })
		for _, op := range part {
			in, out := op.Input.(input), op.Output.(output)
			b.WriteString("\n  " + time.Duration(op.Call).String() + " " + in.op + " " + in.key() + " " + short(in.value))
			if !out.known {
				b.WriteString(" unknown")
				continue
			}
			b.WriteString(" until " + time.Duration(op.Return).String() + ": done " + strconv.FormatBool(out.done) + ", found " +
				strconv.FormatBool(out.found) + ", " + short(out.value) + ", " + strconv.FormatInt(out.number, 10))
		}
		return b.String()
	}
	return "a history that cannot be"
}

// short quotes a value, or says how long it is.
func short(value string) string {
	if len(value) > 200 {
		return strconv.Quote(value[:20]) + "... of " + strconv.Itoa(len(value)) + " bytes"
	}
	return strconv.Quote(value)
}
