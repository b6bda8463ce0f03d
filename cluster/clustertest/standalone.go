package clustertest

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// RunStandalone is Run outside of a test. A failure of the test is a violation in the Result.
func RunStandalone(seed uint64, p Plan) (r Result) {
	a := &standalone{}
	defer func() {
		for _, end := range slices.Backward(a.cleanups) {
			end()
		}
		r.Seed = seed
		r.Violations = append(r.Violations, a.errors...)
	}()
	defer func() {
		if failed := recover(); failed != nil && failed != errRunFailed {
			panic(failed)
		}
	}()
	return Run(a, seed, p)
}

// standalone implements actortest.TB outside of a test.
type standalone struct {
	errors   []string
	cleanups []func()
}

var errRunFailed = fmt.Errorf("the run has failed")

func (a *standalone) Helper()             {}
func (a *standalone) Name() string        { return "" }
func (a *standalone) Failed() bool        { return false } // the caller reports; no diagram is drawn
func (a *standalone) Logf(string, ...any) {}
func (a *standalone) FailNow()            { panic(errRunFailed) }
func (a *standalone) Cleanup(f func())    { a.cleanups = append(a.cleanups, f) }
func (a *standalone) Errorf(format string, args ...any) {
	a.errors = append(a.errors, fmt.Sprintf(format, args...))
}

// Shrink searches a smaller plan under which a seed still breaks the same rule: with fewer kinds of faults, and less time. It
// returns that plan and the Result of its run.
func Shrink(seed uint64, p Plan) (Plan, Result) {
	p = p.withDefaults()
	found := RunStandalone(seed, p)
	rule := ruleOf(found)
	try := func(smaller Plan) bool {
		r := RunStandalone(seed, smaller)
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

// ruleOf returns the rule that a run has broken first: the second part of its first violation; "": it has broken none.
func ruleOf(r Result) string {
	if len(r.Violations) == 0 {
		return ""
	}
	parts := strings.SplitN(r.Violations[0], ": ", 3)
	return parts[min(1, len(parts)-1)]
}
