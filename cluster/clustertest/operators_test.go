package clustertest_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/eraft-io/eraft/cluster"
	"github.com/eraft-io/eraft/cluster/clustertest"
	"github.com/eraft-io/eraft/messages"
)

func leave(group uint64) *messages.MetaCommand {
	return &messages.MetaCommand{Op: &messages.MetaCommand_Leave{Leave: &messages.LeaveGroup{Group: group}}}
}

func join(group uint64, nodes ...uint64) *messages.MetaCommand {
	return &messages.MetaCommand{Op: &messages.MetaCommand_Join{Join: &messages.JoinGroups{
		Groups: []*messages.NewGroup{{Group: group, Nodes: nodes}},
	}}}
}

func rebalance() *messages.MetaCommand {
	return &messages.MetaCommand{Op: &messages.MetaCommand_Rebalance{Rebalance: &messages.Rebalance{}}}
}

func pause() *messages.MetaCommand {
	return &messages.MetaCommand{Op: &messages.MetaCommand_SetPlacement{
		SetPlacement: &messages.SetPlacement{Placement: messages.Placement_PAUSED},
	}}
}

func drain(node uint64) *messages.MetaCommand { return setNode(node, messages.NodeState_DRAINING) }

// at has a command refused unless the config is at a version.
func at(version uint64, c *messages.MetaCommand) *messages.MetaCommand {
	c.IfVersion = version
	return c
}

// twoOperators is a cluster with paused placement and two operators. Its bucket `full` of group 1 takes long to migrate.
type twoOperators struct {
	s           *clustertest.Simulation
	operators   [2]*clustertest.Client
	full, empty uint32
}

func newTwoOperators(t *testing.T, seed uint64, before ...*messages.MetaCommand) twoOperators {
	s := startCluster(t, seed, clustertest.Options{Groups: 3, Migration: cluster.MigrationLimits{ChunkBytes: 100, BytesPerSecond: 200}})
	x := twoOperators{s: s, operators: [...]*clustertest.Client{s.Client("one"), s.Client("other")}}
	owners := status(t, s.Nodes[0]).Buckets.Owners
	for tag := 0; ; tag++ {
		key := fmt.Sprintf("{%d}", tag)
		if x.full = uint32(messages.BucketOf([]byte(key), len(owners))); owners[x.full] == 1 {
			for i := range 40 {
				_, err := x.operators[0].Do(put(fmt.Sprint(key, i), strings.Repeat("v", 50)))
				require.NoError(t, err)
			}
			break
		}
	}
	x.empty = uint32(slices.Index(owners, 2))
	for _, c := range append([]*messages.MetaCommand{pause()}, before...) {
		_, err := x.operators[0].Do(c)
		require.NoError(t, err)
		settled(t, s)
	}
	return x
}

// Two operators want something in the same moment. What does not conflict is done, both; of what does, one, and the other is
// told why and what to do. The chain of configs has what was done, once, and nothing else.
func TestTwoOperatorsAtOnce(t *testing.T) {
	type both = [2]*messages.MetaCommand
	for i, c := range []struct {
		name     string
		before   []*messages.MetaCommand
		ask      func(x twoOperators, version uint64) both
		versions uint64   // that are made
		says     []string // to who is refused, one of these; none: nobody is
	}{
		{"one bucket to two groups", nil, func(x twoOperators, _ uint64) both {
			return both{move(x.full, x.full, 2), move(x.full, x.full, 3)}
		}, 1, []string{"try again when it has arrived, or call it back to group 1"}},
		{"a bucket to a group that leaves", nil, func(x twoOperators, _ uint64) both {
			return both{move(x.full, x.full, 2), leave(2)}
		}, 1, []string{"try again when it has arrived, or call it back to group 1", "group 2 is no shard group of this cluster: they are [1 3]"}},
		{"the last two groups leave", []*messages.MetaCommand{leave(3)}, func(twoOperators, uint64) both {
			return both{leave(1), leave(2)}
		}, 1, []string{"is the last one"}},
		{"the last two nodes are drained", []*messages.MetaCommand{drain(1)}, func(twoOperators, uint64) both {
			return both{drain(2), drain(3)}
		}, 1, []string{"is the last one that can have data: let another node join first"}},
		{"one new group, twice", nil, func(twoOperators, uint64) both {
			return both{join(9, 1, 2), join(9, 2, 3)}
		}, 1, []string{"group 9 exists already: choose a new number"}},
		{"both have looked at the same config", nil, func(x twoOperators, version uint64) both {
			return both{at(version, drain(2)), at(version, move(x.full, x.full, 2))}
		}, 1, []string{"look again at what you want to change"}},
		{"one drain, twice", nil, func(twoOperators, uint64) both { return both{drain(2), drain(2)} }, 1, nil},
		{"other buckets", nil, func(x twoOperators, _ uint64) both {
			return both{move(x.full, x.full, 2), move(x.empty, x.empty, 3)}
		}, 2, nil},
		{"a move and a drain", nil, func(x twoOperators, _ uint64) both { return both{move(x.full, x.full, 2), drain(2)} }, 2, nil},
		{"a rebalance and a drain", nil, func(twoOperators, uint64) both { return both{rebalance(), drain(2)} }, 2, nil},
		{"a new group and one that leaves", nil, func(twoOperators, uint64) both { return both{join(9, 1, 2), leave(3)} }, 2, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			for seed := range uint64(*seeds)/8 + 1 {
				x := newTwoOperators(t, 500+100*seed+uint64(i), c.before...)
				version := x.chain(t)[0].Version
				refused := ""
				asked, answers := c.ask(x, version), 0
				for i, command := range asked {
					x.operators[i].Ask(command, 20*time.Second, func(r *messages.Reply) {
						if answers++; r.Code != messages.Code_OK {
							require.Contains(t, []messages.Code{messages.Code_CONFLICT, messages.Code_INVALID}, r.Code, r.Text)
							require.Empty(t, refused, "both are refused: %s", r.Text)
							refused = r.Text
						}
					})
				}
				require.True(t, x.s.RunUntil(func() bool { return answers == 2 }, time.Minute))
				require.Equal(t, len(c.says) > 0, refused != "", refused)
				require.True(t, len(c.says) == 0 || slices.ContainsFunc(c.says, func(says string) bool { return strings.Contains(refused, says) }), refused)
				byHand := slices.DeleteFunc(x.chain(t), func(c *messages.Config) bool {
					return c.Version <= version || strings.Contains(c.Change, "arrived") || strings.Contains(c.Change, ": ")
				})
				require.Len(t, byHand, int(c.versions), "%v", byHand)
				settled(t, x.s)
				require.Empty(t, x.s.Oracle.Violations)
			}
		})
	}
}

// chain is every version of the config, newest first.
func (x twoOperators) chain(t *testing.T) []*messages.Config {
	r, err := x.operators[0].Do(&messages.MetaQuery{Op: &messages.MetaQuery_Log{Log: &messages.ConfigLog{}}})
	require.NoError(t, err)
	slices.Reverse(r.Meta.Configs)
	return r.Meta.Configs
}
