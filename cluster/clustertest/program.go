package clustertest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/eraft-io/eraft/actors/actortest"
	"github.com/eraft-io/eraft/client"
	"github.com/eraft-io/eraft/router"
)

// Program is a user's code with a client of its own.
type Program struct {
	*actortest.Program
	Err       error // that it has returned
	s         *Simulation
	deadlines map[time.Time]time.Duration // of contexts, in virtual time
}

// Go lets a program begin at a host of its own, with a client that finds the cluster as any other does. Its calls block while the
// World runs, and between them the World stands still: the program is a part of the seed. Finish waits for it.
//
// The program takes its time from the World by Sleep. The deadline of a context counts in virtual time from the first call that is
// made with it, in steps of 100 ms. A context that is cancelled is noticed when a call begins. A program must neither start
// goroutines that use the client, which fails the test, nor wait for anything but the client and Sleep.
func (s *Simulation) Go(name string, program func(ctx context.Context, c *client.Client) error) *Program {
	p := &Program{s: s, deadlines: map[time.Time]time.Duration{}}
	system, session := s.session(router.Options{Name: name})
	c := client.Simulated(system, session, p)
	p.Program = s.World.Go(name, func(*actortest.Program) {
		p.Err = program(context.WithValue(context.Background(), programKey{}, p), c)
	})
	s.programs = append(s.programs, p)
	return p
}

type programKey struct{}

// Finish runs until all programs are over, at most for limit, and gives the errors that they have returned.
func (s *Simulation) Finish(limit time.Duration) error {
	over := func() bool {
		for _, p := range s.programs {
			if !p.Done() {
				return false
			}
		}
		return true
	}
	s.RunUntil(over, limit)
	var problems []error
	for _, p := range s.programs {
		switch {
		case !p.Done():
			problems = append(problems, fmt.Errorf("%v is not over after %v", p, limit))
		case p.Err != nil:
			problems = append(problems, fmt.Errorf("%v: %w", p, p.Err))
		}
	}
	return errors.Join(problems...)
}

// Sleep lets virtual time pass in the program that was given the context, or one that this one comes from.
func Sleep(ctx context.Context, d time.Duration) {
	p, ok := ctx.Value(programKey{}).(*Program)
	if !ok {
		panic("clustertest.Sleep needs the context that a program was given")
	}
	p.Program.Sleep(d)
}

// deadlineStep is what deadlines are rounded up to: how long a program has run by the machine's clock must not matter.
const deadlineStep = 100 * time.Millisecond

// mostDeadlines is how many deadlines may be known before those are forgotten that have passed.
const mostDeadlines = 1 << 16

// Left implements client.Waiter.
func (p *Program) Remaining(ctx context.Context) (time.Duration, bool) {
	if errors.Is(ctx.Err(), context.Canceled) {
		return 0, true
	}
	deadline, ok := ctx.Deadline()
	if !ok {
		return 0, false
	}
	end, known := p.deadlines[deadline]
	if !known {
		left := max(0, time.Until(deadline)+deadlineStep-1).Truncate(deadlineStep)
		end = p.s.Now() + left
		if len(p.deadlines) >= mostDeadlines {
			for passed, end := range p.deadlines {
				if end < p.s.Now() {
					delete(p.deadlines, passed)
				}
			}
		}
		p.deadlines[deadline] = end
	}
	return end - p.s.Now(), true
}

// Wait implements client.Waiter.
func (p *Program) Wait(ctx context.Context, limit time.Duration, begin func(done func())) bool {
	if left, ok := p.Remaining(ctx); ok {
		limit = min(limit, left+deadlineGrace)
	}
	return p.Program.Wait(limit, begin)
}

// deadlineGrace is how long the answer of a session is waited for that has the same deadline.
const deadlineGrace = 50 * time.Millisecond
