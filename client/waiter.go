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
	// Remaining is the time until a context's deadline; ok is false if it has none.
	Remaining(ctx context.Context) (left time.Duration, ok bool)
	// Wait calls begin, and returns true when done was called, or false when limit or the context's deadline has passed.
	Wait(ctx context.Context, limit time.Duration, begin func(done func())) bool
}

// Simulated is FromSession with a Waiter.
func Simulated(system *actors.System, session *actor.PID, w Waiter) *Client {
	c := FromSession(system, session)
	c.waiter = w
	return c
}

// doAll sends several operations at once. A reply is nil if there is none.
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
	for i, r := range answers { // a reply that comes from now on is late
		if replies[i], problems[i] = r, err; r != nil {
			problems[i] = r.Err()
		}
	}
	return replies, problems
}
