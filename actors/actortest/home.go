package actortest

import (
	"bytes"
	"context"
	"fmt"
	"runtime"
	"runtime/pprof"
	"strings"
	"sync/atomic"
	"time"
)

// home knows the goroutine that a World lives on, and finds others that its actors started: goroutines inherit the
// profiler labels of whoever starts them, and actors run under a label that only this World has.
type home struct {
	id     uint64 // of the goroutine
	label  string
	in     context.Context
	inside bool
	checks uint64
}

var worlds atomic.Uint64

func newHome() home {
	label := fmt.Sprintf("world-%d", worlds.Add(1))
	return home{id: goroutine(), label: label, in: pprof.WithLabels(context.Background(), pprof.Labels("actortest", label))}
}

// enter is called before actors run. The label stays until the World ends: setting it costs as much as a step.
func (h *home) enter() {
	if !h.inside {
		h.inside = true
		pprof.SetGoroutineLabels(h.in)
	}
}

// sampled is how often a sender is looked at while actors run.
const sampled = 64

// foreign tells whether the caller is not the World's goroutine. Looking costs a microsecond, so it looks now and then;
// what a goroutine does outside of steps is always looked at by strays.
func (h *home) foreign() bool {
	h.checks++
	return h.checks%sampled == 1 && goroutine() != h.id
}

// goroutine is the number of the calling goroutine.
func goroutine() uint64 {
	var buf [40]byte
	var id uint64
	text := buf[len("goroutine "):runtime.Stack(buf[:], false)]
	for _, c := range text {
		if c < '0' || c > '9' {
			break
		}
		id = id*10 + uint64(c-'0')
	}
	return id
}

// strays are the goroutines that actors of this World started and that still run, by the function that they are in.
func (h *home) strays() []string {
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

// grace is what a goroutine gets to end by itself, or to arrive in the function that names it.
const grace = 20 * time.Millisecond

func (h *home) running() []string {
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
