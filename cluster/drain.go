package cluster

import (
	"slices"
	"time"

	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/raftactor/raft"
)

// drainStatus is how far a drain is: at 100 per cent no group needs the node any more, and it can be stopped.
type drainStatus struct {
	Percent    int   `json:"percent"`     // -1: not known, since not all are heard who could tell
	ETASeconds int64 `json:"eta_seconds"` // -1: not known, for that reason or since nothing has moved yet
}

// sight is what was left of a drain when this node knew that for the first time.
type sight struct {
	drain uint64 // since when the node drains, which tells this drain from an earlier one
	at    time.Duration
	left  int
}

// sightDrains notes drains that are seen for the first time, and forgets those that are over. By them this node tells how
// long a drain will take: with its own clock, as the log's time may lag behind.
func (b *board) sightDrains(s snapshot) {
	for _, node := range s.config.GetNodes() {
		id := messages.NodeID(node.Id)
		if !drains(node) {
			delete(b.drains, id)
			continue
		}
		if first, seen := b.drains[id]; seen && first.drain == node.StateSinceMs {
			continue
		}
		delete(b.drains, id)
		if left, known := s.left(node.Id); known {
			b.drains[id] = sight{drain: node.StateSinceMs, at: s.now, left: left}
		}
	}
}

func drains(node *messages.Node) bool {
	return !node.Removed && node.State == messages.NodeState_DRAINING
}

// drain tells how far a node's drain is: what it had, what it still should have or has, and how fast that became less.
func (s snapshot) drain(node *messages.Node) *drainStatus {
	if !drains(node) {
		return nil
	}
	left, known := s.left(node.Id)
	switch {
	case !known:
		return &drainStatus{Percent: -1, ETASeconds: -1}
	case left == 0:
		return &drainStatus{Percent: 100}
	}
	had := max(int(node.DrainReplicas), left)
	d := &drainStatus{Percent: (had - left) * 100 / had, ETASeconds: -1}
	if first, seen := s.drains[messages.NodeID(node.Id)]; seen && first.left > left {
		d.ETASeconds = int64(((s.now - first.at) * time.Duration(left) / time.Duration(first.left-left)).Seconds())
	}
	return d
}

// left counts the groups that need a node; known tells whether all were heard who must be.
func (s snapshot) left(node uint64) (left int, known bool) {
	known = true
	for _, g := range s.config.GetGroups() {
		switch {
		case len(g.Nodes) == 0: // it is over
		case slices.Contains(g.Nodes, node):
			left++
		default:
			without, heard := s.without(messages.GroupID(g.Id), node)
			if !without {
				left++
			}
			known = known && heard
		}
	}
	return left, known
}

// without tells whether a group can do without a node for ever: its members have left it out, and most of them know that
// for sure. As long as they might forget it in a crash, they may need the node to find it out again. known tells whether
// those who are not heard could not make a difference.
func (s snapshot) without(group messages.GroupID, node uint64) (without, known bool) {
	led := s.led(group)
	if led == nil {
		return false, false
	}
	if slices.Contains(raft.Members(led.Conf), node) {
		return false, true
	}
	sure, silent := 0, 0
	for _, voter := range led.Conf.GetVoters() {
		switch r := s.replica(messages.NodeID(voter), group); {
		case r == nil:
			silent++
		case r.ConfDurable && !slices.Contains(raft.Members(r.Conf), node):
			sure++
		}
	}
	most := len(led.Conf.GetVoters())/2 + 1
	return sure >= most, sure >= most || sure+silent < most
}
