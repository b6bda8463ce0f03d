package clustertest_test

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/actors/actortest"
	"github.com/eraft-io/eraft/cluster/clustertest"
	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/persistence"
	"github.com/eraft-io/eraft/raftactor"
)

// largestMessage is what the real network carries; what is larger never arrives.
const largestMessage = 4 << 20

// answered is a cluster in which a client has had many large answers that it has not acknowledged: keys with the tag, in a
// bucket of group 1.
func answered(t *testing.T, seed uint64, limits raftactor.Limits) (s *clustertest.Simulation, c *clustertest.Client, tag string) {
	s = startCluster(t, seed, clustertest.Options{Groups: 2, Limits: limits})
	s.Network().SetMessageFaults(func(e actortest.Envelope) actortest.Faults {
		if proto.Size(e.Message) > largestMessage {
			return actortest.Faults{Drop: 1}
		}
		return actortest.Faults{}
	})
	c = s.Client("c")
	for i := 0; tag == "" || owner(t, s, tag) != 1; i++ {
		tag = fmt.Sprintf("{%d}", i)
	}
	for i := range 6 {
		_, err := c.Do(put(fmt.Sprint(tag, i), strings.Repeat("v", messages.MaxValueBytes)))
		require.NoError(t, err)
	}
	open := 0
	for i := range 12 {
		open++
		set := &messages.Put{Key: fmt.Append(nil, tag, i%6), Value: []byte("x"), Mode: messages.Put_IF_ABSENT, ReturnPrevious: true}
		c.Ask(set, 20*time.Second, func(r *messages.Reply) {
			require.Equal(t, messages.Code_CONFLICT, r.Code)
			require.Len(t, r.Value, messages.MaxValueBytes)
			open--
		})
	}
	require.True(t, s.RunUntil(func() bool { return open == 0 }, time.Minute))
	return s, c, tag
}

// A bucket with large answers moves, and the group that it goes to serves its other buckets meanwhile and afterwards.
func TestBucketWithLargeAnswersMoves(t *testing.T) {
	s, c, tag := answered(t, 7, raftactor.Limits{})
	other := ""
	for i := 0; other == "" || owner(t, s, other) != 2; i++ {
		other = fmt.Sprint("other", i)
	}
	bucket := uint32(messages.BucketOf([]byte(tag), 16))
	_, err := c.Do(&messages.MetaCommand{Op: &messages.MetaCommand_Move{Move: &messages.MoveBuckets{First: bucket, Last: bucket, Group: 2}}})
	require.NoError(t, err)
	require.True(t, s.RunUntil(func() bool { return len(leader(t, s, 2).Node.Moving()) > 0 }, time.Minute))
	settled(t, s)
	for _, key := range []string{other, tag + "0"} {
		_, err = c.Do(put(key, "new"))
		require.NoError(t, err)
	}
	require.EqualValues(t, 2, owner(t, s, tag))
	require.Empty(t, s.Oracle.Violations)
}

// A replica that was away gets a group with large answers as a snapshot.
func TestSnapshotWithLargeAnswersArrives(t *testing.T) {
	s, _, tag := answered(t, 8, raftactor.Limits{RetainBytes: 64 << 10})
	other := s.Client("other") // the first acknowledges nothing any more
	away := s.Nodes[0]
	if leads(t, away, 1) {
		away = s.Nodes[1]
	}
	away.Kill()
	for i := range 100 {
		_, err := other.Do(put(fmt.Sprint(tag, "-", i%10), strings.Repeat("w", 10<<10)))
		require.NoError(t, err)
	}
	before := s.Oracle.Snapshots
	away.Start()
	of := func(m *clustertest.SimNode) *messages.ReplicaStatus {
		for _, r := range m.Node.Replicas() {
			if r.Group == 1 {
				return r
			}
		}
		return new(messages.ReplicaStatus)
	}
	require.True(t, s.RunUntil(func() bool {
		return s.Oracle.Snapshots > before && of(away).Applied > 0 && of(away).Applied >= of(leader(t, s, 1)).Applied
	}, time.Minute), "%v", of(away))
	require.Empty(t, s.Oracle.Violations)
}

// Records in which a version before kept whole replies are replaced when a node starts, without anybody writing: a follower
// that needs a snapshot gets it.
func TestRecordsOfWholeSessionsAreReplacedAtTheStart(t *testing.T) {
	s := startCluster(t, 9, clustertest.Options{Groups: 1})
	reply, err := proto.Marshal(&messages.Reply{Session: 9, Seq: 1, Code: messages.Code_CONFLICT, Value: make([]byte, 5<<20)})
	require.NoError(t, err)
	record := append(binary.AppendUvarint([]byte{1, 1, 0, 0, 1}, uint64(len(reply))), reply...)
	key := binary.BigEndian.AppendUint64([]byte{'d'}, 1) // of group 1
	key = binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint32(append(key, 's'), 3), 9)
	for _, m := range s.Nodes {
		m.Kill()
		_, state := m.Disks()
		batch := new(persistence.Batch)
		batch.Put(key, record)
		require.NoError(t, state.Write(batch, true))
	}
	for _, m := range s.Nodes {
		m.Start()
	}
	require.True(t, s.RunUntil(func() bool {
		return s.Ready() && !slices.ContainsFunc(s.Nodes, func(m *clustertest.SimNode) bool {
			_, state := m.Disks()
			_, found, err := state.Get(key)
			return found || err != nil
		})
	}, time.Minute))
	require.Empty(t, s.Oracle.Violations)
}
