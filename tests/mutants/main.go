// Command mutants proves that the simulator finds bugs: it plants one bug after the other into a copy of a source file,
// builds eraft with that copy in place of the file, and lets `eraft sim` look for it. A bug that survives is a hole in
// the faults, the workload or the oracle. See docs/adr/0012-mutants-are-overlays.md.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"
)

// mutant is a planted bug: one place of one file of the production code that says something else.
type mutant struct {
	fault  string
	file   string
	old    string // found exactly once in file
	new    string
	unseen string // why it is not looked for, unless -unseen is given
}

// verdict is what became of a mutant.
type verdict struct {
	rule string // that it broke, "": it survived
	seed string // that showed it
	held int    // seeds that did not
	took time.Duration
	err  error // it could not be judged
}

var (
	root     = flag.String("root", ".", "directory of the go.mod")
	seeds    = flag.Int("seeds", 2000, "how many seeds a mutant may survive")
	wall     = flag.Duration("for", time.Hour, "how long it may survive, in real time: 20 seeds, 180 more, and the rest")
	parallel = flag.Int("parallel", runtime.NumCPU(), "mutants at once")
	only     = flag.String("run", "", "regular expression: only faults that match")
	unseen   = flag.Bool("unseen", false, "look also for those that nobody is known to see")
)

func main() {
	flag.Parse()
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
}

func run() error {
	chosen, err := regexp.Compile(*only)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "eraft-mutants")
	if err != nil {
		return err
	}
	var hunts []*hunt
	for i, m := range mutants {
		if chosen.MatchString(m.fault) && (m.unseen == "" || *unseen) {
			hunts = append(hunts, &hunt{mutant: m, dir: filepath.Join(dir, fmt.Sprint(i))})
		}
	}
	began := time.Now()
	for _, last := range []int{min(20, *seeds), min(200, *seeds), *seeds} { // most are seen soon: those that are not hold nobody up
		all(hunts, func(h *hunt) { h.to(last) })
	}
	report(hunts, time.Since(began))
	err = os.RemoveAll(dir)
	if names := survivors(hunts); len(names) > 0 {
		err = errors.Join(err, fmt.Errorf("%d not caught: %s", len(names), strings.Join(names, "; ")))
	}
	return err
}

// hunt is the search for one mutant, seed after seed from the first.
type hunt struct {
	mutant
	verdict
	dir    string // of its binary
	judged bool
}

// all goes on with several hunts at once.
func all(hunts []*hunt, on func(*hunt)) {
	var workers sync.WaitGroup
	places := make(chan struct{}, *parallel)
	for _, h := range hunts {
		if h.judged || h.held >= *seeds {
			continue
		}
		places <- struct{}{}
		workers.Go(func() {
			on(h)
			<-places
		})
	}
	workers.Wait()
}

func survivors(hunts []*hunt) (names []string) {
	for _, h := range hunts {
		if h.rule == "" {
			names = append(names, h.fault)
		}
	}
	return names
}

// report prints the table for docs/SIMULATION.md, in the order of the mutants.
func report(hunts []*hunt, took time.Duration) {
	fmt.Printf("%d of %d caught in %v\n\n| fault | file | caught by | seeds |\n|---|---|---|---|\n",
		len(hunts)-len(survivors(hunts)), len(hunts), took.Round(time.Second))
	for _, h := range hunts {
		fmt.Println(h.line(h.mutant))
	}
	for _, m := range mutants {
		if m.unseen != "" {
			fmt.Printf("\nnot looked for: %s (%s): %s\n", m.fault, m.file, m.unseen)
		}
	}
}

func (v verdict) line(m mutant) string {
	switch {
	case v.err != nil:
		return fmt.Sprintf("| %s | %s | not judged: %v | - |", m.fault, m.file, v.err)
	case v.rule == "":
		return fmt.Sprintf("| %s | %s | **survives** %v | %d seeds |", m.fault, m.file, v.took.Round(time.Second), v.held)
	}
	return fmt.Sprintf("| %s | %s | %s | %s |", m.fault, m.file, v.rule, v.seed)
}

