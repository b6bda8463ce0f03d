package clustertest_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/eraft-io/eraft/cluster/clustertest"
	"github.com/eraft-io/eraft/messages"
)

// The config chain says when a version was made, and by whom, also after the cluster has been idle, or stopped, for long.
func TestConfigLogTellsWhenAndWho(t *testing.T) {
	for _, nodes := range []int{1, 3} {
		s := startCluster(t, 31, clustertest.Options{Nodes: nodes, Groups: 1})
		timed(t, s)
		change := func(what string, placement messages.Placement) {
			c := s.Client(what)
			_, err := c.Do(&messages.MetaQuery{Op: &messages.MetaQuery_Show{}}) // a session must have heard of the level
			require.NoError(t, err)
			r, err := c.Do(&messages.MetaCommand{
				RequestedBy: what, Op: &messages.MetaCommand_SetPlacement{SetPlacement: &messages.SetPlacement{Placement: placement}},
			})
			require.NoError(t, err)
			config := r.Meta.Config
			require.Equal(t, what, config.RequestedBy)
			require.InDelta(t, s.Nodes[0].Machine().Clock().Wall().UnixMilli(), config.TimeMs, 2000, "%s, %d nodes", what, nodes)
		}
		change("at once", messages.Placement_PAUSED)
		s.Advance(10 * time.Minute)
		change("after a rest", messages.Placement_AUTOMATIC)
		s.Advance(100 * time.Second)
		for _, m := range s.Nodes {
			m.Kill()
		}
		s.Advance(98 * time.Second)
		for _, m := range s.Nodes {
			m.Start()
		}
		settled(t, s)
		change("after a restart", messages.Placement_PAUSED)
		require.Empty(t, s.Oracle.Violations)
	}
}

// Where a node does not know of authors a change is made without one: it is for people only.
func TestNoAuthorsBelowTheirLevel(t *testing.T) {
	s := startCluster(t, 32, clustertest.Options{Groups: 1, Level: func(int) messages.Level { return messages.FirstLevel }})
	r, err := s.Client("c").Do(&messages.MetaCommand{
		RequestedBy: "somebody", Op: &messages.MetaCommand_SetPlacement{SetPlacement: &messages.SetPlacement{Placement: messages.Placement_PAUSED}},
	})
	require.NoError(t, err)
	require.Empty(t, r.Meta.Config.RequestedBy)
	require.Empty(t, s.Oracle.Violations)
}
