package tests

import (
	"encoding/json"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/eraft-io/eraft/client"
)

// eraft runs a command against the cluster.
func (p *processes) eraft(seed int, args ...string) (string, int) {
	return p.run(append(args, "--seeds", p.seeds[seed], "--timeout", "20s")...)
}

// run runs the binary until it ends by itself.
func (p *processes) run(args ...string) (string, int) {
	path, err := build()
	require.NoError(p.t, err)
	cmd := exec.Command(path, args...)
	out, _ := cmd.CombinedOutput()
	return string(out), cmd.ProcessState.ExitCode()
}

// placed waits until placement has nothing to do and nothing under way, and gives how many groups nodes have a replica of.
func (p *processes) placed(c *client.Client, groups int) map[uint64]int {
	load, last := map[uint64]int{}, ""
	require.Eventually(p.t, func() bool {
		var d struct {
			Groups []struct {
				ID       uint64
				Replicas []uint64
			}
			Buckets   struct{ Moving []uint64 }
			Placement struct {
				Known, Idle bool
				Steps       []any
			}
		}
		body, err := c.Status(p.t.Context(), p.seeds[0])
		last = string(body)
		if err != nil || json.Unmarshal(body, &d) != nil {
			return false
		}
		clear(load)
		living := 0
		for _, g := range d.Groups {
			if len(g.Replicas) > 0 {
				living++
			}
			for _, n := range g.Replicas {
				load[n]++
			}
		}
		return d.Placement.Known && d.Placement.Idle && len(d.Placement.Steps)+len(d.Buckets.Moving) == 0 && living == groups
	}, 2*time.Minute, 200*time.Millisecond, "%s", &last)
	return load
}

// A node whose seeds do not answer says which, to whoever asks it, and keeps trying.
func TestStatusNamesSilentSeeds(t *testing.T) {
	p := startProcesses(t, 1)
	addresses := p.free(3)
	dead, late := addresses[2], 1
	p.seeds, p.http, p.procs = append(p.seeds, addresses[0]), append(p.http, addresses[1]), append(p.procs, nil)
	p.knows = append(p.knows, dead)
	p.start(late)
	require.Eventually(t, func() bool {
		text, code := p.eraft(late, "status")
		return code == 0 && strings.Contains(text, "no reply from "+dead)
	}, 20*time.Second, 100*time.Millisecond)
	require.Eventually(t, func() bool {
		return strings.Contains(p.log(late), "no answer from ["+dead+"]; they must run, and reach this node at "+p.seeds[late])
	}, 20*time.Second, 100*time.Millisecond, "it may be its own address that is wrong")
}

// A fourth process joins with one seed, gets its share, is drained and forgotten, and all are restarted one after the other,
// while clients work: not one operation fails.
func TestNodesComeAndGoUnderLoad(t *testing.T) {
	p := startProcesses(t, 3)
	c, err := client.Connect(t.Context(), client.Config{Seeds: p.seeds[:3], Timeout: 25 * time.Second})
	require.NoError(t, err)
	defer func() { require.NoError(t, c.Close()) }()
	underLoad(t, p, func() {
		fourth := p.join(1) // it knows the dead one
		p.ready()
		require.Len(t, p.placed(c, 5), 4, "each node has its share")
		for i := range p.procs {
			p.stop(i)
			p.start(i)
			p.ready()
		}
		out, code := p.eraft(0, "drain", "n4", "--wait", "100s")
		require.Zero(t, code, out)
		require.Contains(t, out, "100 %, can be stopped")
		out, code = p.eraft(0, "remove", "n4")
		require.Equal(t, 4, code, out)
		require.Contains(t, out, "is alive")
		require.NotContains(t, p.placed(c, 5), uint64(4), "its group stays, elsewhere")
		p.stop(fourth)
		time.Sleep(4 * time.Second)
		out, code = p.eraft(0, "remove", "n4")
		require.Zero(t, code, out)
		p.start(fourth)
		require.Error(t, p.procs[fourth].Wait(), "its disk is of no use any more")
		p.procs[fourth] = nil
		require.Contains(t, p.log(fourth), "start it with an empty data directory")
		p.placed(c, 4)
		out, code = p.eraft(0, "rebalance", "--dry-run")
		require.Zero(t, code, out)
		require.Equal(t, "nothing to do", strings.TrimSpace(out))
	})
}

// A node that is given seeds of another cluster than its disk belongs to stays away from that one, and says what to do; also
// one that is a cluster of its own.
func TestDiskOfAnotherCluster(t *testing.T) {
	there := startProcesses(t, 1)
	for _, nodes := range []int{2, 1} {
		here := startProcesses(t, nodes)
		for i := range nodes {
			here.stop(i)
		}
		last := nodes - 1
		here.knows[last] = there.seeds[0]
		here.start(last)
		require.Eventually(t, func() bool {
			return strings.Contains(here.log(last), "belongs to cluster") && strings.Contains(here.log(last), "start with an empty data directory")
		}, 30*time.Second, 100*time.Millisecond, "a cluster of %d", nodes)
	}
	c, err := client.Connect(t.Context(), client.Config{Seeds: there.seeds})
	require.NoError(t, err)
	defer func() { require.NoError(t, c.Close()) }()
	config, err := c.Config(t.Context(), 0)
	require.NoError(t, err)
	require.Len(t, config.Nodes, 1)
}
