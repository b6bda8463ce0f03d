package router

import (
	"github.com/eraft-io/eraft/actors"
	"github.com/eraft-io/eraft/messages"
)

// Rules are what may come over the network, and to whom. Everything else is dropped before any actor sees it.
func Rules() []actors.Rule {
	return []actors.Rule{
		{Type: "eraft.Requests", Max: messages.MaxMessageBytes, TooLarge: requestsTooLarge, Paths: []string{"raft/"}, Guest: true, Says: clientsSay, Bulk: true},
		{Type: "eraft.Replies", Max: messages.MaxMessageBytes, TooLarge: repliesTooLarge, Paths: []string{"session/", "mover/"}, Bulk: true},
		{Type: "eraft.RaftMessages", Max: messages.MaxLegacyBytes, Paths: []string{"raft/", "pulse"}},
		{Type: "eraft.Alive", Max: fewWords, Paths: []string{"ticker"}},
		{Type: "eraft.SnapshotChunk", Max: messages.MaxMessageBytes, Paths: []string{"snapshot/"}, Bulk: true},
		{Type: "eraft.SnapshotAck", Max: fewWords, Paths: []string{"snapshot/"}},
		{Type: "eraft.Hello", Max: fewWords, Paths: []string{MemberPath}, Guest: true, Alien: true, Says: asksFrom(7)},
		{Type: "eraft.HelloReply", Max: configWords, Paths: []string{MemberPath, "session/"}, Guest: true},
		{Type: "eraft.HelloReply", Max: configWords, Paths: []string{MemberPath}, Alien: true}, // to who has seeds of another cluster
		{Type: "eraft.Join", Max: someWords, Paths: []string{MemberPath}, Guest: true, Says: asksFrom(3)},
		{Type: "eraft.JoinReply", Max: configWords, Paths: []string{MemberPath}},
		{Type: "eraft.ConfigPull", Max: fewWords, Paths: []string{MemberPath}, Guest: true, Says: asksFrom(2)},
		{Type: "eraft.ConfigPush", Max: configWords, Paths: []string{MemberPath, Path}},
		{Type: "eraft.Addresses", Max: configWords, Paths: []string{MemberPath}},
		{Type: "eraft.StatusPull", Max: fewWords, Paths: []string{MemberPath}, Guest: true, Says: asksFrom(2, 4)}, // sizes are for meta's leader: they cost a pass over the engine
		{Type: "eraft.NodeStatus", Max: messages.MaxMessageBytes, Paths: []string{MemberPath}},
		{Type: "eraft.NodeStatus", Max: messages.MaxMessageBytes, Paths: []string{"status/"}, Guest: true}, // of a node that waits for its birth
	}
}
