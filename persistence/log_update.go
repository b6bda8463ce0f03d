package persistence

import (
	"github.com/asynkron/protoactor-go/actor"
	"github.com/eraft-io/eraft/messages"
)

// LogUpdate is one change of one group's log. Its parts take effect together, in the order of the fields.
type LogUpdate struct {
	Group     messages.GroupID
	HardState *messages.HardState    // nil: it does not change
	Snapshot  *messages.SnapshotMeta // replaces the whole log: it begins behind this state; nil: it does not
	Truncate  uint64                 // delete entries with index >= this; 0: none
	Entries   []*messages.Entry      // contiguous; an entry at an index that exists replaces it and everything behind it
	Compact   *messages.SnapshotMeta // delete entries with index <= its own; it becomes the start of the log; nil: none
	Keep      uint64                 // with Compact: entries from this index on stay on the disk; 0: none does
	Remove    bool                   // delete everything of the group but its HardState
}

// Persist asks the Writer to make a LogUpdate durable. Updates of one group take effect in the order in which they were sent.
type Persist struct {
	Update  LogUpdate
	Seq     uint64 // echoed in the reply; ascending per group
	ReplyTo *actor.PID
}

// Persisted is the reply to all Persists of one group with a Seq up to this one: they are durable.
type Persisted struct {
	Group messages.GroupID
	Seq   uint64
}

// LoadedLog is a group's log as it is on the disk at a start.
type LoadedLog struct {
	HardState   *messages.HardState
	Snapshot    *messages.SnapshotMeta // the state before the first entry. Never nil
	Entries     []*messages.Entry      // contiguous from Snapshot.Index+1
	FirstOnDisk uint64                 // index of the first entry on the disk, which may be before the start; 0: there is none
}
