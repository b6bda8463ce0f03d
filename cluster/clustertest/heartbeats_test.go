package clustertest_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/eraft-io/eraft/actors/actortest"
	"github.com/eraft-io/eraft/cluster/clustertest"
	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/raftactor"
)

// TestHeartbeatsTravelTogether: what the groups that one node leads say to another node at a tick is one message, and so are
// the answers.
func TestHeartbeatsTravelTogether(t *testing.T) {
	s := clustertest.Sim(t, 1, clustertest.Options{
		Groups: 8, Limits: raftactor.Limits{QuiesceTicks: 1 << 30}, World: []actortest.Option{actortest.Schedule(actortest.FIFO)},
	})
	require.True(t, s.RunUntil(s.Ready, 30*time.Second))
	s.Advance(10 * time.Second) // leaders are where they are wanted

	type way struct {
		from, to string
		kind     messages.RaftKind
		at       time.Duration
	}
	beats, alone, sent := 0, 0, map[way]int{}
	s.Network().SetMessageFaults(func(e actortest.Envelope) actortest.Faults {
		m, ok := e.Message.(*messages.RaftMessages)
		if !ok {
			return actortest.Faults{}
		}
		if e.Target.Id == raftactor.HeartbeatCoalescerPath {
			beats += len(m.Messages)
			sent[way{e.From, e.To, m.Messages[0].Kind, s.Now()}]++
			return actortest.Faults{}
		}
		for _, r := range m.Messages {
			if r.Kind == messages.RaftKind_HEARTBEAT || r.Kind == messages.RaftKind_HEARTBEAT_REPLY {
				alone++
			}
		}
		return actortest.Faults{}
	})
	s.Advance(10 * time.Second)
	require.Zero(t, alone)
	for way, n := range sent {
		require.Equal(t, 1, n, "messages %v", way)
	}
	// Two followers of each of nine groups are asked ten times a second. Groups beat in one of two ticks, so that between two
	// nodes there are never more than two messages of either kind in that time.
	require.InDelta(t, 9*2*2*100, beats, 9*2*2)
	require.LessOrEqual(t, len(sent), 6*2*2*100)
}
