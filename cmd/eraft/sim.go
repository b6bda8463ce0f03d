package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/eraft-io/eraft/cluster/clustertest"
)

// simulation runs seeds, several at once, until one violates an invariant or all are done.
type simulation struct {
	seeds       string
	maxRealTime time.Duration
	parallel    int
	output      string
	ledger      string
	shrink      bool
	twice       bool
	plan        clustertest.Plan

	mu     sync.Mutex
	next   uint64
	last   uint64
	until  time.Time
	sum    ledgerLine
	failed []clustertest.Result
}

// ledgerLine is the result of a simulation, as one line of the ledger.
type ledgerLine struct {
	Commit     string         `json:"commit"`
	First      uint64         `json:"first_seed"`
	Last       uint64         `json:"last_seed"`
	Seeds      int            `json:"seeds"`
	Hours      float64        `json:"simulated_hours"`
	Speedup    float64        `json:"speedup"` // simulated time divided by real time, all cores together
	Operations int            `json:"operations_judged"`
	Snapshots  int            `json:"snapshots_installed"`
	Unjudged   int            `json:"histories_unjudged"`
	Faults     map[string]int `json:"faults"`
	Violations int            `json:"violations"`
	Traces     string         `json:"traces"` // a checksum of all effects under all seeds
	Twice      bool           `json:"twice"`  // each seed was run twice, with equal traces

	traces uint64
}

func simCommand() *cobra.Command {
	s := &simulation{}
	c := &cobra.Command{
		Use: "sim", Short: "Run simulated clusters through swarms of faults, and check everything they do",
		Long: "Each seed is a whole cluster of production nodes on one thread, in virtual time: it bootstraps, clients work on it\n" +
			"while nodes crash, disks fail and the network breaks, and then everything must recover. The same seed is the same run.",
		Args: exactly(0, 0, "no arguments"),
	}
	f := c.Flags()
	f.StringVar(&s.seeds, "seeds", "1..100", "A..B, or one seed")
	f.DurationVar(&s.maxRealTime, "for", 0, "stop after this much real time (default: when all seeds are done)")
	f.DurationVar(&s.plan.Faulty, "faulty", 20*time.Second, "virtual time with faults, per seed")
	f.IntVar(&s.plan.Nodes, "nodes", 3, "nodes of the cluster")
	f.IntVar(&s.plan.Groups, "groups", 4, "its shard groups")
	f.StringSliceVar(&s.plan.Without, "without", nil, "kinds of faults to leave out: "+strings.Join(clustertest.Kinds(), ", "))
	f.IntVar(&s.parallel, "parallel", runtime.NumCPU(), "seeds at once")
	f.BoolVar(&s.shrink, "shrink", true, "look for the smallest plan under which a seed still breaks the rule")
	f.BoolVar(&s.twice, "twice", false, "run each seed twice: both runs must do the same, to the last byte sent")
	f.StringVar(&s.ledger, "ledger", "", "append a line of JSON to this file")
	f.StringVarP(&s.output, "output", "o", "text", "text or json")
	c.RunE = func(*cobra.Command, []string) error { return s.run() }
	return c
}

func (s *simulation) check() error {
	n, err := fmt.Sscanf(s.seeds, "%d..%d", &s.next, &s.last)
	if n == 1 {
		s.last, err = s.next, nil
	}
	switch {
	case err != nil || s.next == 0 || s.last < s.next:
		return usageError{fmt.Errorf("--seeds is %q, but must be A..B with A from 1 and not above B", s.seeds)}
	case s.plan.Faulty <= 0 || s.plan.Nodes < 1 || s.plan.Nodes > 9 || s.plan.Groups < 1 || s.plan.Groups > 16 || s.parallel < 1:
		return usageError{errors.New("--faulty and --parallel must be above 0, --nodes 1 to 9, --groups 1 to 16")}
	case s.output != "text" && s.output != "json":
		return usageError{fmt.Errorf("--output is text or json, not %q", s.output)}
	}
	for _, name := range s.plan.Without {
		if !slices.Contains(clustertest.Kinds(), name) {
			return usageError{fmt.Errorf("--without %q is no kind of fault; there are: %s", name, strings.Join(clustertest.Kinds(), ", "))}
		}
	}
	return nil
}

func (s *simulation) run() error {
	if err := s.check(); err != nil {
		return err
	}
	debug.SetGCPercent(gcPercent)
	began := time.Now()
	if s.maxRealTime > 0 {
		s.until = began.Add(s.maxRealTime)
	}
	s.sum = ledgerLine{Commit: commit(), First: s.next, Twice: s.twice, Faults: map[string]int{}}
	var workers sync.WaitGroup
	for range s.parallel {
		workers.Go(func() { s.work(began) })
	}
	workers.Wait()
	s.sum.Speedup = s.sum.Hours * 3600 / time.Since(began).Seconds()
	return s.report()
}

// gcPercent makes garbage collection less frequent: simulated nodes are short-lived and leave much garbage.
const gcPercent = 400

// take gives the next seed; false: no further one is to run.
func (s *simulation) take() (uint64, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.next > s.last || len(s.failed) > 0 || !s.until.IsZero() && time.Now().After(s.until) {
		return 0, false
	}
	s.next++
	return s.next - 1, true
}

