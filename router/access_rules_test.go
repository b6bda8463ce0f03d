package router

import (
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/actors"
	"github.com/eraft-io/eraft/messages"
)

func TestClientMaySend(t *testing.T) {
	encode := func(m proto.Message) []byte {
		encoded, err := proto.Marshal(m)
		require.NoError(t, err)
		return encoded
	}
	meta := func(m *messages.MetaCommand) *messages.Command {
		m.IfVersion, m.Reason = 7, "why"
		return &messages.Command{Op: &messages.Command_Meta{Meta: m}}
	}
	shard := func(s *messages.ShardCommand) *messages.Command {
		return &messages.Command{Op: &messages.Command_Shard{Shard: s}}
	}
	for _, c := range []struct {
		name string
		m    *messages.Command
		want bool
	}{
		{"put", commandOf(&messages.Put{Key: []byte("k"), Value: []byte("v")}), true},
		{"delete", commandOf(&messages.Delete{}), true},
		{"append", commandOf(&messages.Append{}), true},
		{"incr", commandOf(&messages.Incr{By: -1}), true},
		{"compare-and-swap", commandOf(&messages.CompareAndSwap{}), true},
		{"batch", commandOf(&messages.Batch{}), true},
		{"of a user's own machine", &messages.Command{Op: &messages.Command_Custom{Custom: []byte{8, 1}}}, true},
		{"move", meta(&messages.MetaCommand{Op: &messages.MetaCommand_Move{Move: &messages.MoveBuckets{Last: 1}}}), true},
		{"join", meta(&messages.MetaCommand{Op: &messages.MetaCommand_Join{Join: &messages.JoinGroups{}}}), true},
		{"leave", meta(&messages.MetaCommand{Op: &messages.MetaCommand_Leave{Leave: &messages.LeaveGroup{}}}), true},
		{"remove", meta(&messages.MetaCommand{Op: &messages.MetaCommand_RemoveNode{RemoveNode: &messages.RemoveNode{}}}), true},
		{"drain", meta(&messages.MetaCommand{Op: &messages.MetaCommand_SetNode{SetNode: &messages.SetNode{}}}), true},
		{"rebalance", meta(&messages.MetaCommand{Op: &messages.MetaCommand_Rebalance{Rebalance: &messages.Rebalance{}}}), true},
		{"pause", meta(&messages.MetaCommand{Op: &messages.MetaCommand_SetPlacement{SetPlacement: &messages.SetPlacement{}}}), true},
		{"birth", meta(&messages.MetaCommand{Op: &messages.MetaCommand_Bootstrap{Bootstrap: &messages.Bootstrap{}}}), false},
		{"add a node", meta(&messages.MetaCommand{Op: &messages.MetaCommand_AddNode{AddNode: &messages.AddNode{}}}), false},
		{"arrived", meta(&messages.MetaCommand{Op: &messages.MetaCommand_CompleteMoves{CompleteMoves: &messages.CompleteMoves{}}}), false},
		{"freeze", shard(&messages.ShardCommand{Op: &messages.ShardCommand_FreezeBucket{FreezeBucket: &messages.FreezeBucket{}}}), false},
		{"drop", shard(&messages.ShardCommand{Op: &messages.ShardCommand_DeleteMigrated{DeleteMigrated: &messages.DeleteMigrated{}}}), false},
		{"give", shard(&messages.ShardCommand{Op: &messages.ShardCommand_StartMigration{StartMigration: &messages.StartMigration{}}}), false},
		{"install", shard(&messages.ShardCommand{Op: &messages.ShardCommand_ImportChunk{ImportChunk: &messages.ImportChunk{}}}), false},
		{"adopt", shard(&messages.ShardCommand{Op: &messages.ShardCommand_CreateBuckets{CreateBuckets: &messages.CreateBuckets{}}}), false},
		{"nothing", shard(nil), false},
	} {
		c.m.Session, c.m.Seq, c.m.Acked = 1, 2, 1
		first := encode(commandOf(&messages.Put{}))
		for _, asker := range []*messages.SessionRequests{{Address: "a", Commands: [][]byte{first, encode(c.m)}}, {Address: "a", Retries: [][]byte{encode(c.m)}}} {
			requests := &messages.Requests{Group: 1, Sessions: []*messages.SessionRequests{{Address: "a", Id: "b", Commands: [][]byte{first}}, asker}}
			require.Equal(t, c.want, clientMaySend(encode(requests), "a"), c.name)
		}
	}
	for _, c := range []struct {
		name string
		q    *messages.Query
		want bool
	}{
		{"get", &messages.Query{Op: &messages.Query_Get{Get: &messages.Get{}}}, true},
		{"scan", &messages.Query{Op: &messages.Query_Scan{Scan: &messages.Scan{}}}, true},
		{"config", &messages.Query{Op: &messages.Query_Meta{Meta: &messages.MetaQuery{}}}, true},
		{"pull", &messages.Query{Op: &messages.Query_BucketPull{BucketPull: &messages.BucketPull{}}}, false},
	} {
		c.q.Session, c.q.Seq = 1, 2
		for _, asker := range []*messages.SessionRequests{{Address: "a", Queries: [][]byte{encode(c.q)}}, {Address: "a", ReplicaQueries: [][]byte{encode(c.q)}}} {
			require.Equal(t, c.want, clientMaySend(encode(&messages.Requests{Sessions: []*messages.SessionRequests{asker}}), "a"), c.name)
		}
	}
	require.False(t, clientMaySend([]byte{0xff}, "a"), "garbage")
	require.False(t, clientMaySend(encode(&messages.Requests{Sessions: []*messages.SessionRequests{{Address: "a", Commands: [][]byte{{0xff}}}}}), "a"), "garbage inside")
	twice := append(encode(commandOf(&messages.Put{})), encode(shard(&messages.ShardCommand{}))...)
	require.False(t, clientMaySend(encode(&messages.Requests{Sessions: []*messages.SessionRequests{{Address: "a", Commands: [][]byte{twice}}}}), "a"), "hidden behind another one")
}

