// Package raftactor runs Raft replicas as actors. A Peer drives the pure algorithm of package raft, an Applier owns the group's data and
// runs a Machine, and a follower that lags too far gets a snapshot. A node has one Ticker and one HeartbeatCoalescer for all its
// replicas.
//
// Where to read on: peer.go has the loop, output.go what the core asks for; proposer.go and proposal_batcher.go turn commands into log
// entries; pending_reads.go and reads.go answer queries; maintain.go and membership.go bring a group to its target; log_retention.go,
// snapshots.go, snapshot_send.go and snapshot_receive.go bound the log; applier.go, state_batch.go and batch_policy.go write the data.
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
//
// A command is an encoded messages.Command, a query an encoded messages.Query; a Machine outside of this module has its own bytes in
// their custom field. A client that heard no answer sends a command again, and then the log has it twice: a Machine for which that
// matters keeps in its store what each session's newest commands were answered, and answers them again, as in
// examples/03-replicated-counter.
type Machine interface {
	// Open reads the store. Memory left from before must be forgotten.
	Open(store persistence.Reader) error

	// Apply executes one committed command. Commands come in log order, each exactly once per store: the
	// writes of tx, the applied index and everything else of a state batch reach the engine in one atomic write, so
	// after a crash Apply goes on exactly where the store is. The reply must carry the command's session and
	// seq. Apply refuses bad commands by the reply's code and leaves tx untouched; an error means that the
	// state or the log makes no sense (an unknown command, a failed read): the node stops and says why.
	Apply(tx Tx, at Position, command []byte) (*messages.Reply, error)

	// Query answers a read at the current state. It does not change anything. The reply must carry the query's
	// session and seq. An error stops the node, so a query that makes no sense is refused by the reply's code. Get does
	// not see what the Machine has not flushed (see Flusher), Scan does.
	Query(store persistence.Reader, query []byte) (*messages.Reply, error)
}

// Position and Tx are what Apply is given. They live in persistence so that a Machine needs no other package of ours.
type (
	Position = persistence.Position
	Tx       = persistence.Tx
)

// Flusher is a Machine that has something to write once per state batch rather than once per command: Flush is called
// before a state batch is written, before a Query scans, and after Open. Where batches begin and end differs between
// replicas, so Flush may only write what the commands so far determine.
type Flusher interface{ Flush(tx Tx) error }

// Viewer is a Machine that publishes what it knows: after every mailbox drain that changed it, View returns a new immutable value. The Peer checks proposals against it, and Options.OnView tells the rest of the node.
type Viewer interface {
	// View returns the same value until something has changed, so that it can be called often; nil: nothing is known yet.
	View() any
}

// Timed is a View with a time, in ms, below which log time must not be: data that came from another group has that time.
type Timed interface{ LogTime() uint64 }

// Checker refuses commands before they enter the log, so that what can be known to be wrong costs nothing.
// It is called on the Peer's goroutine with the newest View of the Machine (nil before the first), never
// touches the Machine itself, and is only a filter: Apply must refuse the same commands again.
type Checker func(view any, command []byte) *messages.Error
