package router

import (
	"github.com/eraft-io/eraft/actors"
	"github.com/eraft-io/eraft/messages"
)

// Rules are what may come over the network, and to whom. Everything else is dropped before any actor sees it.
func Rules() []actors.Rule {
	return []actors.Rule{
		{Type: "eraft.Requests", Max: most(new(messages.Requests)), TooLarge: requestsTooLarge, Paths: []string{"raft/"}, Guest: true, Says: clientsSay, Bulk: true},
		{Type: "eraft.Replies", Max: most(new(messages.Replies)), TooLarge: repliesTooLarge, Paths: []string{"session/", "mover/"}, Signs: sender, Bulk: true},
		{Type: "eraft.RaftMessages", Max: messages.MaxLegacyBytes, Paths: []string{"raft/", "pulse"}, Signs: sender},
		{Type: "eraft.NodeHeartbeat", Max: most(new(messages.NodeHeartbeat)), Paths: []string{"ticker"}, Signs: sender},
		{Type: "eraft.SnapshotChunk", Max: most(new(messages.SnapshotChunk)), Paths: []string{"snapshot/"}, Signs: sender, Bulk: true},
		{Type: "eraft.SnapshotAck", Max: most(new(messages.SnapshotAck)), Paths: []string{"snapshot/"}, Signs: sender},
		{Type: "eraft.Hello", Max: most(new(messages.Hello)), Paths: []string{MemberPath}, Guest: true, Alien: true, Says: asksFrom(7)},
		{Type: "eraft.HelloReply", Max: most(new(messages.HelloReply)), Paths: []string{MemberPath, "session/"}, Guest: true},
		{Type: "eraft.HelloReply", Max: most(new(messages.HelloReply)), Paths: []string{MemberPath}, Alien: true}, // to who has seeds of another cluster
		{Type: "eraft.JoinRequest", Max: most(new(messages.JoinRequest)), Paths: []string{MemberPath}, Guest: true, Says: asksFrom(3)},
		{Type: "eraft.JoinReply", Max: most(new(messages.JoinReply)), Paths: []string{MemberPath}},
		{Type: "eraft.ConfigPull", Max: most(new(messages.ConfigPull)), Paths: []string{MemberPath}, Guest: true, Says: asksFrom(2)},
		{Type: "eraft.ConfigPush", Max: most(new(messages.ConfigPush)), Paths: []string{MemberPath, Path}},
		{Type: "eraft.NodeAddresses", Max: most(new(messages.NodeAddresses)), Paths: []string{MemberPath}, Signs: sender},
		{Type: "eraft.StatusPull", Max: most(new(messages.StatusPull)), Paths: []string{MemberPath}, Guest: true, Says: asksFrom(2, 4)}, // sizes are for meta's leader: they cost a pass over the engine
		{Type: "eraft.NodeStatus", Max: most(new(messages.NodeStatus)), Paths: []string{MemberPath}, Signs: sender},
		{Type: "eraft.NodeStatus", Max: most(new(messages.NodeStatus)), Paths: []string{"status/"}, Guest: true}, // of a node that waits for its birth
	}
}

// sender is the node that a message names as its sender.
func sender(message any) (node messages.NodeID, epoch messages.Epoch) {
	switch m := message.(type) {
	case *messages.RaftMessages:
		for _, r := range m.Messages {
			from := messages.NodeID(r.GetFrom())
			if node != 0 && from != node {
				return nobody, 0
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
	case *messages.NodeAddresses: // its sender is the last
		if len(m.Nodes) > 0 {
			last := m.Nodes[len(m.Nodes)-1]
			return messages.NodeID(last.GetNode()), messages.Epoch(last.GetEpoch())
		}
	}
	return 0, 0
}

// nobody is a node number that no connection has: of a message that names several senders.
const nobody = ^messages.NodeID(0)