// to lets the simulator look for a mutant up to a seed. The first time it is built.
func (h *hunt) to(last int) {
	began := time.Now()
	if h.held == 0 {
		if h.err = build(h.mutant, h.dir); h.err != nil {
			h.judged = true
		}
	}
	if !h.judged {
		h.look(last)
	}
	if h.took += time.Since(began); h.judged || h.held >= *seeds {
		fmt.Fprintln(os.Stderr, h.line(h.mutant))
	}
	if h.judged {
		h.err = errors.Join(h.err, os.RemoveAll(h.dir))
	}
}

func (h *hunt) look(last int) {
	// A mutant may also never end. One that is found late is still given the time to say so.
	ctx, cancel := context.WithTimeout(context.Background(), *wall+time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, filepath.Join(h.dir, "eraft"), "sim", "--shrink=false", "--parallel", "1",
		"--seeds", fmt.Sprintf("%d..%d", h.held+1, last), "--for", wall.String()).CombinedOutput()
	v := read(string(out))
	h.rule, h.seed, h.held = v.rule, v.seed, h.held+v.held
	if h.judged = v.rule != "" || err != nil || h.held < last; v.rule == "" && err != nil {
		h.err = fmt.Errorf("%w: %s", err, strings.ReplaceAll(string(out[max(0, len(out)-300):]), "\n", " "))
	}
}

var (
	violation = regexp.MustCompile(`(?m)^(?:at )?[0-9.hmµns]+: ([A-Z][^:\n]+): `)
	broke     = regexp.MustCompile(`(?m)^seed (\d+) broke a rule`)
	lived     = regexp.MustCompile(`(?m)^(\d+) seeds \(`)
)

// read finds in what the simulator printed which rule was broken under which seed, or how many seeds nothing was.
func read(out string) verdict {
	found, seed := violation.FindStringSubmatch(out), broke.FindStringSubmatch(out)
	if found != nil && seed != nil {
		return verdict{rule: found[1], seed: seed[1]}
	}
	if n := lived.FindStringSubmatch(out); n != nil {
		held, _ := strconv.Atoi(n[1]) // they are digits
		return verdict{held: held}
	}
	return verdict{}
}

// build makes an eraft with the bug in it, and leaves the source tree as it is.
func build(m mutant, dir string) error {
	planted, err := m.plant(*root)
	if err != nil {
		return err
	}
	path, err := filepath.Abs(filepath.Join(*root, m.file))
	if err != nil {
		return err
	}
	replaced, list, binary := filepath.Join(dir, "planted.go"), filepath.Join(dir, "overlay.json"), filepath.Join(dir, "eraft")
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{path: replaced}})
	if err != nil {
		return err
	}
	err = errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(replaced, planted, 0o644), os.WriteFile(list, overlay, 0o644))
	if err != nil {
		return err
	}
	c := exec.Command("go", "build", "-overlay", list, "-ldflags", "-s -w", "-o", binary, "./cmd/eraft")
	c.Dir = *root
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("build: %w: %s", err, strings.ReplaceAll(string(out), "\n", " "))
	}
	return nil
}

// plant gives the file with the bug in it. The table must say where, without doubt: code that changed makes it fail.
func (m mutant) plant(root string) ([]byte, error) {
	body, err := os.ReadFile(filepath.Join(root, m.file))
	if err != nil {
		return nil, err
	}
	if n := strings.Count(string(body), m.old); n != 1 {
		return nil, fmt.Errorf("%s has the text of mutant %q %d times, not once; bring tests/mutants/table.go up to date", m.file, m.fault, n)
	}
	return []byte(strings.Replace(string(body), m.old, m.new, 1)), nil
}
