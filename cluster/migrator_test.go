package cluster

import (
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/shardkv"
)

// testMigration is the Migrator of group 2 at node 1, to which the config moves bucket 0 of group 1, whose replicas are on nodes 2 and
// 3.
type testMigration struct {
	*testNode
	*Migrator
	rate *migrationRate
	poll func()
}

func (m *testMigration) after(_ time.Duration, send func()) func() {
	m.poll = send
	return func() { m.poll = nil }
}
func (m *testMigration) random(string) uint64 { return 8 }
func (m *testMigration) imported(int)         {}
func (m *testMigration) send(to *actor.PID, message any) {
	m.testNode.send(to, message)
}

func newTestMigration() *testMigration {
	m := &testMigration{testNode: newTestNode(), rate: newMigrationRate(1000)}
	config := threeNodes(9)
	config.Owners, config.PreviousOwners, config.MovedVersions, config.MovesPending = []uint64{2}, []uint64{1}, []uint64{9}, []uint32{0}
	config.Groups = []*messages.Group{{Id: 1, Nodes: []uint64{2, 3}}, {Id: 2, Nodes: []uint64{1}}}
	status := m.board(config, 2, 3)
	status.setAddresses(config, bookOf(config))
	m.Migrator = newMigrator(m, status, shardkv.MigrationLimits{ChunkBytes: 100}, m.rate, 2)
	m.self, m.Migrator.requests.session = actor.NewPID("h1", migratorPath(2)), 9
	m.Migrator.config = config
	return m
}

// leads makes node 1 the leader of group 2.
func (m *testMigration) leads() { m.status.setReplica(&messages.ReplicaStatus{Group: 2, Leader: 1}) }

// one returns the only message that was sent, its receiver, and the sequence number of what it asks.
func (m *testMigration) one(t *testing.T) (to string, r *messages.SessionRequests, seq uint64) {
	sent := m.take()
	require.Len(t, sent, 1)
	r = sent[0].message.(*messages.Requests).Sessions[0]
	for _, encoded := range append(r.Commands, r.Queries...) {
		_, seq = messages.RequestID(encoded)
	}
	return sent[0].to, r, seq
}

// Only the leader's Migrator acts. It asks one replica of the source after the other until one replies, and then the leader that it was
// told.
func TestMigratorFindsTheSource(t *testing.T) {
	m := newTestMigration()
	m.onView(&shardkv.View{})
	require.Empty(t, m.take(), "it does not lead")
	m.leads()
	m.advance()
	first, _, seq := m.one(t)
	m.advance()
	require.Empty(t, m.take(), "one request at a time")
	m.time += stepTimeout
	m.advance()
	second, _, again := m.one(t)
	require.NotEqual(t, first, second, "the first did not reply")
	m.onReply(1, 2, &messages.Reply{Session: 9, Seq: seq, Code: messages.Code_NOT_LEADER, Hint: &messages.Hint{Leader: 3}})
	require.NotNil(t, m.poll)
	m.advance()
	require.Empty(t, m.take(), "that was an old reply")
	m.onReply(1, 2, &messages.Reply{Session: 9, Seq: again, Code: messages.Code_NOT_LEADER, Hint: &messages.Hint{Leader: 3}})
	m.advance()
	third, _, _ := m.one(t)
	require.Equal(t, "h3/raft/1", third)
}

// A chunk becomes a command of the own group. The next one is asked for when the view shows the first, and when the rate allows it.
func TestMigratorImportsChunks(t *testing.T) {
	m := newTestMigration()
	m.leads()
	m.onView(&shardkv.View{})
	_, r, seq := m.one(t)
	command := new(messages.Command)
	require.NoError(t, proto.Unmarshal(r.Commands[0], command))
	require.NotNil(t, command.GetShard().GetStartMigration())
	m.onReply(1, 3, &messages.Reply{Session: 9, Seq: seq, Chunk: &messages.BucketChunk{Bucket: 0, ConfigVersion: 9}})
	to, r, _ := m.one(t)
	require.Equal(t, "h1/raft/2", to)
	require.NoError(t, proto.Unmarshal(r.Commands[0], command))
	require.EqualValues(t, 1, command.GetShard().GetImportChunk().Source)

	migration := shardkv.Migration{Bucket: 0, State: shardkv.Importing, ConfigVersion: 9, Counterpart: 1, NextChunk: 1}
	view := &shardkv.View{Buckets: []shardkv.BucketView{{Bucket: 0, State: shardkv.Importing, ConfigVersion: 9, Counterpart: 1}}, Migrations: []shardkv.Migration{migration}}
	m.onView(view)
	to, r, seq = m.one(t)
	require.Equal(t, "h3/raft/1", to, "node 3 has replied: it leads")
	require.Len(t, r.Queries, 1)
	pairs := []*messages.Pair{{Key: []byte("k"), Value: make([]byte, 1000)}}
	m.onReply(1, 3, &messages.Reply{Session: 9, Seq: seq, Chunk: &messages.BucketChunk{Bucket: 0, ConfigVersion: 9, Number: 1, Pairs: pairs}})
	m.one(t)
	next := migration
	next.NextChunk = 2
	m.onView(&shardkv.View{Buckets: view.Buckets, Migrations: []shardkv.Migration{next}})
	require.Empty(t, m.take(), "a second of the rate is spent")
	m.time += m.rate.wait(m.time)
	m.advance()
	m.one(t)

	served := shardkv.BucketView{Bucket: 0, State: shardkv.Serving, ConfigVersion: 9}
	m.onView(&shardkv.View{Buckets: []shardkv.BucketView{served}})
	require.Len(t, m.events, 1)
	require.Equal(t, "bucket migrated", m.events[0].EventName())
	require.NotNil(t, m.testNode.requests[0].(*messages.MetaCommand).GetCompleteMoves())
	m.advance()
	require.Len(t, m.testNode.requests, 1, "one report at a time")
}
