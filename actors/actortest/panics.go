package actortest

import (
	"runtime/debug"
	"slices"
	"strings"

	"github.com/asynkron/protoactor-go/actor"
)

// Panic is the panic of an actor.
type Panic struct {
	Actor   string // address/path
	Message any    // that it was handling; nil if none
	Reason  any
	Stack   string // of the panic, from where it began
}

// AllowPanics sets which panics the test is about: they go to supervisors as in production. Any other panic fails the test.
func (w *World) AllowPanics(which func(Panic) bool) { w.allowedPanics = which }

// panicked is called on the stack of the panic.
func (r *runner) panicked(reason, message any) {
	w := r.incarnation.node.w
	p := Panic{Actor: r.incarnation.node.address + "/" + r.path, Message: actor.UnwrapEnvelopeMessage(message), Reason: reason, Stack: stack()}
	w.journal.add(Entry{At: w.now, Kind: Panicked, To: p.Actor, Message: reason})
	if w.allowedPanics == nil || !w.allowedPanics(p) {
		w.reportFault("%s panicked at %T: %v\n%s", p.Actor, p.Message, reason, p.Stack)
	}
}

// stack is the stack of the panic that is being recovered from, without what the kit and the runtime have on it.
func stack() string {
	lines := strings.Split(string(debug.Stack()), "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, "panic(") {
			lines = lines[min(i+2, len(lines)):]
			break
		}
	}
	if i := slices.IndexFunc(lines, carries); i > 0 {
		lines = lines[:i]
	}
	return strings.Join(lines, "\n")
}

// carries tells whether a line of a stack is where Proto.Actor calls an actor.
func carries(line string) bool {
	return strings.Contains(line, "protoactor-go/actor.ReceiveFunc.") || strings.Contains(line, "protoactor-go/actor.(*actorContext).")
}
