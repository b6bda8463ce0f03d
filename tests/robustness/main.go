//go:build linux

// Command robustness runs a cluster of real `eraft server` processes, each in a network namespace with its own address,
// while processes are killed and frozen, and the network between them is cut, loses and delays packets; buckets move all
// the time, and once a minute a node is drained. What clients saw is judged by the model of clustertest. The faults come
// from one seed. It needs root; see docs/SIMULATION.md, "Real processes".
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

var (
	seed   = flag.Uint64("seed", 0, "of the faults; 0 draws one")
	length = flag.Duration("for", 10*time.Minute, "how long there are faults")
	nodes  = flag.Int("nodes", 5, "how many there are, 3 to 9")
	binary = flag.String("eraft", "bin/eraft", "the binary to run")
	keep   = flag.Bool("keep", false, "keep the data directories too, if a rule was broken")
)

func main() {
	flag.Parse()
	if err := start(); err != nil {
		fmt.Fprintln(os.Stderr, "robustness:", err)
		os.Exit(1)
	}
}

// possible tells what is missing on this machine.
func possible() error {
	if os.Getuid() != 0 {
		return errors.New("needs root, to make network namespaces: sudo make robustness")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		return errors.New("needs ip, which gives the namespaces their addresses: apt-get install iproute2")
	}
	if _, err := os.Stat("/dev/net/tun"); err != nil {
		return fmt.Errorf("needs TUN devices, of which the network is made: %w", err)
	}
	if *nodes < 3 || *nodes > 9 || *length < 10*time.Second {
		return fmt.Errorf("-nodes %d -for %v: 3 to 9 nodes, and at least 10s", *nodes, *length)
	}
	path, err := filepath.Abs(*binary)
	if err == nil {
		*binary, err = exec.LookPath(path)
	}
	if err != nil {
		return fmt.Errorf("-eraft: %w: make builds it", err)
	}
	return nil
}

func start() error {
	if err := possible(); err != nil {
		return err
	}
	if err := ownNamespace(); err != nil {
		return err
	}
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	if *seed == 0 {
		*seed = uint64(rand.Uint32())
	}
	dir, err := os.MkdirTemp("", "eraft-robustness-")
	if err != nil {
		return err
	}
	fmt.Printf("seed %d: %d nodes, %v of faults; logs in %s\n", *seed, *nodes, *length, dir)
	violated, err := live(ctx, dir)
	switch {
	case ctx.Err() != nil:
		return errors.Join(errors.New("interrupted, nothing was judged"), os.RemoveAll(dir))
	case err == nil && !violated:
		return os.RemoveAll(dir)
	case !*keep:
		err = errors.Join(err, os.RemoveAll(filepath.Join(dir, "data")))
	}
	return errors.Join(err, fmt.Errorf("failed: logs are kept in %s; the same faults again: make robustness FOR=%v SEED=%d", dir, *length, *seed))
}

// live runs and judges; violated tells that a rule was broken.
func live(ctx context.Context, dir string) (violated bool, err error) {
	diary, err := os.Create(filepath.Join(dir, "faults.log"))
	if err != nil {
		return false, err
	}
	defer diary.Close()
	net, err := newNetwork(*nodes, *seed)
	if err != nil {
		return false, err
	}
	r := newRun(net, dir, os.Stdout, diary)
	err = r.live(ctx)
	if ctx.Err() == nil && err == nil {
		r.judge()
	}
	return len(r.violations) > 0, errors.Join(err, r.stop())
}

func newRun(net *network, dir string, out, diary io.Writer) *run {
	r := &run{
		seed: *seed, length: *length, out: out, diary: diary, began: time.Now(), network: net,
		faults: counts{of: map[string]int{}}, orders: counts{of: map[string]int{}}, present: map[string]bool{},
	}
	for i := 1; i <= *nodes; i++ {
		r.nodes = append(r.nodes, newNode(net, i, *nodes, *binary, dir, r.violated))
	}
	return r
}

// judge prints the verdict. A history that cannot be is long, so it is only in the diary.
func (r *run) judge() {
	judged, unjudged, violation := r.history.Judge(judging)
	if violation != "" {
		r.violated("Linearizability: %s", violation)
	}
	if unjudged {
		r.violated("the history is too tangled to be judged in %v: ask less, or longer", judging)
	}
	_, unknown, refused := r.history.Counts()
	fmt.Fprintf(r.out, "faults: %v\n", &r.faults)
	fmt.Fprintf(r.out, "operators: %v\n", &r.orders)
	fmt.Fprintf(r.out, "packets: %d passed, %d lost or cut, %d delayed\n", r.network.passed.Load(), r.network.dropped.Load(), r.network.delayed.Load())
	fmt.Fprintf(r.out, "operations: %d judged, %d of them uncertain; %d refused\n", judged, unknown, refused)
	r.mu.Lock()
	defer r.mu.Unlock()
	fmt.Fprintf(r.out, "violations: %d\n", len(r.violations))
	for _, v := range r.violations {
		first, rest, _ := strings.Cut(v, "\n")
		if rest != "" {
			first += ": see faults.log"
		}
		fmt.Fprintln(r.out, first)
	}
}
