package router

import "github.com/eraft-io/eraft/actors"

// Rules are what may come over the network, and to whom. Everything else is dropped before any actor sees it.
func Rules() []actors.Rule {
	return []actors.Rule{
		{Type: "eraft.Requests", Paths: []string{"raft/"}, Guest: true, Says: clientsSay},
		{Type: "eraft.Replies", Paths: []string{"session/", "mover/"}},
		{Type: "eraft.RaftMessages", Paths: []string{"raft/", "pulse"}},
		{Type: "eraft.Alive", Paths: []string{"ticker"}},
		{Type: "eraft.SnapshotChunk", Paths: []string{"snapshot/"}},
		{Type: "eraft.SnapshotAck", Paths: []string{"snapshot/"}},
		{Type: "eraft.Hello", Paths: []string{MemberPath}, Guest: true, Alien: true, Says: asksFrom(7)},
		{Type: "eraft.HelloReply", Paths: []string{MemberPath, "session/"}, Guest: true},
		{Type: "eraft.HelloReply", Paths: []string{MemberPath}, Alien: true}, // to who has seeds of another cluster
		{Type: "eraft.Join", Paths: []string{MemberPath}, Guest: true, Says: asksFrom(3)},
		{Type: "eraft.JoinReply", Paths: []string{MemberPath}},
		{Type: "eraft.ConfigPull", Paths: []string{MemberPath}, Guest: true, Says: asksFrom(2)},
		{Type: "eraft.ConfigPush", Paths: []string{MemberPath, Path}},
		{Type: "eraft.StatusPull", Paths: []string{MemberPath}, Guest: true, Says: asksFrom(2, 4)}, /* sizes cost a pass over the engine */
		{Type: "eraft.NodeStatus", Paths: []string{MemberPath}},
		{Type: "eraft.NodeStatus", Paths: []string{"status/"}, Guest: true}, // of a node that waits for its birth
	}
}
