package clustertest_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/eraft-io/eraft/cluster/clustertest"
	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/raftactor"
)

// An engine that is busy merging tables takes long to make the data durable. Nobody who writes waits for that: what is
// written meanwhile is many times what calls for a sync.
func TestSyncOfTheStateKeepsNobodyWaiting(t *testing.T) {
	for seed := range uint64(3) {
		s := clustertest.Sim(t, seed, clustertest.Options{Limits: raftactor.Limits{RetainBytes: 16 << 10}})
		require.True(t, s.RunUntil(s.Ready, time.Minute))
		for _, m := range s.Nodes {
			m.SlowSyncOfState(5 * time.Second)
		}
		c, value, worst, answered := s.Client("c"), strings.Repeat("x", 4<<10), time.Duration(0), 0
		var write func(client int)
		write = func(client int) {
			asked := s.Now()
			c.Ask(put(fmt.Sprint(client, "/", answered), value), time.Minute, func(r *messages.Reply) {
				require.Equal(t, messages.Code_OK, r.Code, r.Text)
				worst = max(worst, s.Now()-asked)
				answered++
				write(client)
			})
		}
		for client := range 8 {
			write(client)
		}
		require.True(t, s.RunUntil(func() bool { return answered > 2000 }, 5*time.Minute))
		require.Less(t, worst, 500*time.Millisecond)
	}
}

// A replica whose data is slow applies the last entries when its group is quiesced already. The node says so: it is ready.
func TestSlowReplicaSaysThatItHasCaughtUp(t *testing.T) {
	s := clustertest.Sim(t, 1, clustertest.Options{Groups: 1})
	require.True(t, s.RunUntil(s.Ready, time.Minute))
	slow := s.Nodes[0]
	if slow == shardLeader(s) {
		slow = s.Nodes[1]
	}
	slow.SlowApply(1, 20*time.Second)
	r, err := s.Client("c").Do(put("k", "v"))
	require.NoError(t, err)
	require.Equal(t, messages.Code_OK, r.Code)
	s.Advance(10 * time.Second)
	require.Less(t, replica(slow).Applied, replica(shardLeader(s)).Applied)
	slow.SlowApply(1, 0)
	s.Advance(40 * time.Second)
	require.Equal(t, replica(shardLeader(s)).Applied, replica(slow).Applied)
	require.True(t, slow.Node.Ready(), "%v", slow.Node.Failing())
}
