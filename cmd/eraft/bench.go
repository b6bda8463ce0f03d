package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/spf13/cobra"
	etcd "go.etcd.io/etcd/client/v3"

	"github.com/eraft-io/eraft/client"
	"github.com/eraft-io/eraft/messages"
)

// bench measures a cluster with a closed loop: every client sends a request, waits for the reply, and sends the next. With a rate it
// is an open loop: every client sends when it is due, and the latency counts from then, so that one slow reply counts for all
// requests that had to wait for it.
type bench struct {
	Target      string        `json:"target"`
	Op          string        `json:"op"`
	Clients     int           `json:"clients"`
	Rate        int           `json:"rate,omitempty"` // operations per second of all clients together; 0: closed loop
	ValueSize   int           `json:"value_size"`
	Keys        int           `json:"keys"`
	Tag         string        `json:"tag,omitempty"` // {tag} of all keys, which puts them into one bucket
	Compress    bool          `json:"compressible,omitempty"`
	Duration    time.Duration `json:"-"`
	fillFirst   bool          // every key is written once before the measurement
	keysPresent bool          // the keys are present already: they are not written before gets
	progress    bool          // print a line per second on standard error
	endpoints   []string
	output      string
}

// target is one connection to a store.
type target interface {
	put(ctx context.Context, key string, value []byte) error
	get(ctx context.Context, key string) error
	close() error
}

func benchCommand() *cobra.Command {
	b := &bench{}
	c := &cobra.Command{Use: "bench", Short: "Measure a running cluster with many clients", Args: exactly(0, 0, "no arguments")}
	f := c.Flags()
	f.StringVar(&b.Target, "target", "eraft", "eraft (Go client), resp, or etcd")
	f.StringSliceVar(&b.endpoints, "endpoints", nil, "host:port of its nodes (default ERAFT_SEEDS)")
	f.StringVar(&b.Op, "op", "put", "put or get")
	f.IntVar(&b.Clients, "clients", 64, "how many ask at once")
	f.IntVar(&b.ValueSize, "value-size", 256, "bytes of a value")
	f.IntVar(&b.Rate, "rate", 0, "operations per second of all clients together (default: as many as are answered)")
	f.IntVar(&b.Keys, "keys", 10000, "different keys")
	f.StringVar(&b.Tag, "tag", "", "put all keys into the bucket of this {tag}")
	f.BoolVar(&b.fillFirst, "fill", false, "write every key once before (--op get always does)")
	f.BoolVar(&b.keysPresent, "loaded", false, "the keys are there already: --op get does not write them")
	f.BoolVar(&b.Compress, "compressible", false, "values of zeros, which compress to nothing (default: random bytes)")
	f.BoolVar(&b.progress, "progress", false, "print a line a second on standard error")
	f.DurationVar(&b.Duration, "duration", 10*time.Second, "how long")
	f.StringVarP(&b.output, "output", "o", "text", "text or json")
	c.RunE = func(c *cobra.Command, _ []string) error {
		switch {
		case b.output != "text" && b.output != "json":
			return usageError{fmt.Errorf("--output is text or json, not %q", b.output)}
		case b.Op != "put" && b.Op != "get":
			return usageError{fmt.Errorf("--op is put or get, not %q", b.Op)}
		case b.Rate < 0 || strings.ContainsAny(b.Tag, "{}"):
			return usageError{errors.New("--rate must not be below 0, and --tag has no braces")}
		case b.Clients < 1 || b.ValueSize < 0 || b.ValueSize > messages.MaxValueBytes || b.Keys < 1 || b.Duration <= 0:
			return usageError{errors.New("--clients, --keys and --duration must be above 0, --value-size 0 to 1 MiB")}
		}
		var err error
		if b.endpoints, err = resolveSeeds("endpoints", b.endpoints); err != nil {
			return err
		}
		tuneGC()
		_ = setTimerSlack() // without it, it is slower
		return b.run(c.Context())
	}
	return c
}

