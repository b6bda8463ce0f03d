package persistence

import "github.com/eraft-io/eraft/messages"

// Position is the place of a command in the log.
type Position struct {
	Group  messages.GroupID
	Index  uint64
	Term   uint64
	TimeMs uint64 // log time, stamped by the leader, never goes back; the only time that a Machine knows
	// Level is the feature level of the entry: its commands need no higher one. At level 1 the leader has not checked that: the Machine
	// must ignore what came with a later level, as replicas that do not know it do.
	Level messages.Level
}

// Tx is a Machine's store while it applies commands: reads see the writes of the state batch so far. Slices given to it must not be changed
// later.
type Tx interface {
	Get(key []byte) (value []byte, found bool, err error)
	Put(key, value []byte)
	Delete(key []byte)
	// DeletePrefix deletes every key that starts with prefix, and nothing else.
	DeletePrefix(prefix []byte)
	// Scan visits keys of [low, high) in ascending order until visit returns false, the writes of the state batch included.
	// The slices given to visit are valid only during the call.
	Scan(low, high []byte, visit func(key, value []byte) bool) error
}