func (s *simulation) work(began time.Time) {
	for {
		seed, ok := s.take()
		if !ok {
			return
		}
		ended := make(chan struct{})
		go watch(seed, ended)
		r := clustertest.RunStandalone(seed, s.plan)
		close(ended)
		if s.twice {
			if again := clustertest.RunStandalone(seed, s.plan); again.Hash != r.Hash || again.Steps != r.Steps {
				r.Violations = append(r.Violations, fmt.Sprintf("%v: One seed, one run: the trace is %016x after %d steps, and %016x after %d when run again",
					r.Simulated, r.Hash, r.Steps, again.Hash, again.Steps))
			}
		}
		s.add(r, began)
	}
}

// seedTimeout is the real time that a seed may take. Most take less than a second.
const seedTimeout = 2 * time.Minute

// watch ends the program if a seed does not end. Seconds in which this process is stopped do not count.
func watch(seed uint64, ended <-chan struct{}) {
	second := time.NewTicker(time.Second) // a tick that is not received is dropped
	defer second.Stop()
	for range int(seedTimeout / time.Second) {
		select {
		case <-ended:
			return
		case <-second.C:
		}
	}
	giveUp(seed)
}

// giveUp ends the program: an actor that loops within one step cannot be stopped.
func giveUp(seed uint64) {
	fmt.Fprintf(os.Stderr, "seed %d broke a rule\n0s: Time passes: the seed has not ended within %v of real time\n", seed, seedTimeout)
	os.Exit(1)
}

const progressEvery = 100 // seeds

func (s *simulation) add(r clustertest.Result, began time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sum.Seeds++
	s.sum.Last = max(s.sum.Last, r.Seed)
	s.sum.Hours += r.Simulated.Hours()
	s.sum.Operations += r.Operations
	s.sum.Snapshots += r.Snapshots
	s.sum.traces ^= r.Hash * (2*r.Seed + 1) // whatever the order in which seeds end
	if r.Unjudged {
		s.sum.Unjudged++
	}
	for name, n := range r.Faults {
		s.sum.Faults[name] += n
	}
	if len(r.Violations) > 0 {
		s.sum.Violations += len(r.Violations)
		s.failed = append(s.failed, r)
	}
	if s.sum.Seeds%progressEvery == 0 && s.output == "text" {
		fmt.Fprintf(os.Stderr, "%d seeds, %.2f hours simulated, %.0f times real time, %d operations checked\n",
			s.sum.Seeds, s.sum.Hours, s.sum.Hours*3600/time.Since(began).Seconds(), s.sum.Operations)
	}
}

func (s *simulation) report() error {
	s.sum.Traces = fmt.Sprintf("%016x", s.sum.traces)
	line, err := json.Marshal(s.sum)
	if err != nil {
		return err
	}
	if s.ledger != "" {
		if err := appendLine(s.ledger, line); err != nil {
			return err
		}
	}
	if s.output == "json" {
		fmt.Println(string(line))
	} else {
		fmt.Printf("%d seeds (%d..%d), %.2f hours simulated at %.0f times real time, %d operations checked, %d histories too complex to check, %d snapshots\n",
			s.sum.Seeds, s.sum.First, s.sum.Last, s.sum.Hours, s.sum.Speedup, s.sum.Operations, s.sum.Unjudged, s.sum.Snapshots)
		fmt.Printf("faults: %v\ntraces: %s\nviolations: %d\n", s.sum.Faults, s.sum.Traces, s.sum.Violations)
	}
	for _, bad := range s.failed {
		s.explain(bad)
	}
	if len(s.failed) > 0 {
		return fmt.Errorf("%d seeds violated an invariant", len(s.failed))
	}
	return nil
}

// explain prints the smallest plan under which a seed still violates the invariant.
func (s *simulation) explain(bad clustertest.Result) {
	fmt.Fprintf(os.Stderr, "seed %d broke a rule\n", bad.Seed)
	plan, found := s.plan, bad
	if s.shrink {
		fmt.Fprintln(os.Stderr, "looking for the smallest plan that does")
		plan, found = clustertest.Shrink(bad.Seed, s.plan)
	}
	if len(found.Violations) == 0 {
		found = bad // it did not happen again: something in the run does not depend on the seed alone
		fmt.Fprintln(os.Stderr, "it did not happen again: something in the run does not come from the seed")
	}
	for _, v := range found.Violations {
		fmt.Println(v)
	}
	fmt.Printf("faults: %v\nreplay with: eraft sim --seeds %d --nodes %d --groups %d --faulty %v --without %q\n",
		found.Faults, bad.Seed, plan.Nodes, plan.Groups, plan.Faulty, strings.Join(plan.Without, ","))
}

func appendLine(path string, line []byte) error {
	file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = file.Write(append(line, '\n'))
	return errors.Join(err, file.Close())
}

// commit is the revision that this binary was built from.
func commit() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	text := "unknown"
	for _, setting := range info.Settings {
		switch {
		case setting.Key == "vcs.revision":
			text = setting.Value[:min(12, len(setting.Value))]
		case setting.Key == "vcs.modified" && setting.Value == "true":
			text += "+changes"
		}
	}
	return text
}
