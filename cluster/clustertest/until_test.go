package clustertest_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/actors/actortest"
	"github.com/eraft-io/eraft/cluster/clustertest"
	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/persistence"
	"github.com/eraft-io/eraft/raftactor"
)

// timed gives a client, once it and the cluster have the level at which commands say until when they may be applied.
func timed(t *testing.T, s *clustertest.Simulation) *clustertest.Client {
	c := s.Client("c")
	_, err := c.Do(put("first", "")) // before there is that level
	require.NoError(t, err)
	require.True(t, s.RunUntil(func() bool {
		return !slices.ContainsFunc(s.Nodes, func(m *clustertest.SimNode) bool { return levelOf(t, m).Cluster < uint32(messages.DeadlineLevel) })
	}, time.Minute))
	_, err = c.Do(put("first", ""))
	require.NoError(t, err)
	s.Advance(time.Second)
	return c
}

// A message of a client that was held up for minutes, or hours, does nothing, though what its session did is long forgotten.
func TestLateCopyIsNotApplied(t *testing.T) {
	for _, later := range []time.Duration{time.Minute, 11 * time.Minute, 3 * time.Hour} {
		s := startCluster(t, 21, clustertest.Options{Groups: 1, Limits: raftactor.Limits{QuiesceTicks: -1}})
		c := timed(t, s)
		_, err := c.Do(put("k", ""))
		require.NoError(t, err)
		var held *messages.Requests
		s.Network().Observe(func(e actortest.Envelope) {
			if m, ok := e.Message.(*messages.Requests); ok && held == nil && len(m.Sessions) > 0 && len(m.Sessions[0].Commands) > 0 {
				held = proto.CloneOf(m)
			}
		})
		r, err := c.Do(&messages.Append{Key: []byte("k"), Value: []byte("+")})
		require.NoError(t, err)
		require.EqualValues(t, 1, r.Number)
		require.NotNil(t, held)
		require.NotZero(t, messages.DeadlineOf(held.Sessions[0].Commands[0]))
		s.Network().Observe(nil)
		if later > 20*time.Minute { // all clocks are set
			for _, m := range s.Nodes {
				m.Machine().Clock().Jump(later - time.Minute)
			}
			later = time.Minute
		}
		s.Advance(later)
		for i := range 20 { // whoever is over is forgotten now
			_, err = s.Client(fmt.Sprint("c", i)).Do(put("other", ""))
			require.NoError(t, err)
		}
		l := leader(t, s, 1)
		l.Machine().System().Root.Send(actor.NewPID(l.Machine().Address(), raftactor.PeerPath(1)), held)
		s.Advance(time.Second)
		got, err := s.Client("d").Do(&messages.Get{Key: []byte("k")})
		require.NoError(t, err)
		require.Equal(t, "+", string(got.Value))
		require.Empty(t, s.Oracle.Violations)
	}
}

// Clocks of clients and of single nodes may be wrong by any time: all is served, and log time is that of the majority.
func TestWrongClocks(t *testing.T) {
	for _, wrong := range []time.Duration{-9000 * time.Hour, -time.Hour, -2 * time.Second, 2 * time.Second, time.Hour, 9000 * time.Hour} {
		s := startCluster(t, 22, clustertest.Options{Groups: 1})
		c := timed(t, s)
		for _, host := range []*actortest.Clock{s.World.Node("c:1").Clock(), leader(t, s, 1).Machine().Clock()} {
			host.Jump(wrong)
		}
		for range 3 {
			began := s.Now()
			_, err := c.Do(put("k", "v"))
			require.NoError(t, err)
			require.Less(t, s.Now()-began, time.Second)
			s.Advance(20 * time.Second)
		}
		right := s.Nodes[0]
		if right == leader(t, s, 1) {
			right = s.Nodes[1]
		}
		var last uint64
		disk, _ := right.Disks()
		log, err := persistence.OpenLog(disk).Load(1)
		require.NoError(t, err)
		for _, e := range log.Entries {
			last = max(last, e.TimeMs)
		}
		require.InDelta(t, right.Machine().Clock().Wall().UnixMilli(), last, 22_000)
		require.Empty(t, s.Oracle.Violations)
	}
}

// A bucket that comes from a group whose log time is ahead of all clocks is written to as soon as it is served.
func TestBucketOfAnotherTimeIsServed(t *testing.T) {
	s := startCluster(t, 23, clustertest.Options{Groups: 2})
	c := timed(t, s)
	tag := "{0}"
	for i := 0; owner(t, s, tag) != 1; i++ {
		tag = fmt.Sprintf("{%d}", i)
	}
	for _, by := range []time.Duration{time.Hour, -time.Hour} {
		for _, m := range s.Nodes {
			m.Machine().Clock().Jump(by)
		}
		for range 3 { // a group that was at rest hears of other clocks only now
			_, err := c.Do(&messages.Append{Key: []byte(tag), Value: []byte("+")})
			require.NoError(t, err)
			s.Advance(500 * time.Millisecond)
		}
	}
	bucket := uint32(messages.BucketOf([]byte(tag), 16))
	_, err := c.Do(&messages.MetaCommand{Op: &messages.MetaCommand_Move{Move: &messages.MoveBuckets{First: bucket, Last: bucket, Group: 2}}})
	require.NoError(t, err)
	require.True(t, s.RunUntil(func() bool { return len(leader(t, s, 2).Node.Moving()) > 0 }, time.Minute))
	settled(t, s)
	for i := range 5 {
		began := s.Now()
		r, err := c.Do(&messages.Append{Key: []byte(tag), Value: []byte("+")})
		require.NoError(t, err)
		require.EqualValues(t, 7+i, r.Number)
		require.Less(t, s.Now()-began, time.Second)
	}
	require.Empty(t, s.Oracle.Violations)
}
