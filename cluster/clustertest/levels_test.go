package clustertest_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/cluster"
	"github.com/eraft-io/eraft/cluster/clustertest"
	"github.com/eraft-io/eraft/messages"
)

// oldNodes is a cluster whose nodes all run a program of the first feature level.
func oldNodes(t *testing.T, seed uint64) *clustertest.Simulation {
	s := clustertest.Sim(t, seed, clustertest.Options{Groups: 2, Level: func(int) messages.Level { return messages.FirstLevel }})
	require.True(t, s.RunUntil(s.Ready, time.Minute))
	return s
}

// upgrade restarts a node with a program of a level, and waits until all serve.
func upgrade(t *testing.T, s *clustertest.Simulation, m *clustertest.SimNode, level messages.Level) {
	t.Helper()
	m.Kill()
	m.Level = level
	m.Start()
	require.NoError(t, m.Failure)
	require.True(t, s.RunUntil(s.Ready, time.Minute))
}

type levels struct {
	Cluster, Node uint32
	Waiting       []string
}

func levelOf(t *testing.T, m *clustertest.SimNode) levels {
	t.Helper()
	var doc struct{ Level levels }
	require.NoError(t, json.Unmarshal(m.Node.Status(), &doc))
	return doc.Level
}

// A cluster that is upgraded node after node serves all the time, and has the new level when the last one has it, not before.
func TestRollingUpgradeRaisesTheLevel(t *testing.T) {
	s := oldNodes(t, 1)
	c := s.Client("c")
	work := func(round int) {
		_, err := c.Do(put(fmt.Sprint("k", round), "v"))
		require.NoError(t, err)
	}
	for i, m := range s.Nodes {
		work(i)
		s.RunUntil(func() bool { return false }, 10*time.Second)
		for _, other := range s.Nodes {
			require.EqualValues(t, messages.FirstLevel, levelOf(t, other).Cluster, "not all nodes have more")
		}
		upgrade(t, s, m, messages.NewestLevel)
	}
	require.True(t, s.RunUntil(func() bool {
		for _, m := range s.Nodes {
			if levelOf(t, m).Cluster != uint32(messages.NewestLevel) {
				return false
			}
		}
		return true
	}, 10*time.Second))
	work(len(s.Nodes))
	for i := range len(s.Nodes) + 1 {
		r, err := c.Do(&messages.Get{Key: fmt.Appendf(nil, "k%d", i)})
		require.NoError(t, err)
		require.True(t, r.Found)
	}
	require.Empty(t, s.Oracle.Violations)
}

// The status says for whom a higher level waits.
func TestStatusTellsWhoHoldsTheLevelBack(t *testing.T) {
	s := oldNodes(t, 2)
	upgrade(t, s, s.Nodes[0], messages.NewestLevel)
	upgrade(t, s, s.Nodes[1], messages.NewestLevel)
	require.Equal(t, levels{1, uint32(messages.NewestLevel), []string{"n3 has 1"}}, levelOf(t, s.Nodes[0]))
	s.Nodes[2].Kill()
	s.RunUntil(func() bool { return false }, 5*time.Second)
	require.Equal(t, levels{1, uint32(messages.NewestLevel), []string{"n3 is not heard"}}, levelOf(t, s.Nodes[0]))
	require.Empty(t, s.Oracle.Violations)
}

// As long as a node has not been upgraded those that were can go back.
func TestUpgradeCanBeTakenBackBeforeTheLastNode(t *testing.T) {
	s := oldNodes(t, 3)
	upgrade(t, s, s.Nodes[0], messages.NewestLevel)
	upgrade(t, s, s.Nodes[1], messages.NewestLevel)
	s.RunUntil(func() bool { return false }, 10*time.Second)
	upgrade(t, s, s.Nodes[0], messages.FirstLevel)
	upgrade(t, s, s.Nodes[1], messages.FirstLevel)
	_, err := s.Client("c").Do(put("k", "v"))
	require.NoError(t, err)
	require.Empty(t, s.Oracle.Violations)
}

