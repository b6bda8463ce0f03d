package raft

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/messages"
)

func confEntry(t *testing.T, kind messages.ConfChange_Kind, node uint64) *messages.Entry {
	t.Helper()
	body, err := proto.Marshal(&messages.ConfChange{Kind: kind, Node: node})
	require.NoError(t, err)
	return &messages.Entry{Index: 1, Term: 1, Kind: messages.EntryKind_CONF_CHANGE, Data: body}
}

// TestElectionTimeouts (thesis 3.4): every wait is drawn anew, evenly from [T, 2T), for followers and for those whose
// election came to nothing.
func TestElectionTimeouts(t *testing.T) {
	const rounds = 10000
	cfg := testConfig(1)
	c, err := New(cfg, Boot{Snapshot: birth(1, 1, 1, 2, 3), Applied: 1})
	require.NoError(t, err)
	carryFast(c) // its term goes to disk
	seen := map[int]int{}
	for range rounds {
		waited := 0
		for some := false; !some; waited++ {
			c.Tick()
			_, some = c.Ready()
		}
		seen[waited]++
	}
	require.Len(t, seen, cfg.ElectionTicks)
	for waited, times := range seen {
		require.GreaterOrEqual(t, waited, cfg.ElectionTicks)
		require.Less(t, waited, 2*cfg.ElectionTicks)
		require.InDelta(t, rounds/cfg.ElectionTicks, times, 150, "%d ticks", waited) // five standard deviations
	}
}

// TestSplitVotesAreRare (thesis 3.4 and 9.3): five replicas lose their leader at the same moment. The first of ten possible
// ticks belongs to one of them alone in 77 of 100 cases; so it should seldom take more than one term, and never many.
func TestSplitVotesAreRare(t *testing.T) {
	const trials = 1000
	second, worst := 0, uint64(0)
	for trial := range uint64(trials) {
		terms := electFive(t, rand.New(rand.NewPCG(trial, 3)))
		if terms > 1 {
			second++
		}
		worst = max(worst, terms)
	}
	require.Less(t, second, trials/4)
	require.LessOrEqual(t, worst, uint64(5))
}

// electFive tells in which term a fresh group of five gets its first leader. Messages take a tick and come in any order.
func electFive(t *testing.T, rng *rand.Rand) uint64 {
	var cores []*Core
	for id := uint64(1); id <= 5; id++ {
		cfg := testConfig(id)
		cfg.Rand = rng
		c, err := New(cfg, Boot{Snapshot: &messages.SnapshotMeta{Conf: &messages.ConfState{Voters: []uint64{1, 2, 3, 4, 5}}}})
		require.NoError(t, err)
		cores = append(cores, c)
	}
	var wire []*messages.RaftMessage
	for range 1000 {
		now := wire
		wire = nil
		rng.Shuffle(len(now), func(i, j int) { now[i], now[j] = now[j], now[i] })
		for _, m := range now {
			_ = cores[m.To-1].Step(m)
			wire = append(wire, carryFast(cores[m.To-1])...)
		}
		for _, c := range cores {
			c.Tick()
			wire = append(wire, carryFast(c)...)
			if c.role == Leader {
				return c.term
			}
		}
	}
	t.Fatal("nobody was elected")
	return 0
}

// carryFast does what a core asks for, with a disk that takes no time.
func carryFast(c *Core) (sent []*messages.RaftMessage) {
	for {
		r, ok := c.Ready()
		if !ok {
			return sent
		}
		sent = append(sent, r.Send...)
		if r.Persist != nil {
			c.Persisted(r.Persist.Seq)
			sent = append(sent, r.Persist.After...)
		}
	}
}
