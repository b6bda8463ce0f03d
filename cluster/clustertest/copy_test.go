package clustertest_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/eraft-io/eraft/cluster"
	"github.com/eraft-io/eraft/cluster/clustertest"
)

// A node that comes back with an older copy of its disks is noticed by who remembers it, and stops; the others never do. The leader
// that it had remembers what it acknowledged, and every other node in which boot it was.
func TestOlderCopyOfADirectory(t *testing.T) {
	for _, c := range []struct {
		name  string
		boots int // since the copy was made
	}{{"of this boot", 0}, {"of an earlier boot", 2}} {
		t.Run(c.name, func(t *testing.T) {
			s := startCluster(t, 7, clustertest.Options{Groups: 1})
			client := s.Client("c")
			var old *clustertest.SimNode
			for _, m := range s.Nodes {
				if m != leader(t, s, 1) && m != leader(t, s, 0) {
					old = m
				}
			}
			fill := func(what string) {
				for i := range 30 {
					_, err := client.Do(put(fmt.Sprint(what, i), "v"))
					require.NoError(t, err)
				}
				s.Advance(2 * time.Second)
			}
			fill("before")
			old.Kill()
			copied := old.Copy()
			for range 1 + c.boots {
				old.Start()
				settled(t, s)
				fill("since")
				old.Kill()
			}
			if c.boots > 0 { // leaders that do not remember
				for _, group := range []uint64{0, 1} {
					l := leader(t, s, group)
					l.Kill()
					l.Start()
					fill("meanwhile")
				}
			}
			old.Restore(copied)
			s.Oracle.Expect(func(m *clustertest.SimNode, _ error) bool { return m == old })
			old.Start()
			require.True(t, s.RunUntil(func() bool { return old.Failure != nil }, 20*time.Second))
			require.ErrorContains(t, old.Failure, "joins as a new one")
			if !errors.Is(old.Failure, cluster.ErrOlderCopy) { // with as many boots, which is the later one is drawn
				require.Zero(t, c.boots)
				require.ErrorContains(t, old.Failure, "this replica has acknowledged entries up to")
			}
			require.Empty(t, s.Oracle.Violations)
			for _, m := range s.Nodes {
				require.Equal(t, m == old, m.Node == nil)
			}
			fill("after")

			// As it says: with an empty directory it joins again, in its own place.
			old.Wipe()
			old.Start()
			require.True(t, s.RunUntil(s.Ready, time.Minute))
			require.Empty(t, s.Oracle.Violations)
		})
	}
}
