package clustertest_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"

	"github.com/eraft-io/eraft/cluster/clustertest"
	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/raftactor"
)

// An actor that panics comes back, or its node stops and says why. What must not be is a node that seems to be well and does
// only part of its work.
func TestNodeWithAFailedActorStopsOrServes(t *testing.T) {
	for path, poison := range map[string]any{
		raftactor.TickerPath:              (*messages.NodeHeartbeat)(nil),
		raftactor.HeartbeatCoalescerPath:  (*messages.RaftMessages)(nil),
		"router":                          (*messages.ConfigPush)(nil),
		"member":                          (*messages.JoinRequest)(nil),
		raftactor.PeerPath(1):             (*messages.Requests)(nil),
		"persistence/log":                 (*messages.Requests)(nil), // takes no harm
		raftactor.SnapshotPath(1) + "/no": (*messages.Requests)(nil), // is not there
	} {
		t.Run(path, func(t *testing.T) {
			s := startCluster(t, 11, clustertest.Options{Groups: 1})
			sick := leader(t, s, 1)
			s.Oracle.Expect(func(m *clustertest.SimNode, err error) bool { return m == sick })
			sick.Machine().System().Root.Send(actor.NewPID(sick.Machine().Address(), path), poison)
			s.RunUntil(func() bool { return false }, time.Second)
			if sick.Node == nil {
				require.ErrorContains(t, sick.Failure, fmt.Sprintf("actor %s failed", path))
				sick.Start()
			}
			// Without the others this node must be able to do all that a node does: it leads, and is led by them.
			settled(t, s)
			c := s.Client("c")
			for _, m := range s.Nodes {
				if m != sick {
					m.Crash()
					require.NoError(t, write(s, c))
					m.Start()
					settled(t, s)
				}
			}
			for _, violation := range s.Oracle.Violations {
				require.Contains(t, violation, "No actor fails")
			}
		})
	}
}

func write(s *clustertest.Simulation, c *clustertest.Client) error {
	_, err := c.Do(&messages.Put{Key: []byte("k"), Value: []byte("v")})
	return err
}
