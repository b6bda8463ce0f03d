package raftactor

import (
	"slices"

	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/raftactor/raft"
	"github.com/eraft-io/eraft/raftactor/raft/progress"
)

// statusOf is a leader 1 whose followers all are at match of 100.
func statusOf(voters, learners []uint64, match uint64) raft.Status {
	s := raft.Status{ID: 1, Role: raft.Leader, Last: 100, Conf: &messages.ConfState{Voters: voters, Learners: learners}}
	for _, id := range slices.Concat(voters, learners) {
		if id != 1 {
			s.Followers = append(s.Followers, raft.FollowerStatus{ID: id, State: progress.Replicate, Match: match, Active: true})
		}
	}
	return s
}
