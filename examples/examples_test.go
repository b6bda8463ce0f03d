// Package examples has small programs, in the order in which to read them. Each is run by the test of this package.
package examples

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// printed is what each program must print, in this order: regular expressions, each matches one line or a part of it.
var printed = map[string][]string{
	"01-actor": {
		`total: 4000`,
		`one message per Receive: +200 syncs`,
		`all waiting messages per Receive: +[1-9]?\d syncs`, // 100 would be a writer's line that waits for nobody
		`total: 0`,
		`the node stops: actor durable failed: a bug`,
	},
	"02-raft-core": {
		`replica \d leads term 2`,
		`replica 5: \w+ +term 2, log to 3, committed to 3, data \["x=1"\]`,
		`replica \d appends "x=2, in the minority" at index 4, term 2`,
		`replica \d leads term 3`,
		`replica \d refuses "x=4": not the leader`,
		`deletes its entries from 4 on`,
		`All five replicas applied the same commands in the same order`,
	},
	"03-replicated-counter": {
		`node \d leads`,
		`after 100 additions the counter is at 100`,
		`node \d is gone`,
		`after 300 additions the counter is at 300`,
		`node \d starts again from its disk`,
		`all three replicas have the same data at index \d+`,
	},
	"04-three-nodes": {
		`group 0: replicas on nodes \[1 2 3\], node \d leads term \d+, meta`,
		`group 1: .* 8 of 16 buckets`,
		`group 2: .* 8 of 16 buckets`,
		`the counter is at 300; n\d leads now`,
		`All three processes get kill -9 at once`,
		`the counter is at 300`,
	},
	"05-move-a-bucket": {
		`bucket 15 of 16, owned by group \d`,
		`move bucket 15 to group \d`,
		`config \d+ says that group \d owns it`,
		`group \d: \w+`,
		`group \d serves the bucket, group \d has deleted it`,
		`(\d+) increments were acknowledged, the counter is at \d+`,
		`move 15 to \d`,
		`15 arrived at \d`,
	},
	"06-break-it": {
		`The bug: half of the voters are a majority`,
		`seed \d+: .* trace [0-9a-f]{16}`,
		`broken at [^:]+: .*durable on a quorum`,
		`3\. The same seed with the same bug is the same run`,
		`of virtual time; of the \d+ kinds of faults: \w+`,
		`5\. The same seed without the bug`,
		`no rule was broken; \d+ operations of clients are linearizable`,
	},
	"07-your-store": {
		`POST /go https://go\.dev: 201 Created`,
		`POST /go https://example\.com: 409 Conflict`,
		`1000 redirects; GET /go/visits: 1000, written by \d+ requests`,
		`after a restart: GET /go/visits: 1000`,
	},
}

// limit is how long a program may take on a machine that is busy.
const limit = 3 * time.Minute

// Every example is here, prints what it says it shows, and ends by itself without an error.
func TestExamples(t *testing.T) {
	directories, err := filepath.Glob("[0-9][0-9]-*")
	require.NoError(t, err)
	require.Len(t, directories, len(printed))
	bin := t.TempDir()
	out, err := exec.Command("go", "build", "-o", bin, "./...").CombinedOutput()
	require.NoError(t, err, "%s", out)
	for _, name := range directories {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Contains(t, printed, name)
			text := run(t, filepath.Join(bin, name))
			rest := text
			for _, want := range printed[name] {
				found := regexp.MustCompile(want).FindStringIndex(rest)
				require.NotNil(t, found, "%q does not come, or not in this order, in:\n%s", want, text)
				rest = rest[found[1]:]
			}
		})
	}
}

// run starts a program as somebody would who has just read its README, and gives what it printed.
func run(t *testing.T, program string) string {
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, program)
	cmd.Dir = ".." // where the README says that it is run
	cmd.Env = append(os.Environ(), "ERAFT_SEEDS=")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	require.NoError(t, cmd.Run(), "%s", &out)
	return out.String()
}

// Every example has a page, which says how to run it, as it stands in the list of all.
func TestEveryExampleHasAPage(t *testing.T) {
	list, err := os.ReadFile("README.md")
	require.NoError(t, err)
	for name := range printed {
		page, err := os.ReadFile(filepath.Join(name, "README.md"))
		require.NoError(t, err)
		require.Contains(t, string(page), "go run ./examples/"+name)
		for _, section := range []string{"What you see", "Read next", "Change it"} {
			require.Contains(t, string(page), "\n## "+section, name)
		}
		require.LessOrEqual(t, strings.Count(string(page), "\n"), 80, "%s/README.md: a page", name)
		require.Contains(t, string(list), "("+name+"/README.md)")
	}
}
