package actortest

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"strings"
	"sync/atomic"
	"time"
)

// worldGoroutine knows the goroutine on which a World runs, and finds others that its actors have started: goroutines inherit the profiler
// labels of the goroutine that starts them, and actors run under a label that only this World has.
type worldGoroutine struct {
	label  string
	in     context.Context
	inside bool
}

var worlds atomic.Uint64

func newWorldGoroutine() worldGoroutine {
	label := fmt.Sprintf("world-%d", worlds.Add(1))
	markGoroutine()
	return worldGoroutine{label: label, in: pprof.WithLabels(context.Background(), pprof.Labels("actortest", label))}
}

// enter is called before actors run. The label stays until the World ends: setting it costs as much as a step.
func (h *worldGoroutine) enter() {
	markGoroutine()
	if !h.inside {
		h.inside = true
		pprof.SetGoroutineLabels(h.in)
	}
}

// markGoroutine marks the goroutine as a World's. The mark is the setting of debug.SetPanicOnFault: it can be read in a few nanoseconds, and
// goroutines and timers that the goroutine starts do not inherit it.
func markGoroutine() { debug.SetPanicOnFault(true) }

// onWorldGoroutine tells whether the calling goroutine is marked.
func onWorldGoroutine() bool {
	if debug.SetPanicOnFault(true) {
		return true
	}
	debug.SetPanicOnFault(false)
	return false
}

// callerFunctions names the functions that the calling goroutine is in.
func callerFunctions() string {
	var pcs [32]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(3, pcs[:])])
	var names []string
	for more := true; more && len(names) < 3; {
		var f runtime.Frame
		if f, more = frames.Next(); !strings.Contains(f.Function, "/actortest.(*") && !strings.Contains(f.Function, "protoactor-go/actor.") &&
			!strings.HasPrefix(f.Function, "runtime.") && f.Function != "" {
			names = append(names, fmt.Sprintf("%s (%s:%d)", f.Function, filepath.Base(f.File), f.Line))
		}
	}
	return strings.Join(names, " < ")
}

// leakedGoroutines are the goroutines that actors of this World have started and that still run, by the functions that they are in.
func (h *worldGoroutine) leakedGoroutines() []string {
	if !h.inside {
		return nil
	}
	pprof.SetGoroutineLabels(context.Background())
	if h.running() == nil {
		return nil
	}
	<-time.After(grace)
	return h.running()
}

// grace is the time that a goroutine gets to end by itself, or to enter the function that names it.
const grace = 20 * time.Millisecond

func (h *worldGoroutine) running() []string {
	var profile bytes.Buffer
	if err := pprof.Lookup("goroutine").WriteTo(&profile, 1); err != nil {
		return []string{err.Error()}
	}
	var found []string
	for _, record := range strings.Split(profile.String(), "\n\n") {
		if !strings.Contains(record, `"actortest":"`+h.label+`"`) || strings.Contains(record, ".NewThrottle.") {
			continue // Proto.Actor's own, for its log of dead letters
		}
		var frames []string
		for _, line := range strings.Split(record, "\n") {
			if _, frame, ok := strings.Cut(line, "\t0x"); ok {
				if fields := strings.Fields(frame); len(fields) > 1 && !strings.HasPrefix(fields[1], "runtime.") {
					frames = append(frames, strings.Join(fields[1:], " "))
				}
			}
		}
		found = append(found, strings.Join(frames, " < "))
	}
	return found
}
