// Command 04-three-nodes runs a cluster of three processes, kills the leader of a group with -9 while a client counts, and then
// kills all three at once. Every acknowledged write is there afterwards, and none was applied twice.
package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/eraft-io/eraft/client"
)

func main() {
	run := story
	if len(os.Args) == 5 { // it was started by story
		run = func() error { return serve(os.Args[1], os.Args[2], os.Args[3], os.Args[4]) }
	}
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "04-three-nodes:", err)
		os.Exit(1)
	}
}

// three is a cluster of three processes, and a client of it.
type three struct {
	processes []*process
	c         *client.Client
}

func story() (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	dir, err := os.MkdirTemp("", "eraft-three-nodes")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	seeds, err := freeAddresses(3)
	if err != nil {
		return err
	}
	t := new(three)
	defer func() { err = errors.Join(err, t.stop()) }()
	for i, address := range seeds {
		p := &process{name: fmt.Sprintf("n%d", i+1), dir: dir, listen: address, seeds: seeds}
		if err := p.start(); err != nil {
			return err
		}
		t.processes = append(t.processes, p)
	}
	if t.c, err = client.Dial(client.Config{Seeds: seeds, Timeout: 30 * time.Second}); err != nil {
		return err
	}
	if err := t.ready(ctx); err != nil {
		return err
	}
	fmt.Println("1. Three empty nodes with one seed list have met and bootstrapped a cluster:")
	if err := t.show(ctx); err != nil {
		return err
	}
	return errors.Join(t.loseLeader(ctx), t.losePower(ctx))
}

var key = []byte("visits")

// loseLeader counts to 300. In the middle the leader of the counter's group is killed.
func (t *three) loseLeader(ctx context.Context) error {
	leader, group, err := t.leaderOf(ctx, key)
	if err != nil {
		return err
	}
	fmt.Printf("2. A client counts to 300. Key %q lies in group %d, which %s leads. At 150 that process gets kill -9:\n", key, group, leader.name)
	longest := time.Duration(0)
	for i := int64(1); i <= 300; i++ {
		if i == 150 {
			if err := leader.kill(); err != nil {
				return err
			}
		}
		began := time.Now()
		count, err := t.c.Incr(ctx, key, 1)
		if err != nil {
			return err
		}
		if longest = max(longest, time.Since(began)); count != i {
			return fmt.Errorf("the counter is at %d after %d increments", count, i)
		}
	}
	next, _, err := t.leaderOf(ctx, key)
	if err != nil {
		return err
	}
	fmt.Printf("   the counter is at 300; %s leads now; the longest increment took %v, an election is in it\n", next.name, longest.Round(time.Millisecond))
	if err := leader.start(); err != nil {
		return err
	}
	return t.ready(ctx)
}

// losePower kills all nodes at once and starts them again with the same command lines.
func (t *three) losePower(ctx context.Context) error {
	fmt.Println("3. All three processes get kill -9 at once, and are started again:")
	for _, p := range t.processes {
		if err := p.kill(); err != nil {
			return err
		}
	}
	for _, p := range t.processes {
		if err := p.start(); err != nil {
			return err
		}
	}
	value, found, err := t.c.Get(ctx, key)
	if err != nil {
		return err
	}
	if string(value.Data) != "300" {
		return fmt.Errorf("the counter is %q, found %v", value.Data, found)
	}
	fmt.Printf("   the counter is at %s\n", value.Data)
	return t.ready(ctx)
}

func (t *three) stop() (err error) {
	if t.c != nil {
		err = t.c.Close()
	}
	for _, p := range t.processes {
		err = errors.Join(err, p.stop())
	}
	return err
}

// freeAddresses finds ports of loopback that nobody uses.
func freeAddresses(n int) (addresses []string, err error) {
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer func() { _ = l.Close() }() // it was only held so that the next one differs
		addresses = append(addresses, l.Addr().String())
	}
	return addresses, nil
}
