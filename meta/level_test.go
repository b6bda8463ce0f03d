package meta_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/meta"
)

func raiseLevel(version uint64, level uint32) *messages.MetaCommand {
	return &messages.MetaCommand{IfVersion: version, Op: &messages.MetaCommand_RaiseLevel{RaiseLevel: &messages.RaiseLevel{Level: level}}}
}

// pledges says what nodes have pledged, by id; all others the first level.
func pledges(levels ...messages.Level) func(uint64) messages.Level {
	return func(node uint64) messages.Level {
		if int(node) > len(levels) {
			return messages.FirstLevel
		}
		return levels[node-1]
	}
}

func TestLevelIsRaisedToWhatAllHavePledged(t *testing.T) {
	r := newReplica(t)
	r.do(bootstrap())
	require.Nil(t, meta.RaiseLevel(r.config(), pledges(2)), "two more nodes are awaited, which may have any level")
	r.do(add(nodeInfo(2)))
	r.do(add(nodeInfo(3)))
	require.Nil(t, meta.RaiseLevel(r.config(), pledges(2, 2)), "of node 3 nothing is known")
	require.Nil(t, meta.RaiseLevel(r.config(), pledges(1, 2, 2)))
	require.Nil(t, meta.RaiseLevel(r.config(), pledges(1, 1, 1)))
	up := meta.RaiseLevel(r.config(), pledges(2, 2, 2))
	require.Equal(t, raiseLevel(r.config().Version, 2).String(), up.String())

	require.Equal(t, messages.FirstLevel, r.config().FeatureLevel())
	require.NoError(t, r.do(up).Err())
	require.Equal(t, messages.Level(2), r.config().FeatureLevel())
	require.Equal(t, "feature level 2", r.config().Change)
	require.Nil(t, meta.RaiseLevel(r.config(), pledges(2, 2, 2)))

	r.do(add(&messages.AddNode{Name: "n4", Address: "h:4", DirectoryToken: 104, Level: 2}))
	require.NoError(t, r.do(remove(3)).Err())
	require.Equal(t, messages.Level(2), meta.CommonLevel(r.config(), pledges(2, 2, 0, 2)), "a removed node does not count")
	r.restart()
	require.Equal(t, messages.Level(2), r.config().FeatureLevel())
}

// A node that is admitted in between is noticed: the config is not the one any more whose nodes have committed.
func TestRaiseNamesItsConfig(t *testing.T) {
	r := twoGroups(t)
	version := r.config().Version
	require.Equal(t, messages.Code_INVALID, r.do(raiseLevel(0, 2)).Code)
	require.NoError(t, r.do(add(nodeInfo(9))).Err())
	reply := r.do(raiseLevel(version, 2))
	require.Equal(t, messages.Code_CONFLICT, reply.Code)
	require.Equal(t, messages.FirstLevel, r.config().FeatureLevel())
}

func TestLevelNeverGoesBack(t *testing.T) {
	r := twoGroups(t)
	require.NoError(t, r.do(raiseLevel(r.config().Version, 3)).Err())
	version := r.config().Version
	require.NoError(t, r.do(raiseLevel(version, 3)).Err())
	require.Equal(t, version, r.config().Version, "nothing has changed")
	reply := r.do(raiseLevel(version, 2))
	require.Equal(t, messages.Code_CONFLICT, reply.Code)
	require.Contains(t, reply.Text, "the cluster has feature level 3, and never goes back to 2")
}

// A node of an older program is not admitted, nor may one that is in come back with one.
func TestNodesBelowTheLevelAreRefused(t *testing.T) {
	r := twoGroups(t)
	require.NoError(t, r.do(raiseLevel(r.config().Version, 2)).Err())
	for _, a := range []*messages.AddNode{nodeInfo(9), {Name: "n1", Address: "h:77", DirectoryToken: 101}, {Name: "n9", Address: "h:9", DirectoryToken: 109, Level: 1}} {
		reply := r.do(add(a))
		require.Equal(t, messages.Code_INVALID, reply.Code)
		require.Contains(t, reply.Text, "this node's eraft has feature level 1, but the cluster has 2, and never goes back: start it with a newer eraft")
	}
	new := nodeInfo(9)
	new.Level = 2
	require.NoError(t, r.do(add(new)).Err())
}
