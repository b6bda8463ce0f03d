package clustertest

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/eraft-io/eraft/actors/actortest"
	"github.com/eraft-io/eraft/cluster"
)

// birthTime is how long faults may disturb a birth, at most.
const birthTime = 12 * time.Second

// Birth lets the nodes of one seed found a cluster: seed lists are shuffled, partial, or name only others; a node that no
// list names may be there; disks take up to two seconds, processes stand still or lose power. One cluster must be founded,
// and all nodes must serve when the faults have ended. It gives what went wrong.
func Birth(t actortest.TB, seed uint64) []string {
	rng := rand.New(rand.NewPCG(seed, 22))
	named := 2 + rng.IntN(3)
	s := prepare(t, seed, Options{Nodes: named + rng.IntN(2), Groups: 1, Buckets: 4})
	net := actortest.Faults{Min: 100 * time.Microsecond, Max: time.Duration(1+rng.IntN(50)) * time.Millisecond}
	if rng.IntN(2) == 0 {
		net.Drop = 0.2 * rng.Float64()
	}
	s.Network().SetFaults(net)
	rng.Shuffle(len(s.Members), func(i, j int) { s.Members[i], s.Members[j] = s.Members[j], s.Members[i] })
	all := s.seeds()[:named]
	kind, expect, worst := rng.IntN(4), 2+rng.IntN(named-1), []time.Duration{time.Millisecond, 20 * time.Millisecond, 2 * time.Second}[rng.IntN(3)]
	for i, m := range s.Members {
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
		m := s.Members[rng.IntN(len(s.Members))]
		long := time.Duration(rng.Int64N(int64(8 * time.Second)))
		begin, end := m.Crash, m.Start
		if rng.IntN(2) == 0 {
			begin, end = m.at.Pause, m.at.Resume
		}
		s.At(time.Duration(rng.Int64N(int64(birthTime))), func() {
			begin()
			s.At(min(s.Now()+long, birthTime), end)
		})
	}
	s.until(func() bool { return s.Now() >= birthTime }, birthTime)
	s.Heal()
	if !s.until(s.Ready, healing) && len(s.Oracle.Violations) == 0 {
		for _, m := range s.Members {
			s.Oracle.violated("Liveness", "no cluster %v after the last fault: n%d, with seeds %v: %v", healing, m.number, m.seeds, m.Node.Failing())
		}
	}
	return s.Oracle.Violations
}

// seedList is what one node is told. Any two lists lead to a node in common.
func seedList(rng *rand.Rand, kind int, all []string, node int) []string {
	mixed := slices.Clone(all)
	rng.Shuffle(len(mixed), func(i, j int) { mixed[i], mixed[j] = mixed[j], mixed[i] })
	if node >= len(all) { // nobody names it
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
