package actors_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/eraft-io/eraft/actors"
)

// An actor that is made anew at the same path does not draw what the one before has drawn: it names its questions by it.
func TestEachLifeOfAnActorDrawsItsOwnNumbers(t *testing.T) {
	source, again := actors.SeededRand(7), actors.SeededRand(7)
	drawn := map[uint64]bool{}
	for range 4 {
		for _, name := range []string{"migrator/1", "migrator/2"} {
			n := source(name).Uint64()
			require.False(t, drawn[n], name)
			require.Equal(t, n, again(name).Uint64(), "the same seed is the same run")
			drawn[n] = true
		}
	}
}
