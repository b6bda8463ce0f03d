package persistence

import (
	"github.com/asynkron/protoactor-go/actor"
	"github.com/eraft-io/eraft/messages"
)

// LogUpdate is one step of one group's log. Its parts take effect together, in the order of the fields.
type LogUpdate struct {
	Group     messages.GroupID
	HardState *messages.HardState    // nil: unchanged
	Snapshot  *messages.SnapshotMeta // the whole log is replaced: it starts after this state
	Truncate  uint64                 // drop entries with index >= this, 0: none
	Entries   []*messages.Entry      // contiguous; an entry at an index that exists replaces it and everything behind it
	Compact   *messages.SnapshotMeta // drop entries with index <= this; like Snapshot it becomes the start of the log
	Keep      uint64                 // with Compact: entries from here on are not dropped yet, 0: all are
	Remove    bool                   // forget the group, but for its HardState
}

// Persist asks the Writer to make a Save durable. Saves of one group take effect in the order they were sent.
type Persist struct {
	Update  LogUpdate
	Seq     uint64 // echoed; per group ascending
	ReplyTo *actor.PID
}

// Persisted answers all Persists of one group with a Seq up to this one: they are durable.
type Persisted struct {
	Group messages.GroupID
	Seq   uint64
}

// LoadedLog is what a group's log holds after a restart.
type LoadedLog struct {
	HardState   *messages.HardState
	Snapshot    *messages.SnapshotMeta // start of the log: the state up to here is not in it. Never nil
	Entries     []*messages.Entry      // contiguous from Snapshot.Index+1
	FirstOnDisk uint64                 // first entry that is there, also before the start; 0: none
}
