package client_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/eraft-io/eraft/client"
	"github.com/eraft-io/eraft/cluster/clustertest"
)

// simulated runs a program with a client of a simulated cluster. Against a real one, client.Connect gives the client.
func simulated(program func(ctx context.Context, c *client.Client) error) {
	s := clustertest.Sim(inExample{new(testing.T)}, 1, clustertest.Options{Nodes: 1})
	s.RunUntil(s.Ready, time.Minute)
	s.Go("example", program)
	if err := s.Finish(time.Minute); err != nil {
		fmt.Println(err)
	}
}

// inExample lets an example use a testing.T, which has no Cleanup outside of tests.
type inExample struct{ *testing.T }

func (inExample) Cleanup(func()) {}

// Keys are put, read, counted and scanned.
func Example() {
	simulated(func(ctx context.Context, c *client.Client) error {
		if _, err := c.Put(ctx, []byte("user/ann"), []byte("Ann")); err != nil {
			return err
		}
		if _, err := c.Put(ctx, []byte("user/bob"), []byte("Bob")); err != nil {
			return err
		}
		ann, found, err := c.Get(ctx, []byte("user/ann"))
		fmt.Println(string(ann.Data), found, err)
		visits, err := c.Incr(ctx, []byte("visits"), 2)
		fmt.Println(visits, err)
		users := 0
		for _, err := range c.Scan(ctx, client.ScanOptions{Prefix: []byte("user/")}) {
			if err != nil {
				return err
			}
			users++
		}
		fmt.Println(users, "users")
		return nil
	})
	// Output:
	// Ann true <nil>
	// 2 <nil>
	// 2 users
}

// Money goes from one account to another, or not at all: both writes are made if nobody has changed the first account since it was
// read. The accounts have the same {tag}, so they are in one slot.
func ExampleClient_Txn_retry() {
	ann, bob := []byte("{bank}ann"), []byte("{bank}bob")
	transfer := func(ctx context.Context, c *client.Client, amount int64) error {
		for {
			account, _, err := c.Get(ctx, ann)
			if err != nil {
				return err
			}
			balance, err := strconv.ParseInt(string(account.Data), 10, 64)
			if err != nil || balance < amount {
				return fmt.Errorf("ann has %q, not %d", account.Data, amount)
			}
			done, err := c.Txn().If(client.VersionIs(ann, account.Version)).Incr(ann, -amount).Incr(bob, amount).Commit(ctx)
			if errors.Is(err, client.ErrConflict) {
				continue // somebody else was quicker: look again
			}
			if err == nil {
				fmt.Println("ann:", done.Writes[0].Number, "bob:", done.Writes[1].Number)
			}
			return err
		}
	}
	simulated(func(ctx context.Context, c *client.Client) error {
		if _, err := c.Incr(ctx, ann, 100); err != nil {
			return err
		}
		fmt.Println(transfer(ctx, c, 30))
		fmt.Println(transfer(ctx, c, 100))
		return nil
	})
	// Output:
	// ann: 70 bob: 30
	// <nil>
	// ann has "70", not 100
}
