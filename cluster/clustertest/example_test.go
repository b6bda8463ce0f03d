package clustertest_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/eraft-io/eraft/client"
	"github.com/eraft-io/eraft/cluster/clustertest"
)

// Three programs of a user count together, while a node loses power. Each is ordinary code that takes a *client.Client.
func ExampleSimulation_Go() {
	t := inExample{new(testing.T)} // in a test: the test's own
	s := clustertest.Sim(t, 42, clustertest.Options{})
	s.RunUntil(s.Ready, time.Minute)

	count := func(ctx context.Context, c *client.Client) error {
		for range 10 {
			if _, err := c.Incr(ctx, []byte("visits"), 1); err != nil {
				return err
			}
		}
		return nil
	}
	for _, name := range []string{"ann", "bob", "cat"} {
		s.Go(name, count)
	}
	s.At(s.Now()+10*time.Millisecond, s.Nodes[0].Crash)
	s.At(s.Now()+3*time.Second, s.Nodes[0].Start)
	fmt.Println(s.Finish(time.Minute))

	s.Go("reader", func(ctx context.Context, c *client.Client) error {
		visits, _, err := c.Get(ctx, []byte("visits"))
		fmt.Println(string(visits.Data))
		return err
	})
	fmt.Println(s.Finish(time.Minute))
	// Output:
	// <nil>
	// 30
	// <nil>
}

// inExample lets an example use a testing.T, which has no Cleanup outside of tests.
type inExample struct{ *testing.T }

func (inExample) Cleanup(func()) {}
