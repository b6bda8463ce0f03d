package cluster

import (
	"slices"
	"time"

	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/raftactor/raft"
)

// drainStatus is the progress of a drain: at 100 per cent no group needs the node any more, and it can be stopped.
type drainStatus struct {
	Percent    int   `json:"percent"`     // -1: unknown, since some nodes that could tell are silent
	ETASeconds int64 `json:"eta_seconds"` // -1: unknown, for that reason or because nothing has moved yet
}

// drainStart is what remained of a drain when this node learned of it.
type drainStart struct {
	sinceMs   uint64 // since when the node drains, which tells this drain from an earlier one
	at        time.Duration
	remaining int
}

// trackDrains records the start of drains that are new and forgets those that are over. The estimate of the remaining time is based
// on these records and on this node's own clock, as log time may lag behind.
func (b *statusBoard) trackDrains(s snapshot) {
	for _, node := range s.config.GetNodes() {
		id := messages.NodeID(node.Id)
		if !isDraining(node) {
			delete(b.drains, id)
			continue
		}
		if first, seen := b.drains[id]; seen && first.sinceMs == node.StateSinceMs {
			continue
		}
		delete(b.drains, id)
		if left, known := s.remaining(node.Id); known {
			b.drains[id] = drainStart{sinceMs: node.StateSinceMs, at: s.now, remaining: left}
		}
	}
}

func isDraining(node *messages.Node) bool {
	return !node.Removed && node.State == messages.NodeState_DRAINING
}

// drainStatus returns the progress of a node's drain; nil: it is not draining.
func (s snapshot) drainStatus(node *messages.Node) *drainStatus {
	if !isDraining(node) {
		return nil
	}
	left, known := s.remaining(node.Id)
	switch {
	case !known:
		return &drainStatus{Percent: -1, ETASeconds: -1}
	case left == 0:
		return &drainStatus{Percent: 100}
	}
	had := max(int(node.DrainReplicas), left)
	d := &drainStatus{Percent: (had - left) * 100 / had, ETASeconds: -1}
	if first, seen := s.drains[messages.NodeID(node.Id)]; seen && first.remaining > left {
		d.ETASeconds = int64(((s.now - first.at) * time.Duration(left) / time.Duration(first.remaining-left)).Seconds())
	}
	return d
}

// remaining counts the groups that still need a node. known reports whether every node that could change the count was heard.
func (s snapshot) remaining(node uint64) (left int, known bool) {
	known = true
	for _, g := range s.config.GetGroups() {
		switch {
		case len(g.Nodes) == 0: // the group has left the cluster
		case slices.Contains(g.Nodes, node):
			left++
		default:
			without, heard := s.removalDurable(messages.GroupID(g.Id), node)
			if !without {
				left++
			}
			known = known && heard
		}
	}
	return left, known
}

// removalDurable reports whether a group can do without a node for ever: the membership of its leader is without it, and a majority
// of the voters has that membership durable. Until then a crash could make them forget the removal, and need the node again. known
// reports whether the answer would be the same if the silent voters were heard.
func (s snapshot) removalDurable(group messages.GroupID, node uint64) (without, known bool) {
	led := s.leaderStatus(group)
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
