package clustertest

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/eraft-io/eraft/actors/actortest"
	"github.com/eraft-io/eraft/cluster"
)

// bootstrapFaultTime is when the faults of a bootstrap run end, in virtual time.
const bootstrapFaultTime = 12 * time.Second

// RunBootstrap lets nodes bootstrap a cluster under the faults of one seed: seed lists are shuffled or partial, or name only other
// nodes; a further node may be in no list; writes take up to two seconds; processes pause or lose power. Exactly one cluster must be
// bootstrapped, and all nodes must be ready after the faults have ended. It returns the violations.
func RunBootstrap(t actortest.TB, seed uint64) []string {
	rng := rand.New(rand.NewPCG(seed, 22))
	named := 2 + rng.IntN(3)
	s := newSimulation(t, seed, Options{Nodes: named + rng.IntN(2), Groups: 1, Buckets: 4})
	net := actortest.Faults{Min: 100 * time.Microsecond, Max: time.Duration(1+rng.IntN(50)) * time.Millisecond}
	if rng.IntN(2) == 0 {
		net.Drop = 0.2 * rng.Float64()
	}
	s.Network().SetFaults(net)
	rng.Shuffle(len(s.Nodes), func(i, j int) { s.Nodes[i], s.Nodes[j] = s.Nodes[j], s.Nodes[i] })
	all := s.seeds()[:named]
	kind, expect, worst := rng.IntN(4), 2+rng.IntN(named-1), []time.Duration{time.Millisecond, 20 * time.Millisecond, 2 * time.Second}[rng.IntN(3)]
	for i, m := range s.Nodes {
		m.seeds = seedList(rng, kind, all, i)
		if i < named {
			m.configure = append(m.configure, func(c *cluster.Config) { c.Expect = expect })
		}
		if rng.IntN(2) == 0 {
			m.slow(func() time.Duration { return time.Duration(rng.Int64N(int64(worst))) })
		}
		s.At(time.Duration(rng.Int64N(int64(4*time.Second))), m.Start)
	}
	for range rng.IntN(5) {
		m := s.Nodes[rng.IntN(len(s.Nodes))]
		long := time.Duration(rng.Int64N(int64(8 * time.Second)))
		begin, end := m.Crash, m.Start
		if rng.IntN(2) == 0 {
			begin, end = m.machine.Pause, m.machine.Resume
		}
		s.At(time.Duration(rng.Int64N(int64(bootstrapFaultTime))), func() {
			begin()
			s.At(min(s.Now()+long, bootstrapFaultTime), end)
		})
	}
	s.runUntil(func() bool { return s.Now() >= bootstrapFaultTime }, bootstrapFaultTime)
	s.Heal()
	if !s.runUntil(s.Ready, healTime) && len(s.Oracle.Violations) == 0 {
		for _, m := range s.Nodes {
			s.Oracle.violated("Liveness", "no cluster %v after the last fault: n%d, with seeds %v: %v", healTime, m.number, m.seeds, m.Node.Failing())
		}
	}
	return s.Oracle.Violations
}

// seedList returns the seeds of one node. Any two lists have a node in common, directly or by the nodes that they name.
func seedList(rng *rand.Rand, kind int, all []string, node int) []string {
	mixed := slices.Clone(all)
	rng.Shuffle(len(mixed), func(i, j int) { mixed[i], mixed[j] = mixed[j], mixed[i] })
	if node >= len(all) { // no list names this node
		return mixed
	}
	switch kind {
	case 0:
		return slices.DeleteFunc(mixed, func(a string) bool { return a == all[node] })
	case 1:
		return []string{all[node], all[(node+1)%len(all)]}
	case 2:
		return slices.Compact([]string{all[0], all[node]})
	}
	return mixed
}
