// Command 05-move-a-bucket moves a bucket from one Raft group to another while four clients write to it. They notice a pause of some
// milliseconds and nothing else: no error, no lost increment, none that is applied twice.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/eraft-io/eraft/client"
	"github.com/eraft-io/eraft/cluster"
	"github.com/eraft-io/eraft/messages"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "05-move-a-bucket:", err)
		os.Exit(1)
	}
}

func run() (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	dir, err := os.MkdirTemp("", "eraft-move-a-bucket")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	nodes, err := start(ctx, dir)
	defer func() { err = errors.Join(err, stop(nodes)) }()
	if err != nil {
		return err
	}
	return move(ctx, nodes)
}

var counter = []byte("{cart}orders") // keys with one {tag} lie in one slot, so in one bucket

func move(ctx context.Context, nodes []*cluster.Node) error {
	c := nodes[0].Client()
	config, err := c.Config(ctx, 0)
	if err != nil {
		return err
	}
	bucket := messages.BucketOf(counter, len(config.Owners))
	source := config.Owners[bucket]
	destination := 3 - source // the groups are 1 and 2
	fmt.Printf("key %s: slot %d, bucket %d of %d, owned by group %d\n", counter, messages.SlotOf(counter), bucket, len(config.Owners), source)
	if err := fill(ctx, c); err != nil {
		return err
	}

	w := work(ctx, nodes)
	if err := w.reach(ctx, 200); err != nil {
		return err
	}
	fmt.Printf("after %d increments: move bucket %d to group %d\n", w.done.Load(), bucket, destination)
	if config, err = c.Move(ctx, uint32(bucket), uint32(bucket), destination); err != nil {
		return err
	}
	fmt.Printf("config %d says that group %d owns it; the data follows:\n", config.Version, destination)
	if err := watch(ctx, nodes, uint32(bucket)); err != nil {
		return err
	}
	fmt.Printf("after %d increments: group %d serves the bucket, group %d has deleted it\n", w.done.Load(), destination, source)
	if err := w.reach(ctx, w.done.Load()+200); err != nil {
		return err
	}
	if err := w.end(); err != nil {
		return err
	}

	value, _, err := c.Get(ctx, counter)
	if err != nil {
		return err
	}
	fmt.Printf("%d increments were acknowledged, the counter is at %s, the longest wait was %v\n",
		w.done.Load(), value.Data, time.Duration(w.longest.Load()).Round(time.Millisecond))
	if string(value.Data) != fmt.Sprint(w.done.Load()) {
		return errors.New("an increment was lost, or applied twice")
	}
	return diary(ctx, c, config.Version)
}

// fill gives the bucket something to move: 2,000 values of 1 KiB.
func fill(ctx context.Context, c *client.Client) error {
	for i := 0; i < 2000; i += 100 {
		records := client.Txn()
		for j := i; j < i+100; j++ {
			records.Put(fmt.Appendf(nil, "{cart}item-%04d", j), make([]byte, 1024))
		}
		if _, err := c.Batch(ctx, records.Message()); err != nil {
			return err
		}
	}
	return nil
}

// workload is four clients that count together.
type workload struct {
	done, longest atomic.Int64 // increments that were acknowledged; nanoseconds of the one that took longest
	stop          context.CancelFunc
	clients       sync.WaitGroup
	failures      chan error
}

func work(ctx context.Context, nodes []*cluster.Node) *workload {
	on, stop := context.WithCancel(ctx)
	w := &workload{stop: stop, failures: make(chan error, 4)}
	for i := range 4 {
		c := nodes[i%len(nodes)].Client()
		w.clients.Go(func() {
			for on.Err() == nil {
				began := time.Now()
				if _, err := c.Incr(ctx, counter, 1); err != nil {
					w.failures <- err
					return
				}
				took := int64(time.Since(began))
				for longest := w.longest.Load(); took > longest && !w.longest.CompareAndSwap(longest, took); longest = w.longest.Load() {
				}
				w.done.Add(1)
			}
		})
	}
	return w
}

// reach waits until so many increments are acknowledged.
func (w *workload) reach(ctx context.Context, count int64) error {
	return until(ctx, func() bool { return w.done.Load() >= count || len(w.failures) > 0 })
}

// end lets each client finish what it is at.
func (w *workload) end() error {
	w.stop()
	w.clients.Wait()
	close(w.failures)
	var err error
	for failure := range w.failures {
		err = errors.Join(err, failure)
	}
	return err
}

// diary prints the config chain from a version on. Each version was made from the one before by one committed command.
func diary(ctx context.Context, c *client.Client, from uint64) error {
	versions, err := c.ConfigLog(ctx, from, 0)
	if err != nil {
		return err
	}
	fmt.Println("the config chain has it:")
	for _, v := range versions {
		fmt.Printf("   %d: %s\n", v.Version, v.Change)
	}
	return nil
}
