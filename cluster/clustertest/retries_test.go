package clustertest_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/eraft-io/eraft/actors/actortest"
	"github.com/eraft-io/eraft/cluster/clustertest"
	"github.com/eraft-io/eraft/messages"
)

// The answer of a config command is lost, and its session asks again: it hears that it was done, not that it makes no sense any
// more.
func TestRetriedConfigCommandsAreDone(t *testing.T) {
	for _, command := range []func(version uint64) *messages.MetaCommand{
		func(uint64) *messages.MetaCommand { return join(9, 1, 2, 3) },
		func(version uint64) *messages.MetaCommand { return at(version, pause()) },
	} {
		s := startCluster(t, 1, clustertest.Options{Groups: 2})
		placed(t, s)
		c := s.Client("c")
		version, lost := newestConfig(t, c).Version, 0
		s.Network().SetMessageFaults(func(e actortest.Envelope) (f actortest.Faults) {
			m, answer := e.Message.(*messages.Replies)
			if answer && e.To == "c:1" && lost == 0 && m.FromGroup == 0 && m.Replies[0].GetMeta().GetConfig().GetVersion() > version {
				lost++
				f.Drop = 1
			}
			return f
		})
		_, err := c.Do(command(version))
		require.NoError(t, err)
		require.Equal(t, 1, lost)
		require.Empty(t, s.Oracle.Violations)
	}
}
