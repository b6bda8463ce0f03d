package router

import (
	"github.com/eraft-io/eraft/actors"
	"github.com/eraft-io/eraft/messages"
)

// Rules say which messages a system accepts from the network, from whom, and for which actors. The network layer drops all others
// before an actor sees them.
func Rules() []actors.Rule {
	return []actors.Rule{
		{Type: "eraft.Requests", MaxBytes: maxEncodedBytes(new(messages.Requests)), OnTooLarge: requestsTooLarge, Paths: []string{"raft/"}, Unauthenticated: true, Validate: clientMaySend, Bulk: true},
		{Type: "eraft.Replies", MaxBytes: maxEncodedBytes(new(messages.Replies)), OnTooLarge: repliesTooLarge, Paths: []string{"session/", "migrator/"}, Sender: claimedSender, Bulk: true},
		{Type: "eraft.RaftMessages", MaxBytes: messages.MaxLegacyBytes, Paths: []string{"raft/", "heartbeats"}, Sender: claimedSender},
		{Type: "eraft.NodeHeartbeat", MaxBytes: maxEncodedBytes(new(messages.NodeHeartbeat)), Paths: []string{"ticker"}, Sender: claimedSender},
		{Type: "eraft.SnapshotChunk", MaxBytes: maxEncodedBytes(new(messages.SnapshotChunk)), Paths: []string{"snapshot/"}, Sender: claimedSender, Bulk: true},
		{Type: "eraft.SnapshotAck", MaxBytes: maxEncodedBytes(new(messages.SnapshotAck)), Paths: []string{"snapshot/"}, Sender: claimedSender},
		{Type: "eraft.Hello", MaxBytes: maxEncodedBytes(new(messages.Hello)), Paths: []string{MemberPath}, Unauthenticated: true, ForeignCluster: true, Validate: repliesToSender(7)},
		{Type: "eraft.HelloReply", MaxBytes: maxEncodedBytes(new(messages.HelloReply)), Paths: []string{MemberPath, "session/"}, Unauthenticated: true},
		{Type: "eraft.HelloReply", MaxBytes: maxEncodedBytes(new(messages.HelloReply)), Paths: []string{MemberPath}, ForeignCluster: true}, // to a node whose seeds belong to another cluster
		{Type: "eraft.JoinRequest", MaxBytes: maxEncodedBytes(new(messages.JoinRequest)), Paths: []string{MemberPath}, Unauthenticated: true, Validate: repliesToSender(3)},
		{Type: "eraft.JoinReply", MaxBytes: maxEncodedBytes(new(messages.JoinReply)), Paths: []string{MemberPath}},
		{Type: "eraft.ConfigPull", MaxBytes: maxEncodedBytes(new(messages.ConfigPull)), Paths: []string{MemberPath}, Unauthenticated: true, Validate: repliesToSender(2)},
		{Type: "eraft.ConfigPush", MaxBytes: maxEncodedBytes(new(messages.ConfigPush)), Paths: []string{MemberPath, Path}},
		{Type: "eraft.NodeAddresses", MaxBytes: maxEncodedBytes(new(messages.NodeAddresses)), Paths: []string{MemberPath}, Sender: claimedSender},
		{Type: "eraft.StatusPull", MaxBytes: maxEncodedBytes(new(messages.StatusPull)), Paths: []string{MemberPath}, Unauthenticated: true, Validate: repliesToSender(2, 4)}, // sizes are for meta's leader only: they cost a scan of the engine
		{Type: "eraft.NodeStatus", MaxBytes: maxEncodedBytes(new(messages.NodeStatus)), Paths: []string{MemberPath}, Sender: claimedSender},
		{Type: "eraft.NodeStatus", MaxBytes: maxEncodedBytes(new(messages.NodeStatus)), Paths: []string{"status/"}, Unauthenticated: true}, // from a node that is not in a cluster yet
	}
}

// claimedSender is the node that a message names as its sender; 0: the message names none.
func claimedSender(message any) (node messages.NodeID, epoch messages.Epoch) {
	switch m := message.(type) {
	case *messages.RaftMessages:
		for _, r := range m.Messages {
			from := messages.NodeID(r.GetFrom())
			if node != 0 && from != node {
				return ambiguousSender, 0
			}
			node = from
		}
		return node, 0
	case *messages.NodeHeartbeat:
		return messages.NodeID(m.Node), messages.Epoch(m.Epoch)
	case *messages.SnapshotChunk:
		return messages.NodeID(m.From), 0
	case *messages.SnapshotAck:
		return messages.NodeID(m.From), 0
	case *messages.Replies:
		return messages.NodeID(m.FromNode), 0
	case *messages.NodeStatus:
		return messages.NodeID(m.Node), 0
	case *messages.NodeAddresses: // its sender is the last of them
		if len(m.Nodes) > 0 {
			last := m.Nodes[len(m.Nodes)-1]
			return messages.NodeID(last.GetNode()), messages.Epoch(last.GetEpoch())
		}
	}
	return 0, 0
}

// ambiguousSender is a node number that no connection has. It stands for a message that names several senders.
const ambiguousSender = ^messages.NodeID(0)
