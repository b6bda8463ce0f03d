// Command 06-break-it plants a bug into the Raft core, lets the simulator find a seed under which the bug breaks a rule, shows that the
// seed is a reproducer, and that the same seed without the bug breaks nothing.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/eraft-io/eraft/cluster/clustertest"
)

var (
	which = flag.String("bug", "quorum", "the bug to plant: quorum, vote or figure8")
	first = flag.Uint64("first", 1, "the seed to begin with")
	seeds = flag.Uint64("seeds", 100, "how many seeds to look at")
	run   = flag.String("run", "", "what the program with the bug in it is to do: search or shrink")
)

func main() {
	flag.Parse()
	err := error(nil)
	switch *run {
	case "search":
		err = print(search(*first, *seeds))
	case "shrink":
		plan, result := clustertest.Shrink(*first, clustertest.Plan{})
		err = print(shrunk{plan.Without, plan.Faulty, result.Violations})
	default:
		err = story()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "06-break-it:", err)
		os.Exit(1)
	}
}

func story() (err error) {
	b, known := bugs[*which]
	if !known {
		return fmt.Errorf("there is no bug %q", *which)
	}
	root, err := moduleRoot()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "eraft-break-it")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	fmt.Printf("1. The bug: %s.\n   %s: %s becomes %s\n", b.what, b.file, b.old, b.new)
	broken, err := b.plant(root, dir)
	if err != nil {
		return err
	}

	fmt.Println("2. Simulated clusters of production nodes, one after the other, until a rule is broken:")
	var found clustertest.Result
	if err := in(broken, &found, "-run", "search", "-first", fmt.Sprint(*first), "-seeds", fmt.Sprint(*seeds)); err != nil {
		return err
	}
	if len(found.Violations) == 0 {
		return fmt.Errorf("no seed of %d..%d shows the bug", *first, *first+*seeds-1)
	}
	tell(found)

	fmt.Println("3. The same seed with the same bug is the same run, to the last byte that travels:")
	var again clustertest.Result
	if err := in(broken, &again, "-run", "search", "-first", fmt.Sprint(found.Seed), "-seeds", "1"); err != nil {
		return err
	}
	fmt.Printf("   trace %016x\n", again.Hash)
	if again.Hash != found.Hash {
		return errors.New("it is another run")
	}

	fmt.Println("4. What it takes: the simulator leaves out faults and time as long as the same rule breaks:")
	var small shrunk
	if err := in(broken, &small, "-run", "shrink", "-first", fmt.Sprint(found.Seed)); err != nil {
		return err
	}
	needed := slices.DeleteFunc(clustertest.Kinds(), func(kind string) bool { return slices.Contains(small.Without, kind) })
	if len(needed) == 0 {
		needed = []string{"none"}
	}
	fmt.Printf("   %v of virtual time; of the %d kinds of faults: %s\n", small.Faulty, len(clustertest.Kinds()), strings.Join(needed, ", "))

	fmt.Println("5. The same seed without the bug:")
	sound := search(found.Seed, 1)
	tell(sound)
	if len(sound.Violations) > 0 {
		return errors.New("the code has a bug of its own")
	}
	return nil
}

// search runs seeds until one breaks a rule, and gives the last result.
func search(first, seeds uint64) (r clustertest.Result) {
	for seed := first; seed < first+seeds && len(r.Violations) == 0; seed++ {
		r = clustertest.RunStandalone(seed, clustertest.Plan{})
	}
	return r
}

// shrunk is the smallest plan under which a seed breaks a rule.
type shrunk struct {
	Without    []string
	Faulty     time.Duration
	Violations []string
}

func print(result any) error { return json.NewEncoder(os.Stdout).Encode(result) }

// in lets the program with the bug in it do something, and reads what it found.
func in(program string, result any, arguments ...string) error {
	cmd := exec.Command(program, arguments...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("run with the bug: %w", err)
	}
	return json.Unmarshal(out, result)
}

func tell(r clustertest.Result) {
	fmt.Printf("   seed %d: %v of virtual time, %d steps, %d elections, trace %016x\n", r.Seed, r.Simulated.Round(time.Second), r.Steps, r.Elections, r.Hash)
	if len(r.Violations) == 0 {
		fmt.Printf("   no rule was broken; %d operations of clients are linearizable\n", r.Operations)
	}
	for _, v := range r.Violations {
		if len(v) > 200 {
			v = v[:200] + "..."
		}
		fmt.Println("   broken at", v)
	}
}
