package actortest

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"sync/atomic"
	"time"
)

var replay = flag.Uint64("actortest.seed", 0, "run every World with this seed, to replay a failure")

// TB is what a World needs of a testing.T.
type TB interface {
	Helper()
	Name() string
	Failed() bool
	Logf(format string, args ...any)
	Errorf(format string, args ...any)
	FailNow()
	Cleanup(func())
}

// Option changes how a World runs.
type Option func(*World)

// Seed chooses the run. Without it the seed is drawn, unless the flag -actortest.seed says one.
func Seed(seed uint64) Option { return func(w *World) { w.seed = seed } }

// Schedule sets the Strategy, which chooses the actor that runs next. Default: Random.
func Schedule(s Strategy) Option { return func(w *World) { w.ready.strategy = s } }

// KeepEntries is how many of the newest effects the Journal keeps. Default 4096; 0 keeps none, which is faster.
func KeepEntries(n int) Option { return func(w *World) { w.journal.limit = n } }

// World is a number of nodes on one thread. It is not safe for concurrent use, and all of it, the actors included,
// runs on the goroutine that made it.
type World struct {
	t         TB
	seed      uint64
	rng       *rand.Rand
	now       time.Duration
	timers    timers
	ready     queue
	nodes     map[string]*Node
	order     []*Node
	net       *Network
	journal   *Journal
	steps     uint64
	since     uint64 // steps when time last passed
	goroutine worldGoroutine
	acting    *runner // the actor whose step it is

	allowedPanics func(Panic) bool
	fault         atomic.Pointer[string] // what must not be; it fails the test after the step
	failed        bool
}

// NewWorld makes a World for a test; it ends with the test.
func NewWorld(t TB, options ...Option) *World {
	t.Helper()
	if len(missingFields) > 0 {
		t.Errorf("actortest does not know this version of Proto.Actor: %v", missingFields)
		t.FailNow()
	}
	w := &World{t: t, nodes: map[string]*Node{}, journal: newJournal(4096), seed: *replay}
	if w.seed == 0 {
		w.seed = rand.Uint64N(1<<32) + 1
	}
	for _, option := range options {
		option(w)
	}
	w.rng = rand.New(rand.NewPCG(w.seed, 0))
	w.ready.rng = rand.New(rand.NewPCG(w.seed, 1))
	w.net = newNetwork(w)
	w.goroutine = newWorldGoroutine()
	t.Cleanup(w.end)
	return w
}

// Seed is what this run was drawn from.
func (w *World) Seed() uint64 { return w.seed }

// Rand is the World's source of randomness, for faults and workloads that belong to the same seed.
func (w *World) Rand() *rand.Rand { return w.rng }

// Now is the virtual time since the World began.
func (w *World) Now() time.Duration { return w.now }

// Steps is how many times an actor has run so far.
func (w *World) Steps() uint64 { return w.steps }

// Network connects the nodes.
func (w *World) Network() *Network { return w.net }

// Journal is what has happened.
func (w *World) Journal() *Journal { return w.journal }

// Step runs one actor that has something to do once, or, if none has, lets time pass to the next timer or the next arrival of a message. It
// reports whether there was anything to do.
func (w *World) Step() bool {
	if next, ok := w.ready.pop(); ok {
		if w.steps++; w.steps-w.since > maxStepsAtOnce {
			w.Fail("Time passes: %d steps without it, the last of %s/%s", maxStepsAtOnce, next.who.incarnation.node.address, next.who.path)
		}
		w.goroutine.enter()
		w.acting = next.who
		next.run()
		w.acting = nil
		w.failOnFault()
		return true
	}
	return w.fire(-1)
}

// reportFault notes a fault of the test, from any goroutine. Only the first one counts: the others may follow from it.
func (w *World) reportFault(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	w.fault.CompareAndSwap(nil, &text)
}

// failOnFault fails the test if a fault was reported.
func (w *World) failOnFault() {
	if fault := w.fault.Load(); fault != nil && !w.failed {
		w.Fail("%s", *fault)
	}
}

// maxStepsAtOnce is how many steps there may be without time passing: actors that send to each other for ever never let time pass.
const maxStepsAtOnce = 200_000

// fire lets the next timer go off, unless it is later than limit; a limit below 0 is none.
func (w *World) fire(limit time.Duration) bool {
	next, ok := w.timers.pop(limit)
	if !ok {
		return false
	}
	if next.at > w.now {
		w.now, w.since = next.at, w.steps
	}
	if next.arrival {
		w.net.flying--
	}
	w.goroutine.enter()
	next.fire()
	w.failOnFault()
	return true
}

// At calls f at a virtual time, between the steps of actors: for faults and workloads.
func (w *World) At(at time.Duration, f func()) {
	if w.checkGoroutine("sets a timer") {
		w.timers.push(timer{at: at, fire: f})
	}
}

// Advance runs the World until exactly d has passed.
func (w *World) Advance(d time.Duration) {
	until := w.now + d
	for w.runReady() || w.fire(until) {
	}
	w.now = until
}

// runReady runs one waiting actor, if there is one.
func (w *World) runReady() bool { return w.ready.len() > 0 && w.Step() }

// RunUntil runs until cond holds, and reports whether it did within limit of virtual time. cond is called after each step.
func (w *World) RunUntil(cond func() bool, limit time.Duration) bool {
	until := w.now + limit
	for !cond() {
		if !w.runReady() && !w.fire(until) {
			w.now = until
			return cond()
		}
	}
	return true
}

// RunUntilIdle runs until no actor has anything to do and no message is on its way. Timers that go off while messages
// travel are part of it; later ones are not waited for.
func (w *World) RunUntilIdle() {
	for w.ready.len() > 0 || w.net.flying > 0 {
		w.Step()
	}
}

// Fail ends the test with a reason, the seed, and the newest part of the journal.
func (w *World) Fail(format string, args ...any) {
	w.t.Helper()
	w.failed = true
	w.t.Errorf("at %v: %s", w.now, fmt.Sprintf(format, args...))
	w.t.FailNow()
}

// end fails the test if actors have left goroutines running, and logs how to replay a failure.
func (w *World) end() {
	for _, stray := range w.goroutine.leakedGoroutines() {
		w.t.Errorf("an actor left a goroutine running: %s", stray)
	}
	if fault := w.fault.Load(); fault != nil && !w.failed {
		w.t.Errorf("at %v: %s", w.now, *fault)
	}
	if !w.t.Failed() {
		return
	}
	w.t.Logf("replay with: go test -run '^%s$' -actortest.seed=%d", w.t.Name(), w.seed)
	if entries := w.journal.Entries(); len(entries) > 0 {
		const shown = 60
		w.t.Logf("the last of %d effects:\n%s", w.journal.Total(), Text(entries[max(0, len(entries)-shown):]))
		w.writeDiagram(entries)
	}
}

// writeDiagram writes the diagram to a file for a browser.
func (w *World) writeDiagram(entries []Entry) {
	file, err := os.CreateTemp("", "actortest-*.html")
	if err == nil {
		_, err = file.WriteString(HTML(fmt.Sprintf("%s, seed %d", w.t.Name(), w.seed), entries))
		if closed := file.Close(); err == nil {
			err = closed
		}
	}
	if err != nil {
		w.t.Logf("sequence diagram: %v", err)
		return
	}
	w.t.Logf("sequence diagram: %s", file.Name())
}