// connect gives one target per client. Connections are shared as is usual for each protocol.
func (b *bench) connect(ctx context.Context) ([]target, func() error, error) {
	var shared []target
	conns := max(1, b.Clients/16) // as etcd's own tool does: many clients share a connection
	switch b.Target {
	case "eraft":
		conns = 1
	case "resp":
		conns = b.Clients
	case "etcd":
	default:
		return nil, nil, usageError{fmt.Errorf("--target is eraft, resp or etcd, not %q", b.Target)}
	}
	closeAll := func() (err error) {
		for _, t := range shared {
			err = errors.Join(err, t.close())
		}
		return err
	}
	for i := range conns {
		endpoint := b.endpoints[i%len(b.endpoints)]
		t, err := b.open(ctx, endpoint)
		if err != nil {
			return nil, nil, errors.Join(err, closeAll())
		}
		shared = append(shared, t)
		if err := b.probe(ctx, t, endpoint); err != nil {
			return nil, nil, errors.Join(err, closeAll())
		}
	}
	all := make([]target, b.Clients)
	for i := range all {
		all[i] = shared[i%conns]
	}
	return all, closeAll, nil
}

func (b *bench) open(ctx context.Context, endpoint string) (target, error) {
	switch b.Target {
	case "resp":
		return respTarget{redis.NewClient(&redis.Options{Addr: endpoint, PoolSize: 1, DisableIdentity: true})}, nil
	case "etcd":
		c, err := etcd.New(etcd.Config{Endpoints: []string{endpoint}, DialTimeout: 5 * time.Second})
		return etcdTarget{c}, err
	}
	c, err := client.Connect(ctx, client.Config{Seeds: b.endpoints, InFlight: b.Clients + 16})
	return eraftTarget{c}, err
}

// probe sends one request on a connection that its protocol opens lazily: an endpoint that is missing, or speaks another protocol, is
// an error now instead of a measurement.
func (b *bench) probe(ctx context.Context, t target, endpoint string) error {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	err := t.get(ctx, b.key(0))
	if err != nil && messages.CodeOf(err) == messages.Code_INTERNAL {
		return messages.Errorf(messages.Code_UNAVAILABLE, "no %s at %s: %v", b.Target, endpoint, err)
	}
	return err
}

const probeTimeout = 5 * time.Second

// report is the result of a run.
type report struct {
	bench
	Ops     int64            `json:"ops"`
	Seconds float64          `json:"seconds"`
	PerSec  float64          `json:"ops_per_second"`
	Millis  map[string]any   `json:"latency_ms"`
	Longest float64          `json:"longest_gap_ms"`   // longest time in which one client got no successful reply
	Stall   float64          `json:"longest_stall_ms"` // longest time in which no client got one
	Errors  map[string]int64 `json:"errors"`
}

func (b *bench) run(ctx context.Context) error {
	targets, closeAll, err := b.connect(ctx)
	if err != nil {
		return err
	}
	if b.fillFirst || b.Op == "get" && !b.keysPresent {
		if err := b.fill(ctx, targets); err != nil {
			return errors.Join(err, closeAll())
		}
	}
	report := b.measure(ctx, targets)
	err = errors.Join(b.print(report), closeAll())
	if err == nil && report.Ops == 0 {
		err = messages.Errorf(messages.Code_UNAVAILABLE, "nothing was carried out in %v: %v", b.Duration, report.Errors)
	}
	return err
}

// fill writes every key once, so that gets find values.
func (b *bench) fill(ctx context.Context, targets []target) error {
	problems, t := make([]error, len(targets)), newTally("fill", b.progress)
	defer t.close()
	var wg sync.WaitGroup
	for w, to := range targets {
		wg.Go(func() {
			values := b.values(w)
			for k := w; k < b.Keys && problems[w] == nil; k += len(targets) {
				began := time.Now()
				problems[w] = to.put(ctx, b.key(k), values())
				t.answered(began, time.Now(), problems[w])
			}
		})
	}
	wg.Wait()
	return errors.Join(problems...)
}

// values gives the values that one client writes: a different slice of random bytes each time, or zeros. A value is valid until the
// next one.
func (b *bench) values(client int) func() []byte {
	if b.Compress {
		zeros := make([]byte, b.ValueSize)
		return func() []byte { return zeros }
	}
	rng := rand.New(rand.NewPCG(uint64(client), 2))
	noise := make([]byte, b.ValueSize+64<<10) // more than the 64 KiB in which LZ4 searches for repetitions
	for i := range noise {
		noise[i] = byte(rng.Uint32())
	}
	return func() []byte {
		at := rng.IntN(64 << 10)
		return noise[at : at+b.ValueSize]
	}
}

func (b *bench) key(k int) string {
	if b.Tag != "" {
		return fmt.Sprintf("{%s}%010d", b.Tag, k)
	}
	return fmt.Sprintf("bench/%010d", k)
}