// An unauthenticated sender gets replies on its own connection only: it cannot have messages sent to others.
func TestRepliesToOutsidersStayOnTheirConnection(t *testing.T) {
	encode := func(m proto.Message) []byte {
		encoded, err := proto.Marshal(m)
		require.NoError(t, err)
		return encoded
	}
	says := map[string]actors.Validator{}
	for _, rule := range Rules() {
		if rule.Validate != nil {
			says[rule.Type] = rule.Validate
		}
	}
	for name, ask := range map[string]func(address string) proto.Message{
		"eraft.Requests": func(a string) proto.Message {
			return &messages.Requests{Sessions: []*messages.SessionRequests{{Address: "client/1"}, {Address: a}}}
		},
		"eraft.Hello":       func(a string) proto.Message { return &messages.Hello{Address: "n4:7400", ReplyAddress: a} },
		"eraft.JoinRequest": func(a string) proto.Message { return &messages.JoinRequest{ReplyAddress: a} },
		"eraft.ConfigPull":  func(a string) proto.Message { return &messages.ConfigPull{ReplyAddress: a} },
		"eraft.StatusPull":  func(a string) proto.Message { return &messages.StatusPull{ReplyAddress: a} },
	} {
		require.True(t, says[name](encode(ask("client/1")), "client/1"), name)
		for _, elsewhere := range []string{"client/2", "10.0.0.1:7400", ""} {
			require.False(t, says[name](encode(ask(elsewhere)), "client/1"), name)
			require.False(t, says[name](encode(ask(elsewhere)), ""), name)
		}
		require.False(t, says[name](append(encode(ask("client/1")), encode(ask("10.0.0.1:7400"))...), "client/1"), name)
	}
	require.False(t, says["eraft.StatusPull"](encode(&messages.StatusPull{ReplyAddress: "a", Sizes: true}), "a"))
	require.False(t, says["eraft.JoinRequest"](encode(&messages.JoinRequest{ReplyAddress: "a", ReplyId: string(make([]byte, maxUnauthenticatedBytes))}), "a"))
}

// The sender that a message names must be that of its connection.
func TestSenders(t *testing.T) {
	of := map[string]actors.SenderFunc{}
	for _, rule := range Rules() {
		if rule.Sender != nil {
			of[rule.Type] = rule.Sender
		}
	}
	raft := func(from ...uint64) *messages.RaftMessages {
		m := &messages.RaftMessages{}
		for _, f := range from {
			m.Messages = append(m.Messages, &messages.RaftMessage{From: f})
		}
		return m
	}
	for _, c := range []struct {
		m     proto.Message
		node  messages.NodeID
		epoch messages.Epoch
	}{
		{raft(), 0, 0},
		{raft(7, 7, 7), 7, 0},
		{raft(7, 8, 7), ambiguousSender, 0},
		{&messages.RaftMessages{Messages: []*messages.RaftMessage{nil}}, 0, 0},
		{&messages.NodeHeartbeat{Node: 7, Epoch: 9}, 7, 9},
		{&messages.SnapshotChunk{From: 7}, 7, 0},
		{&messages.SnapshotAck{From: 7}, 7, 0},
		{&messages.Replies{FromNode: 7}, 7, 0},
		{&messages.NodeStatus{Node: 7}, 7, 0},
		{&messages.NodeAddresses{}, 0, 0},
		{&messages.NodeAddresses{Nodes: []*messages.NodeAddress{{Node: 8, Epoch: 1}, {Node: 7, Epoch: 9}}}, 7, 9},
	} {
		node, epoch := of[string(proto.MessageName(c.m))](c.m)
		require.Equal(t, c.node, node, "%T", c.m)
		require.Equal(t, c.epoch, epoch, "%T", c.m)
	}
}

// Raft's messages do not share a stream with requests, replies and snapshots.
func TestRaftMessagesHaveTheirOwnStream(t *testing.T) {
	bulk := map[string]bool{}
	for _, rule := range Rules() {
		bulk[rule.Type] = rule.Bulk
	}
	for _, kind := range []string{"eraft.RaftMessages", "eraft.NodeHeartbeat", "eraft.SnapshotAck", "eraft.Hello", "eraft.ConfigPush", "eraft.NodeStatus"} {
		require.False(t, bulk[kind], kind)
	}
	for _, kind := range []string{"eraft.Requests", "eraft.Replies", "eraft.SnapshotChunk"} {
		require.True(t, bulk[kind], kind)
	}
}
