package clustertest

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// RunAlone is Run outside of a test. What would fail the test is a violation.
func RunAlone(seed uint64, p Plan) (r Result) {
	a := &alone{}
	defer func() {
		for _, end := range slices.Backward(a.ends) {
			end()
		}
		r.Seed = seed
		r.Violations = append(r.Violations, a.errors...)
	}()
	defer func() {
		if failed := recover(); failed != nil && failed != errAlone {
			panic(failed)
		}
	}()
	return Run(a, seed, p)
}

// alone stands for a test where there is none.
type alone struct {
	errors []string
	ends   []func()
}

var errAlone = fmt.Errorf("the run has failed")

func (a *alone) Helper()             {}
func (a *alone) Name() string        { return "" }
func (a *alone) Failed() bool        { return false } // the caller reports; no diagram is drawn
func (a *alone) Logf(string, ...any) {}
func (a *alone) FailNow()            { panic(errAlone) }
func (a *alone) Cleanup(f func())    { a.ends = append(a.ends, f) }
func (a *alone) Errorf(format string, args ...any) {
	a.errors = append(a.errors, fmt.Sprintf(format, args...))
}

// Shrink looks for a smaller plan under which a seed still breaks the same rule: fewer kinds of faults, and less time.
func Shrink(seed uint64, p Plan) (Plan, Result) {
	p = p.withDefaults()
	found := RunAlone(seed, p)
	rule := ruleOf(found)
	try := func(smaller Plan) bool {
		r := RunAlone(seed, smaller)
		if len(r.Violations) == 0 || ruleOf(r) != rule {
			return false
		}
		p, found = smaller, r
		return true
	}
	for _, name := range Kinds() {
		if slices.Contains(p.Without, name) {
			continue
		}
		smaller := p
		smaller.Without = append(slices.Clone(p.Without), name)
		try(smaller)
	}
	for p.Faulty > time.Second {
		smaller := p
		smaller.Faulty /= 2
		if !try(smaller) {
			break
		}
	}
	return p, found
}

// ruleOf is the rule that a run broke first: what stands between the time and the story.
func ruleOf(r Result) string {
	if len(r.Violations) == 0 {
		return ""
	}
	parts := strings.SplitN(r.Violations[0], ": ", 3)
	return parts[min(1, len(parts)-1)]
}
