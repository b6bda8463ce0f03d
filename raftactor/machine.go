// Package raftactor runs Raft replicas as actors. A Peer steps the pure algorithm of package raft, an Applier
// owns the group's data and drives a Machine, and snapshot transfer brings a replica up that lags too far.
package raftactor

import (
	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/persistence"
)

// Machine is a deterministic state machine: what a group's log means. The same commands in the same order give
// the same store and the same replies on every replica, on every run. So a Machine has no clock, no random, no
// goroutine, no I/O but its store, and nothing may depend on the order of a Go map.
//
// The store is the state. A Machine may keep anything in memory for speed, but only what Open can rebuild:
// a snapshot is the store's content at an index, and after a crash the store is all there is.
//
// All methods are called by one actor, one at a time, in this order: Open; then any mix of Apply, Query and
// View; Open again whenever a snapshot from the leader has replaced the store.
type Machine interface {
	// Open reads the store. Memory left from before must be forgotten.
	Open(store persistence.Reader) error

	// Apply executes one committed command. Commands come in log order, each exactly once per store: the
	// writes of tx, the applied index and everything else of a turn reach the engine in one atomic batch, so
	// after a crash Apply goes on exactly where the store is. The reply must carry the command's session and
	// seq. Apply refuses bad commands by the reply's code and leaves tx untouched; an error means that the
	// state or the log makes no sense (an unknown command, a failed read): the node stops and says why.
	Apply(tx Tx, at Position, command []byte) (*messages.Reply, error)

	// Query answers a read at the current state. It does not change anything. An error stops the node.
	Query(store persistence.Reader, query []byte) (*messages.Reply, error)
}

// Position is where in the log a command stands.
type Position struct {
	Group  messages.GroupID
	Index  uint64
	Term   uint64
	TimeMs uint64 // log time: from the leader's clock, never goes back; the only time a Machine knows
}

// Tx is the store as Apply sees it: reads see the writes of the turn so far. Slices given to it must not change later.
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

// Viewer is a Machine that publishes what it knows: after every turn that changed it, View gives a new
// immutable value. The Peer checks proposals against it, and Options.OnView tells the rest of the node.
type Viewer interface {
	// View is nil-safe to call often; it returns the same value until something changed.
	View() any
}

// Checker refuses commands before they enter the log, so that what can be known to be wrong costs nothing.
// It is called on the Peer's goroutine with the newest View of the Machine (nil before the first), never
// touches the Machine itself, and is only a filter: Apply must refuse the same commands again.
type Checker func(view any, command []byte) *messages.Error
