package main

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The table must stay true to the code also where nobody has the time to run all of it.
func TestEveryMutantCanBePlanted(t *testing.T) {
	seen := map[string]bool{}
	for _, m := range mutants {
		_, err := m.plant("../..")
		assert.NoError(t, err)
		require.NotEqual(t, m.old, m.new, m.fault)
		require.False(t, seen[m.fault], "%s: twice", m.fault)
		seen[m.fault] = true
	}
}

func TestReadsWhatTheSimulatorSays(t *testing.T) {
	caught := read("seed 17 broke a rule; looking for the smallest plan that does\n3 seeds (1..17), 0.1 hours\n" +
		"12.3s: Election Safety: nodes 1 and 2 lead group 0 in term 3\n")
	require.Equal(t, "Election Safety", caught.rule)
	require.Equal(t, "17", caught.seed)
	require.Equal(t, "Time passes", read("seed 2 broke a rule\nat 1.5s: Time passes: 100 steps without it\n").rule)
	require.Equal(t, verdict{held: 2000}, read("2000 seeds (1..2000), 11 hours simulated\nviolations: 0\n"))
}
