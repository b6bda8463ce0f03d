package tests

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// chain is the config log as an operator sees it.
func (p *processes) chain() string {
	out, code := p.eraft(0, "config", "log")
	require.Zero(p.t, code, out)
	return out
}

// What an operator gets wrong is refused with the reason and what to do; nothing of it is in the chain of configs, and nothing
// falls over it, not even after the death of all.
func TestOperatorsMistakes(t *testing.T) {
	zones := []string{"zone=a", "zone=b"}
	p := startProcesses(t, 2, func(i int) []string {
		if i < len(zones) {
			return []string{"--labels", zones[i]}
		}
		return map[int][]string{2: {"--name", "n2", "--labels", "zone=a"}}[i] // the last --name counts
	})
	require.Eventually(t, func() bool { return strings.Contains(p.chain(), "feature level") }, 20*time.Second, 50*time.Millisecond, "nothing else is changed later")
	for _, args := range []string{"rebalance --pause", "drain n1"} {
		out, code := p.eraft(0, strings.Fields(args)...)
		require.Zero(t, code, out)
	}
	before := p.chain()
	for _, c := range []struct{ args, says string }{
		{"drain n2", "(n2) is the last one that can have data: let another node join first"},
		{"drain n9", `no node has the name "n9": eraft status lists them`},
		{"drain 9", "node 9 does not exist: the nodes are [1 2]"},
		{"remove n1", "(n1) is alive, or was so a moment ago: drain it, stop it, and ask again"},
		{"remove n2", "(n2) is the last one that can have data: let another node join, or undrain one"},
		{"remove 9", "node 9 does not exist: the nodes are [1 2]"},
		{"move 0 9", "group 9 is no shard group of this cluster: they are [1 2]"},
		{"move 0 0", "group 0 is no shard group of this cluster: they are [1 2]"},
		{"move 256 1", "bucket 256 does not exist: buckets are 0-255"},
		{"move 0-256 1", "bucket 256 does not exist: buckets are 0-255"},
		{"move 5-3 1", "buckets 5-3: the first is behind the last"},
		{"join 1 n1", "group 1 exists already: choose a new number above 0"},
		{"join 9 n7", `no node has the name "n7": eraft status lists them`},
		{"join 9 1,1", "node 1 is named twice"},
		{"leave 9", "group 9 is no shard group of this cluster: they are [1 2]"},
		{"leave 0", "group 0 is no shard group of this cluster: they are [1 2]"},
		{"drain n1 --if-version 1", "look again at what you want to change"},
	} {
		out, code := p.eraft(0, strings.Fields(c.args)...)
		require.Contains(t, []int{1, 4}, code, "%s: %s", c.args, out)
		require.Contains(t, out, c.says, c.args)
		require.Equal(t, 1, strings.Count(out, "\n"), "%s: %s", c.args, out)
	}
	for _, says := range []string{"which is alive: choose another name", "start it with --labels zone="} {
		waits := p.join(0)
		require.Eventually(t, func() bool { return strings.Contains(p.log(waits), says) }, 20*time.Second, 50*time.Millisecond, says)
		p.kill(waits)
	}
	require.Equal(t, before, p.chain())
	for i := range zones {
		p.kill(i)
	}
	for i := range zones {
		p.start(i)
	}
	p.ready()
	require.Equal(t, before, p.chain())
}

// Labels that cannot be what is meant are refused before anything starts.
func TestLabelsThatMakeNoSense(t *testing.T) {
	p := startProcesses(t, 0)
	for labels, says := range map[string]string{
		"zone":            "say key=value",
		"zone=":           "say key=value",
		"zone=a,zone=b":   "is there twice",
		"zone=a b":        "say key=value",
		"rack=1,zone=a/b": "say key=value",
	} {
		out, code := p.run("server", "--data", fmt.Sprint(t.TempDir(), "/d"), "--listen", "127.0.0.1:0", "--labels", labels)
		require.Equal(t, 2, code, out)
		require.Contains(t, out, says)
	}
}
