//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/client"
	"github.com/eraft-io/eraft/cluster/clustertest"
	"github.com/eraft-io/eraft/messages"
)

const (
	buckets = 256 // of a cluster by default
	clients = 3   // sessions; each has workers that ask one thing after the other
	workers = 4   // of each client
	think   = 100 * time.Millisecond
	timeout = 5 * time.Second // of an operation
	born    = time.Minute     // the cluster, at the latest
	healing = 2 * time.Minute // all that was broken, at the latest
	judging = 2 * time.Minute
	told    = 10 * time.Second // between two lines of progress
)

// counts of what was done, by name. It is safe for concurrent use.
type counts struct {
	mu sync.Mutex
	of map[string]int
}

func (c *counts) add(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.of[name]++
}

func (c *counts) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(c.of)) {
		parts = append(parts, fmt.Sprintf("%s %d", name, c.of[name]))
	}
	return strings.Join(parts, ", ")
}

// run is a cluster of real processes, what happens to it, and what its clients saw.
type run struct {
	seed    uint64
	length  time.Duration
	out     io.Writer
	diary   io.Writer // every fault and order that was refused, with its time
	began   time.Time
	network *network
	nodes   []*node
	history *clustertest.History
	faults  counts
	orders  counts

	mu         sync.Mutex
	present    map[string]bool // faults that there are now
	violations []string
}

func (r *run) violated(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	r.note("VIOLATION %s", text)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.violations = append(r.violations, text)
}

func (r *run) now() time.Duration { return time.Since(r.began) }

// pause waits, or is told that ctx ended.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

// live is the whole run. The error tells that it could not be one, or was interrupted; violations are not errors.
func (r *run) live(ctx context.Context) error {
	for _, n := range r.nodes {
		if err := n.start(); err != nil {
			return err
		}
	}
	if text := r.healed(ctx, born); text != "" {
		return fmt.Errorf("the cluster is not born after %v: %s", born, text)
	}
	fmt.Fprintf(r.out, "%d nodes are ready after %v\n", len(r.nodes), r.now().Round(100*time.Millisecond))
	all, err := r.connect(ctx)
	if err != nil {
		return err
	}
	r.began = time.Now()
	r.history = clustertest.NewHistory(rand.New(rand.NewPCG(r.seed, 3)), buckets, r.now)
	r.trouble(ctx, all)
	last := time.Now()
	r.recover(ctx, &operator{Client: all[0], run: r})
	if ctx.Err() == nil {
		fmt.Fprintln(r.out, "no faults any more")
		if text := r.healed(ctx, healing); text != "" {
			r.violated("Liveness: not healed %v after the last fault: %s", healing, text)
			for _, n := range r.nodes {
				_, body, err := n.get(ctx, "/api/v1/status")
				r.note("n%d says %s%v", n.number, body, err)
			}
		} else {
			fmt.Fprintf(r.out, "all has healed after %v\n", time.Since(last).Round(100*time.Millisecond))
		}
		r.readAll(ctx, all)
	}
	for _, c := range all {
		err = errors.Join(err, c.Close())
	}
	return errors.Join(err, ctx.Err())
}

// connect makes the clients, and one before them for the operator.
func (r *run) connect(ctx context.Context) (all []*client.Client, err error) {
	var seeds []string
	for _, n := range r.nodes {
		seeds = append(seeds, address(n.number)+port)
	}
	for range 1 + clients {
		c, err := client.Connect(ctx, client.Config{Seeds: seeds, Timeout: timeout})
		if err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	return all, nil
}

// trouble lets clients work, operators move and drain, and faults happen, for the length of the run.
func (r *run) trouble(ctx context.Context, all []*client.Client) {
	ctx, cancel := context.WithTimeout(ctx, r.length)
	defer cancel()
	var wg sync.WaitGroup
	faults := draw(r.seed, len(r.nodes), r.length)
	wg.Go(func() { r.strike(ctx, faults, fault.ofNodes, r.hitNodes) })
	wg.Go(func() { r.strike(ctx, faults, func(f fault) bool { return !f.ofNodes() }, r.hitNetwork) })
	for i, work := range []func(*operator){
		func(o *operator) { o.move(ctx) }, func(o *operator) { o.drain(ctx, r.nodes) },
	} {
		wg.Go(func() { work(&operator{all[0], rand.New(rand.NewPCG(r.seed, uint64(10+i))), r}) })
	}
	for i, c := range all[1:] {
		for j := range workers {
			rng := rand.New(rand.NewPCG(r.seed, uint64(1000+i*workers+j)))
			wg.Go(func() {
				for pause(ctx, time.Duration(rng.Int64N(int64(think)))) {
					r.ask(c, r.history.Next)
				}
			})
		}
	}
	for pause(ctx, told) {
		r.tell(ctx)
	}
	wg.Wait()
}

func (r *run) ask(c *client.Client, next func() (int, proto.Message)) {
	id, op := next()
	answer := make(chan *messages.Reply, 1)
	c.Ask(op, timeout, func(reply *messages.Reply) { answer <- reply })
	if err := r.history.Answer(id, <-answer); err != nil {
		r.violated("Replies are valid: %v", err)
	}
}

// strike lets the chosen faults begin and end, one after the other. begin gives what ends the fault.
func (r *run) strike(ctx context.Context, faults []fault, chosen func(fault) bool, begin func(fault) (end func())) {
	for _, f := range faults {
		if !chosen(f) {
			continue
		}
		if !pause(ctx, f.at-r.now()) {
			return
		}
		r.begins(f)
		end := begin(f)
		pause(ctx, f.until-r.now())
		end()
		r.ends(f)
	}
}

func (r *run) begins(f fault) {
	r.faults.add(f.kind)
	r.note("%v begins", f)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.present[f.String()] = true
}

func (r *run) ends(f fault) {
	r.note("%v ends", f)
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.present, f.String())
}

