package clustertest_test

import (
	"flag"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/eraft-io/eraft/cluster/clustertest"
	"github.com/eraft-io/eraft/messages"
)

func put(key, value string) *messages.Put {
	return &messages.Put{Key: []byte(key), Value: []byte(value)}
}

// A cluster is bootstrapped, serves, loses power at all nodes at once, and has everything that it acknowledged.
func TestSimKeepsWhatItAcknowledged(t *testing.T) {
	s := clustertest.Sim(t, 1, clustertest.Options{})
	require.True(t, s.RunUntil(s.Ready, time.Minute))
	c := s.Client("c")
	for i := range 50 {
		_, err := c.Do(put(fmt.Sprint("k", i), fmt.Sprint(i)))
		require.NoError(t, err)
	}
	for _, m := range s.Nodes {
		m.Crash()
	}
	for _, m := range s.Nodes {
		m.Start()
	}
	for i := range 50 {
		r, err := c.Do(&messages.Get{Key: fmt.Appendf(nil, "k%d", i)})
		require.NoError(t, err)
		require.Equal(t, fmt.Sprint(i), string(r.Value))
	}
	require.Empty(t, s.Oracle.Violations)
	t.Logf("%v of virtual time, %d steps, %d elections, %d applied", s.Now(), s.Steps(), s.Oracle.Elections, s.Oracle.Applied)
}

var seeds = flag.Int("seeds", 25, "seeds of TestSwarm")

// Whatever a swarm of faults does, no rule is broken, and everything heals.
func TestSwarm(t *testing.T) {
	simulated, began := time.Duration(0), time.Now()
	for seed := range uint64(*seeds) {
		r := clustertest.RunStandalone(seed+1, clustertest.Plan{})
		require.Empty(t, r.Violations, "replay with: eraft sim --seeds %d", seed+1)
		require.Positive(t, r.Operations, "seed %d judged nothing", seed+1)
		simulated += r.Simulated
	}
	t.Logf("%v of virtual time, %.0f times real time", simulated, simulated.Seconds()/time.Since(began).Seconds())
}

// The same seed is the same run, to the last byte that travels.
func TestOneSeedOneRun(t *testing.T) {
	hashes := map[uint64]bool{}
	for seed := range uint64(5) {
		first, again := clustertest.RunStandalone(seed+1, clustertest.Plan{}), clustertest.RunStandalone(seed+1, clustertest.Plan{})
		require.Equal(t, first.Hash, again.Hash, "seed %d", seed+1)
		require.Equal(t, first.Steps, again.Steps)
		hashes[first.Hash] = true
	}
	require.Len(t, hashes, 5, "another seed is another run")
}
