package persistence

import "github.com/eraft-io/eraft/messages"

// Position is where in the log a command stands.
type Position struct {
	Group  messages.GroupID
	Index  uint64
	Term   uint64
	TimeMs uint64 // log time: from the leader's clock, never goes back; the only time a Machine knows
	// Level is the feature level of the entry: its commands need no more. Below 2 nobody has looked: what came later than
	// level 1 is then to be ignored, as replicas do that do not know it.
	Level messages.Level
}

// Tx is a Machine's store as it sees it while it applies: reads see the writes of the turn so far. Slices given to
// it must not change later.
type Tx interface {
	Get(key []byte) (value []byte, found bool, err error)
	Put(key, value []byte)
	Delete(key []byte)
	// DeletePrefix deletes every key that starts with prefix, and nothing else.
	DeletePrefix(prefix []byte)
	// Scan visits keys of [low, high) in ascending order until visit returns false, this turn's writes included.
	// The slices given to visit are valid only during the call.
	Scan(low, high []byte, visit func(key, value []byte) bool) error
}
