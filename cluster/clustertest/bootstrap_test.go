package clustertest_test

import (
	"flag"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/eraft-io/eraft/cluster/clustertest"
	"github.com/eraft-io/eraft/persistence"
)

var (
	bootstraps     = flag.Int("bootstraps", 60, "how many bootstraps are simulated")
	firstBootstrap = flag.Uint64("bootstrap", 1, "the first seed")
)

// However seed lists overlap, and whichever nodes are slow, pause or restart, one cluster is bootstrapped, and all nodes join it.
func TestBootstraps(t *testing.T) {
	for seed := *firstBootstrap; seed < *firstBootstrap+uint64(*bootstraps); seed++ {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { // which lets go of its World when it ends
			require.Empty(t, clustertest.RunBootstrap(t, seed), "seed %d", seed)
		})
	}
}

// A node that loses power in the moment in which it is admitted finds its cluster again, even if its seeds lead nowhere.
func TestAdmissionAndPowerLoss(t *testing.T) {
	s := startCluster(t, 730, clustertest.Options{Groups: 1})
	_, err := s.Client("admin").Do(pause()) // nothing changes any more that others would tell it
	require.NoError(t, err)
	m := s.Join(s.Nodes[0])
	require.True(t, s.RunUntil(func() bool {
		log, _ := m.Disks()
		id, _, err := persistence.LoadIdentity(log.Synced())
		return err == nil && id.Node != 0
	}, time.Minute))
	m.Crash()
	m.Seeds(m)
	m.Start()
	require.True(t, s.RunUntil(s.Ready, time.Minute), "%v", m.Node.Failing())
	require.Empty(t, s.Oracle.Violations)
}
