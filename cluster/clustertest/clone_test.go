package clustertest_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/eraft-io/eraft/cluster"
	"github.com/eraft-io/eraft/cluster/clustertest"
)

// A directory that was copied to another machine, and is used on both, has one holder a moment later: of two boots one is
// always the later one. The other one stops and says why. Nobody else notices.
func TestOneHolderOfAnIdentity(t *testing.T) {
	for seed := range uint64(8) {
		for _, later := range []time.Duration{0, 20 * time.Second} {
			t.Run(fmt.Sprint(seed, later), func(t *testing.T) {
				s := startCluster(t, 70+seed, clustertest.Options{Groups: 1})
				client := s.Client("c")
				_, err := client.Do(put("before", "v"))
				require.NoError(t, err)
				s.Advance(2 * time.Second)
				old := s.Nodes[int(seed)%len(s.Nodes)]
				old.Kill()
				copied := old.Copy()
				var twin *clustertest.SimNode
				s.Oracle.Expect(func(m *clustertest.SimNode, _ error) bool { return m == old || m == twin })
				old.Start() // both start from the same disks, so no count of boots tells them apart
				s.Advance(later)
				twin = s.StartClone(old, copied)
				require.True(t, s.RunUntil(func() bool { return old.Failure != nil || twin.Failure != nil }, 20*time.Second), "both go on")
				stopped, holder := old, twin
				if old.Failure == nil {
					stopped, holder = twin, old
				}
				require.ErrorIs(t, stopped.Failure, cluster.ErrOlderCopy)
				s.RunUntil(func() bool { return holder.Failure != nil }, 10*time.Second)
				if holder.Failure != nil { // on an older copy: a leader remembers what it lacks. Each may lack what the other acknowledged
					require.ErrorContains(t, holder.Failure, "this replica has acknowledged entries up to")
					require.Equal(t, twin, holder)
					stopped, holder = twin, old
					old.Wipe() // as the sentence says
					old.Start()
				}
				s.Remove(stopped)
				require.True(t, s.RunUntil(s.Ready, time.Minute))
				_, err = client.Do(put("after", "v"))
				require.NoError(t, err)
				s.Advance(10 * time.Second)
				require.NoError(t, holder.Failure)
				require.Empty(t, s.Oracle.Violations)
			})
		}
	}
}