// waitUntilDue waits until a client may send its nth request, and gives the time from which the latency counts.
func (b *bench) waitUntilDue(began time.Time, client, nth int) time.Time {
	if b.Rate == 0 {
		return time.Now()
	}
	at := began.Add(time.Duration(nth*b.Clients+client) * time.Second / time.Duration(b.Rate))
	<-time.After(time.Until(at))
	return at
}

// measure runs all clients.
func (b *bench) measure(ctx context.Context, targets []target) report {
	r, t := report{bench: *b, Millis: map[string]any{}}, newTally(b.Op, b.progress)
	var wg sync.WaitGroup
	for w, to := range targets {
		wg.Go(func() {
			ctx, cancel := context.WithCancel(ctx) // its own context: a Session tells callers apart by it
			defer cancel()
			now, answered, longest := t.began, t.began, time.Duration(0)
			rng, values := rand.New(rand.NewPCG(uint64(w), 1)), b.values(w)
			for nth := 0; now.Sub(t.began) < b.Duration && ctx.Err() == nil; nth++ {
				start, k := b.waitUntilDue(t.began, w, nth), b.key(rng.IntN(b.Keys))
				err := error(nil)
				if b.Op == "put" {
					err = to.put(ctx, k, values())
				} else {
					err = to.get(ctx, k)
				}
				now = time.Now()
				if err == nil {
					longest, answered = max(longest, now.Sub(answered)), now
				}
				t.answered(start, now, err)
			}
			t.gap(max(longest, time.Since(answered))) // the last gap may still be open
		})
	}
	wg.Wait()
	t.close()
	r.Ops, r.Seconds, r.Errors = t.all.TotalCount(), time.Since(t.began).Seconds(), t.errors
	r.Longest, r.Stall = millis(t.longest), millis(t.stall)
	r.PerSec = float64(r.Ops) / r.Seconds
	for name, q := range map[string]float64{"p50": 50, "p90": 90, "p99": 99, "p99.9": 99.9, "max": 100} {
		r.Millis[name] = float64(t.all.ValueAtQuantile(q)) / 1000
	}
	return r
}

// kindOf is what an error counts as: its code, or its first word if it came over RESP.
func kindOf(err error) string {
	if said := redis.Error(nil); errors.As(err, &said) {
		word, _, _ := strings.Cut(err.Error(), " ")
		return word
	}
	return messages.CodeOf(err).String()
}

func (b *bench) print(r report) error {
	if b.output == "json" {
		return json.NewEncoder(os.Stdout).Encode(r)
	}
	fmt.Printf("%s %s, %d clients, %d B values, %d keys: %.0f ops/s\n", b.Target, b.Op, b.Clients, b.ValueSize, b.Keys, r.PerSec)
	fmt.Printf("latency ms: p50 %.2f  p90 %.2f  p99 %.2f  p99.9 %.2f  max %.2f; longest gap of a client %.2f, of all at once %.2f\n",
		r.Millis["p50"], r.Millis["p90"], r.Millis["p99"], r.Millis["p99.9"], r.Millis["max"], r.Longest, r.Stall)
	for code, n := range r.Errors {
		fmt.Printf("errors: %s %d\n", code, n)
	}
	return nil
}

type eraftTarget struct{ c *client.Client }

func (t eraftTarget) put(ctx context.Context, key string, value []byte) error {
	_, err := t.c.Put(ctx, []byte(key), value)
	return err
}

func (t eraftTarget) get(ctx context.Context, key string) error {
	_, _, err := t.c.Get(ctx, []byte(key))
	return err
}
func (t eraftTarget) close() error { return t.c.Close() }

type respTarget struct{ c *redis.Client }

func (t respTarget) put(ctx context.Context, key string, value []byte) error {
	return t.c.Set(ctx, key, value, 0).Err()
}

func (t respTarget) get(ctx context.Context, key string) error {
	if err := t.c.Get(ctx, key).Err(); !errors.Is(err, redis.Nil) {
		return err
	}
	return nil
}
func (t respTarget) close() error { return t.c.Close() }

type etcdTarget struct{ c *etcd.Client }

func (t etcdTarget) put(ctx context.Context, key string, value []byte) error {
	_, err := t.c.Put(ctx, key, string(value))
	return err
}

func (t etcdTarget) get(ctx context.Context, key string) error {
	_, err := t.c.Get(ctx, key)
	return err
}
func (t etcdTarget) close() error { return t.c.Close() }
