package actortest_test

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/eraft-io/eraft/actors/actortest"
)

var writeTable = flag.Bool("write", false, "write the table of the package's doc anew, from what the tests show")

// row says what of Proto.Actor does what in a World, and shows it.
type row struct {
	what, does string
	shows      func(t *testing.T)
}

// failing says that a test fails at once, and with which words.
func failing(t *testing.T, says string, do func(w *actortest.World)) {
	r := &recording{T: t}
	w := actortest.NewWorld(r, actortest.Seed(1), actortest.KeepEntries(0))
	func() {
		defer func() {
			if failed := recover(); failed != nil && failed != "failed" {
				panic(failed)
			}
		}()
		do(w)
	}()
	for _, end := range r.cleanups {
		end()
	}
	require.NotEmpty(t, r.errors)
	require.Contains(t, r.errors[0], says)
}

// TestSupport runs every row of the table in the package's doc, and compares the table with what ran.
func TestSupport(t *testing.T) {
	all := slices.Concat(ofMail, ofTime, ofFailures)
	var shown []row
	ran := 0
	for _, r := range all {
		t.Run(r.what, func(t *testing.T) {
			ran++
			r.shows(t)
			shown = append(shown, r)
		})
	}
	if t.Failed() || ran < len(all) {
		return // the table would differ, too, or rows were not asked for
	}
	const begin, end = "//	in Proto.Actor", "package actortest"
	source, err := os.ReadFile("doc.go")
	require.NoError(t, err)
	before, rest, ok := strings.Cut(string(source), begin)
	require.True(t, ok)
	_, after, ok := strings.Cut(rest, end)
	require.True(t, ok)
	want := before + begin + table(shown) + end + after
	if *writeTable {
		require.NoError(t, os.WriteFile("doc.go", []byte(want), 0o644))
		return
	}
	require.Equal(t, want, string(source), "the doc says something else: go test ./actors/actortest -run TestSupport -args -write")
}

func table(rows []row) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-46s%s\n", "", "in a World")
	for _, r := range rows {
		fmt.Fprintf(&b, "//	%-60s%s\n", r.what, r.does)
	}
	return b.String()
}
