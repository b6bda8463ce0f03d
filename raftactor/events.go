package raftactor

import "github.com/eraft-io/eraft/messages"

// LeaderChanged tells that the leader, the term or the role of this replica has changed; Leader 0: none is known.
type LeaderChanged struct {
	Group  messages.GroupID
	Leader messages.NodeID
	Term   uint64
	Role   string
}

// SnapshotSent tells that a transfer of a snapshot has ended; OK: the follower has staged all of it.
type SnapshotSent struct {
	Group messages.GroupID
	To    messages.NodeID
	Index uint64
	OK    bool
}

// SnapshotInstalled tells that this replica's data was replaced by the leader's.
type SnapshotInstalled struct {
	Group messages.GroupID
	Index uint64
}

// LogCompacted tells that the log now begins behind Index.
type LogCompacted struct {
	Group messages.GroupID
	Index uint64
}

// MemberChanged tells that this leader has proposed a membership change.
type MemberChanged struct {
	Group  messages.GroupID
	Node   messages.NodeID
	Change string
}

// DiskStalled tells that a disk of the node, of the log or of the data, has not answered for Limits.StallTicks or several times as
// long, or, with Over, that both answer again. A leader transfers its leadership meanwhile.
type DiskStalled struct {
	Group     messages.GroupID
	Over      bool
	Log, Data bool // which of them
}

func (DiskStalled) EventName() string { return "disk stalled" }

// ReplicaDestroyed tells that a replica's log and data are deleted from this node.
type ReplicaDestroyed struct{ Group messages.GroupID }

func (LeaderChanged) EventName() string     { return "leader changed" }
func (SnapshotSent) EventName() string      { return "snapshot sent" }
func (SnapshotInstalled) EventName() string { return "snapshot installed" }
func (LogCompacted) EventName() string      { return "log compacted" }
func (MemberChanged) EventName() string     { return "member changed" }
func (ReplicaDestroyed) EventName() string  { return "replica destroyed" }

// MessageDropped tells that the core did not accept a message or an order, and why.
type MessageDropped struct {
	Group  messages.GroupID
	From   messages.NodeID
	Reason error
}

func (MessageDropped) EventName() string { return "raft message dropped" }