// note writes to the diary.
func (r *run) note(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	fmt.Fprintf(r.diary, "%s %v: %s\n", time.Now().Format(time.RFC3339Nano), r.now().Round(time.Millisecond), fmt.Sprintf(format, args...))
}

func (r *run) hitNetwork(f fault) (end func()) {
	r.network.fault.Store(&f)
	return func() { r.network.fault.Store(&fault{}) }
}

func (r *run) hitNodes(f fault) (end func()) {
	each := func(do func(*node) error) {
		for _, host := range f.hosts {
			if err := do(r.nodes[host-1]); err != nil {
				r.violated("%v: %v", f, err)
			}
		}
	}
	if f.kind == freeze {
		each(func(n *node) error { return n.signal(syscall.SIGSTOP) })
		return func() { each(func(n *node) error { return n.signal(syscall.SIGCONT) }) }
	}
	each((*node).kill)
	return func() { each((*node).start) }
}

// recover ends what the operator has begun. Faults end by themselves.
func (r *run) recover(ctx context.Context, o *operator) {
	ctx, cancel := context.WithTimeout(ctx, healing)
	defer cancel()
	o.undrain(ctx)
}

// healed waits until every node has, and stays so for some looks: then it is "", or else what ails one.
func (r *run) healed(ctx context.Context, patience time.Duration) (text string) {
	const looks, between = 5, 200 * time.Millisecond
	until, well := time.Now().Add(patience), 0
	for {
		text = ""
		for _, n := range r.nodes {
			if text = n.ails(ctx); text != "" {
				break
			}
		}
		if well++; text != "" {
			well = 0
		}
		if well == looks || time.Now().After(until) || !pause(ctx, between) {
			return text
		}
	}
}

// readAll reads every key that was used, from its leader and from any replica.
func (r *run) readAll(ctx context.Context, all []*client.Client) {
	type read struct {
		id int
		op proto.Message
	}
	reads := make(chan read)
	var wg sync.WaitGroup
	for _, c := range all {
		for range workers {
			wg.Go(func() {
				for read := range reads {
					r.ask(c, func() (int, proto.Message) { return read.id, read.op })
				}
			})
		}
	}
	_, unknown, refused := r.history.Counts()
	for _, from := range []messages.ReadFrom{messages.ReadFrom_LEADER, messages.ReadFrom_REPLICA} {
		for id, op := range r.history.EveryKey(from) {
			if ctx.Err() == nil {
				reads <- read{id, op}
			} else if err := r.history.Answer(id, &messages.Reply{Code: messages.Code_UNCERTAIN}); err != nil {
				r.violated("%v", err)
			}
		}
	}
	close(reads)
	wg.Wait()
	if _, u, f := r.history.Counts(); ctx.Err() == nil && u+f > unknown+refused {
		r.violated("Liveness: %d keys cannot be read after everything has healed", u+f-unknown-refused)
	}
}

// tell prints a line of progress.
func (r *run) tell(ctx context.Context) {
	soon, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	var ready atomic.Int64
	var wg sync.WaitGroup
	for _, n := range r.nodes {
		wg.Go(func() {
			if code, _, err := n.get(soon, "/readyz"); err == nil && code == http.StatusOK {
				ready.Add(1)
			}
		})
	}
	wg.Wait()
	done, unknown, refused := r.history.Counts()
	r.mu.Lock()
	now := strings.Join(slices.Sorted(maps.Keys(r.present)), ", ")
	r.mu.Unlock()
	fmt.Fprintf(r.out, "%5v  %d answered, %d uncertain, %d refused; %d/%d ready; now: %s\n",
		r.now().Round(time.Second), done, unknown, refused, ready.Load(), len(r.nodes), now)
}

// stop ends all that the run has started.
func (r *run) stop() error {
	var problems []error
	for _, n := range r.nodes {
		problems = append(problems, n.kill())
	}
	return errors.Join(append(problems, r.network.close())...)
}
