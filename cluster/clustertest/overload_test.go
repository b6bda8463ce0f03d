package clustertest_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/cluster/clustertest"
	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/raftactor"
)

// Clients that are faster than the disks are told so at once, and what waits stays within its bound; what was not
// refused is done.
func TestOverloadIsRefusedNotKept(t *testing.T) {
	s := clustertest.Sim(t, 1, clustertest.Options{Groups: 1, Limits: raftactor.Limits{PendingBytes: 64 << 10, EntryBytes: 8 << 10}})
	require.True(t, s.RunUntil(s.Ready, time.Minute))
	for _, m := range s.Nodes {
		m.Machine().Slow("persistence/log", func() time.Duration { return 200 * time.Millisecond })
	}
	c, answers := s.Client("c"), map[messages.Code]int{}
	const asked, size = 1000, 1 << 10
	for i := range asked {
		c.Ask(&messages.Put{Key: fmt.Appendf(nil, "k%d", i), Value: make([]byte, size)}, 20*time.Second, func(r *messages.Reply) { answers[r.Code]++ })
	}
	began := s.Now()
	require.True(t, s.RunUntil(func() bool { return answers[messages.Code_OVERLOADED] > 0 }, time.Second), "%v", answers)
	require.Less(t, s.Now()-began, 100*time.Millisecond, "at once, not after the disk")
	require.True(t, s.RunUntil(func() bool { return answers[messages.Code_OVERLOADED]+answers[messages.Code_OK] == asked }, time.Minute), "%v", answers)
	require.LessOrEqual(t, answers[messages.Code_OK], 64+16, "what waited was bounded: %v", answers)
	require.GreaterOrEqual(t, answers[messages.Code_OK], 48, "%v", answers)
	require.Empty(t, s.Oracle.Violations)
}

// A leader that is slow is asked again and again, but each command goes through its log once: otherwise load would make
// more load.
func TestRetriesDoNotFillTheLog(t *testing.T) {
	s := clustertest.Sim(t, 2, clustertest.Options{Groups: 1, Limits: raftactor.Limits{EntryBytes: 8 << 10, StallTicks: 1000}})
	require.True(t, s.RunUntil(s.Ready, time.Minute))
	commit := func() uint64 {
		var status struct {
			Groups []struct{ ID, Commit uint64 }
		}
		require.NoError(t, json.Unmarshal(s.Nodes[0].Node.Status(), &status))
		for _, g := range status.Groups {
			if g.ID == 1 {
				return g.Commit
			}
		}
		return 0
	}
	for _, m := range s.Nodes {
		m.Machine().Slow("persistence/log", func() time.Duration { return 2 * time.Second })
	}
	before, answered := commit(), 0
	c := s.Client("c")
	const asked, size = 200, 1 << 10
	for i := range asked {
		c.Ask(&messages.Put{Key: fmt.Appendf(nil, "k%d", i), Value: make([]byte, size)}, 30*time.Second, func(r *messages.Reply) {
			require.Equal(t, messages.Code_OK, r.Code, r.Text)
			answered++
		})
	}
	require.True(t, s.RunUntil(func() bool { return answered == asked }, time.Minute), "%d answered", answered)
	s.RunUntil(func() bool { return false }, 5*time.Second)
	require.LessOrEqual(t, commit()-before, uint64(asked/7+5), "entries of 8 KiB")
	require.Empty(t, s.Oracle.Violations)
}

// Large requests for a replica that is slow wait up to a bound in bytes; beyond it they are refused before the replica has
// seen them.
func TestMailboxOfASlowReplicaIsBounded(t *testing.T) {
	s := clustertest.Sim(t, 3, clustertest.Options{Groups: 1, Limits: raftactor.Limits{MailboxBytes: 4 << 20}})
	require.True(t, s.RunUntil(s.Ready, time.Minute))
	l := leader(t, s, 1)
	l.Machine().Slow(raftactor.PeerPath(1), func() time.Duration { return 100 * time.Millisecond })
	x := s.RawClient("stranger")
	const sent, size = 100, 1<<20 - 100
	for i := range sent {
		command, err := proto.Marshal(&messages.Command{Op: &messages.Command_Put{Put: &messages.Put{Key: fmt.Appendf(nil, "k%d", i), Value: make([]byte, size)}}})
		require.NoError(t, err)
		x.Send(l, 1, command)
	}
	s.Advance(time.Second)
	l.Machine().Slow(raftactor.PeerPath(1), nil)
	s.Advance(10 * time.Second)
	c, written := s.Client("c"), 0
	for i := range sent {
		r, err := c.Do(&messages.Get{Key: fmt.Appendf(nil, "k%d", i), MetaOnly: true})
		require.NoError(t, err)
		if r.Found {
			written++
		}
	}
	require.Positive(t, written)
	require.LessOrEqual(t, written, 12, "of %d, four fit at a time", sent)
	require.Empty(t, s.Oracle.Violations)
}
