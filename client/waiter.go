package client

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/actors"
	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/router"
)

// Waiter is how the calls of a Client wait where time is not the machine's: in a simulation.
type Waiter interface {
	// Left is how long a context gives a call from now on; ok is false if it has no deadline.
	Remaining(ctx context.Context) (left time.Duration, ok bool)
	// Wait begins something and returns true when that has called done, or false when limit is over, or the time of the context.
	Wait(ctx context.Context, limit time.Duration, begin func(done func())) bool
}

// Simulated is Over with another way to wait.
func Simulated(system *actors.System, session *actor.PID, w Waiter) *Client {
	c := FromSession(system, session)
	c.waiter = w
	return c
}

// doAll does several operations at once. A reply is nil if there is none.
func (c *Client) doAll(ctx context.Context, ops []proto.Message) ([]*messages.Reply, []error) {
	if c.waiter != nil {
		return c.doSimulated(ctx, ops)
	}
	replies, problems := make([]*messages.Reply, len(ops)), make([]error, len(ops))
	var wg sync.WaitGroup
	for i, op := range ops {
		wg.Go(func() { replies[i], problems[i] = c.Do(ctx, op) })
	}
	wg.Wait()
	return replies, problems
}

func (c *Client) doSimulated(ctx context.Context, ops []proto.Message) ([]*messages.Reply, []error) {
	timeout, err := c.timeout, error(nil)
	if left, ok := c.waiter.Remaining(ctx); ok {
		timeout = left
	}
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		err = ctx.Err()
	case timeout <= 0:
		err = context.DeadlineExceeded
	}
	answers, open := make([]*messages.Reply, len(ops)), len(ops)
	begin := func(done func()) {
		for i, op := range ops {
			c.ask(&router.Ask{Op: op, Timeout: timeout, Done: func(r *messages.Reply) {
				answers[i] = r
				if open--; open == 0 {
					done()
				}
			}})
		}
	}
	if err == nil && !c.waiter.Wait(ctx, timeout+sessionGrace, begin) {
		err = errors.Join(messages.Errorf(messages.Code_UNCERTAIN, "no answer before the context ended"), context.DeadlineExceeded)
	}
	replies, problems := make([]*messages.Reply, len(ops)), make([]error, len(ops))
	for i, r := range answers { // those that come now come too late
		if replies[i], problems[i] = r, err; r != nil {
			problems[i] = r.Err()
		}
	}
	return replies, problems
}
