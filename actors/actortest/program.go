package actortest

import (
	"errors"
	"fmt"
	"iter"
	"runtime/debug"
	"runtime/pprof"
	"time"
)

// Program is code that blocks, beside the actors of a World: while it runs the World stands still, and while it waits, in Wait or
// Sleep, the World runs. So it may be written as any other code, and is as much a part of the seed as actors are. It must not
// start goroutines that wait, nor wait for anything else: nothing would happen meanwhile.
type Program struct {
	w       *World
	name    string
	next    func() (struct{}, bool)
	yield   func(struct{}) bool
	waiting uint64 // number of the wait that it is in; 0: none
	waits   uint64
	ended   bool // by the World
	done    bool
}

// errEnded unwinds a program that the World ends in the middle.
var errEnded = errors.New("the World has ended")

// Go starts a program, which begins when the World runs next. If it has not returned when the test ends, it is ended where it waits.
func (w *World) Go(name string, f func(p *Program)) *Program {
	p := &Program{w: w, name: name}
	next, stop := iter.Pull(func(yield func(struct{}) bool) {
		p.yield = yield
		p.run(f)
	})
	p.next = next
	w.t.Cleanup(func() {
		p.ended = true
		stop()
	})
	w.runSoon(p.resume)
	return p
}

// Done tells whether the program has returned.
func (p *Program) Done() bool { return p.done }

// Wait begins something and returns true when that has called done, or false when limit of virtual time is over; a limit below 0 is
// none. It must be called by the program itself.
func (p *Program) Wait(limit time.Duration, begin func(done func())) bool {
	if !onWorldGoroutine() {
		p.w.reportFault("a goroutine that program %s has started waits for the World: only the program itself can; it is in %s", p.name, callerFunctions())
		return false
	}
	p.waits++
	id, done := p.waits, false
	p.waiting = id
	begin(func() {
		if !done && p.waiting == id {
			done = true
			p.w.runSoon(p.resume)
		}
	})
	if limit >= 0 && !done {
		p.w.At(p.w.now+limit, func() {
			if !done && p.waiting == id {
				p.resume()
			}
		})
	}
	if p.ended || !p.yield(struct{}{}) {
		panic(errEnded)
	}
	p.waiting = 0
	return done
}

// Sleep lets virtual time pass.
func (p *Program) Sleep(d time.Duration) { p.Wait(max(0, d), func(func()) {}) }

// resume runs the program until it waits again, or returns.
func (p *Program) resume() {
	if !p.done {
		p.next()
	}
}

func (p *Program) run(f func(*Program)) {
	markGoroutine()
	pprof.SetGoroutineLabels(p.w.goroutine.in)
	defer func() {
		p.done = true
		if failed := recover(); failed != nil && failed != errEnded {
			p.w.reportFault("program %s panicked: %v\n%s", p.name, failed, debug.Stack())
		}
	}()
	f(p)
}

// runSoon does something between the steps of actors, at this time, and is not idle until then.
func (w *World) runSoon(f func()) {
	w.net.flying++
	w.timers.push(timer{at: w.now, arrival: true, fire: f})
}

// String is the program's name.
func (p *Program) String() string { return fmt.Sprintf("program %s", p.name) }
