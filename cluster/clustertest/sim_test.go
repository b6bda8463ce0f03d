package clustertest_test

import (
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

// A cluster is born, serves, loses all power at once, and has everything that it acknowledged.
func TestSimKeepsWhatItAcknowledged(t *testing.T) {
	s := clustertest.Sim(t, 1, clustertest.Options{})
	require.True(t, s.RunUntil(s.Ready, time.Minute))
	c := s.Client("c")
	for i := range 50 {
		_, err := c.Do(put(fmt.Sprint("k", i), fmt.Sprint(i)))
		require.NoError(t, err)
	}
	for _, m := range s.Members {
		m.Crash()
	}
	for _, m := range s.Members {
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

func TestSwarm(t *testing.T) {
	for seed := range uint64(10) {
		r := clustertest.Run(t, seed+1, clustertest.Plan{})
		require.Empty(t, r.Violations, "seed %d", seed+1)
		t.Logf("%+v", r)
	}
}