// A node that has pledged a level does not start with a program below it, not even before the level is committed: it may be
// so by the time the node has read the log. The directory stays as it is.
func TestLateDowngradeIsRefused(t *testing.T) {
	for _, pledged := range []bool{true, false} {
		s := oldNodes(t, 4)
		s.Oracle.Expect(func(_ *clustertest.SimNode, err error) bool {
			return strings.Contains(err.Error(), cluster.ErrLevel.Error())
		})
		upgrade(t, s, s.Nodes[0], messages.NewestLevel)
		upgrade(t, s, s.Nodes[1], messages.NewestLevel)
		last := s.Nodes[2]
		last.Kill()
		last.Level = messages.NewestLevel
		last.Start()
		require.True(t, s.RunUntil(func() bool {
			if pledged {
				return last.Pledged() == messages.NewestLevel
			}
			return levelOf(t, last).Cluster == uint32(messages.NewestLevel)
		}, time.Minute))
		for _, m := range s.Nodes {
			if pledged && m.Node != nil {
				require.EqualValues(t, messages.FirstLevel, levelOf(t, m).Cluster, "this shows nothing: it is committed already")
			}
		}
		last.Kill()
		last.Level = messages.FirstLevel
		last.Start()
		require.ErrorIs(t, last.Failure, cluster.ErrLevel)
		require.ErrorContains(t, last.Failure, "this eraft has feature level 1, but its cluster needs 2, and never goes back: start the eraft that ran here before, or a newer one")
		last.Level = 0
		last.Start()
		require.NoError(t, last.Failure)
		require.True(t, s.RunUntil(func() bool { return s.Ready() && levelOf(t, last).Cluster == uint32(messages.NewestLevel) }, time.Minute))
		require.Empty(t, s.Oracle.Violations)
	}
}

// A node of an older program that wants to join says why it may not, and joins when it is started with a newer one.
func TestOldProgramDoesNotJoin(t *testing.T) {
	s := clustertest.Sim(t, 5, clustertest.Options{Groups: 2})
	require.True(t, s.RunUntil(func() bool {
		return s.Ready() && levelOf(t, s.Nodes[0]).Cluster == uint32(messages.NewestLevel)
	}, time.Minute))
	m := s.Join(s.Nodes[0])
	m.Kill() // before it has asked anybody
	m.Level = messages.FirstLevel
	m.Start()
	const says = "this node's eraft has feature level 1, but the cluster has 2, and never goes back: start it with a newer eraft"
	require.True(t, s.RunUntil(func() bool { return strings.Contains(strings.Join(m.Node.Failing(), "; "), says) }, time.Minute))
	upgrade(t, s, m, messages.NewestLevel)
	require.Empty(t, s.Oracle.Violations)
}

// Nobody raises the level but with the word of every node, and what no node knows enters no log.
func TestWhatIsAboveTheLevelIsRefused(t *testing.T) {
	s := oldNodes(t, 6)
	upgrade(t, s, s.Nodes[0], messages.NewestLevel)
	upgrade(t, s, s.Nodes[1], messages.NewestLevel)
	c := s.Client("c")
	r, err := c.Do(&messages.MetaQuery{Op: &messages.MetaQuery_Show{}})
	require.NoError(t, err)
	version := r.GetMeta().GetConfig().GetVersion()
	_, err = s.Nodes[0].Gateway().Do(&messages.MetaCommand{IfVersion: version, Op: &messages.MetaCommand_RaiseLevel{RaiseLevel: &messages.RaiseLevel{Level: 2}}})
	require.Equal(t, messages.Code_CONFLICT, messages.CodeOf(err), "%v", err)
	require.Regexp(t, `node \d \(n\d\) has pledged feature level 1, not 2`, err.Error())

	// A client that knows more than the cluster: the leader refuses what it sends, and it is in no log.
	x := s.RawClient("x")
	dated, err := proto.Marshal(&messages.Command{DeadlineMs: uint64(s.Nodes[0].Machine().Clock().Wall().UnixMilli()) + 30_000, Op: &messages.Command_Put{Put: put("dated", "v")}})
	require.NoError(t, err)
	needs, err := messages.CommandLevel(dated)
	require.NoError(t, err)
	require.EqualValues(t, 2, needs)
	for _, m := range s.Nodes {
		for _, group := range []messages.GroupID{1, 2} {
			x.Send(m, group, dated)
		}
	}
	s.Advance(5 * time.Second)
	r, err = c.Do(&messages.Get{Key: []byte("dated")})
	require.NoError(t, err)
	require.False(t, r.Found)

	strange := put("k", "v")
	strange.ProtoReflect().SetUnknown(protowire.AppendVarint(protowire.AppendTag(nil, 90, protowire.VarintType), 1))
	_, err = c.Do(strange)
	require.Equal(t, messages.Code_INVALID, messages.CodeOf(err), "%v", err)
	require.ErrorContains(t, err, "field 90 of eraft.Put is not known here: a newer eraft made it")
	require.Empty(t, s.Oracle.Violations)
}
