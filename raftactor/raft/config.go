package raft

import (
	"errors"
	"fmt"
	"math/rand/v2"

	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/raftactor/raft/progress"
)

// Why an input was not taken. An input that is refused has no effect.
var (
	ErrNotLeader    = errors.New("not the leader")
	ErrOverloaded   = errors.New("too many uncommitted bytes")
	ErrTransferring = errors.New("leadership is being transferred")
	ErrConfPending  = errors.New("another membership change is under way")
	ErrInvalidConf  = errors.New("membership change makes no sense")
	ErrStale        = errors.New("message of an older term")
	ErrSticky       = errors.New("vote ignored: the leader was heard of recently")
	ErrUnwanted     = errors.New("message does not fit this replica's role")
	ErrFormerMember = errors.New("acknowledgement of what this replica was before it was removed")
	ErrNoAnswer     = errors.New("the leader did not answer")
	ErrFull         = errors.New("too much of the log is not applied")
	ErrObsolete     = errors.New("snapshot is older than what is committed here")
)

// Config of one replica. It does not change during the replica's life. All sizes are in bytes.
type Config struct {
	ID    uint64 // node id of this replica, above 0
	Group uint64 // of which it is a replica; it is copied into messages

	// ElectionTicks is the election timeout: a follower that hears no leader for a random number of ticks in
	// [ElectionTicks, 2*ElectionTicks) campaigns, and a leader that hears no quorum for ElectionTicks steps down. The longer, the
	// fewer needless elections, and the longer a group is without a leader when one dies.
	ElectionTicks int
	// HeartbeatTicks is how often a leader sends heartbeats; below ElectionTicks, so that a lost one starts no election.
	HeartbeatTicks int
	// QuiesceTicks is for how long nothing must have happened until a group quiesces; 0: never. A driver that sets it must call
	// NodeSuspected, since no election timeout runs in a quiesced group.
	QuiesceTicks int

	// LeaseGrant is for how long a follower that hears its leader votes for nobody else, by its own clock; 0: it grants no leases.
	LeaseGrant Nanos
	// Lease is for how long a leader counts on that, from when it sent the heartbeat; 0: it asks a quorum for every read. It is
	// shorter than LeaseGrant by more than clocks may differ in speed.
	Lease Nanos

	MaxAppendBytes      int // entries of one append; a larger entry travels alone
	MaxInflightMessages int // appends on their way to one follower
	MaxInflightBytes    int // likewise
	MaxUncommittedBytes int // behind the commit index; above it a leader refuses proposals: ErrOverloaded
	MaxApplyBytes       int // of entries that were handed out in Ready.Apply and are not Applied
	MaxLogBytes         int // of the log in memory; above it the data of entries that are durable and committed is dropped, and read from the disk again

	Rand *rand.Rand // spreads election timeouts; a seeded one makes the core deterministic
}

// Validate refuses a Config that cannot work.
func (c Config) Validate() error {
	switch {
	case c.ID == 0:
		return errors.New("raft: ID is 0")
	case c.Rand == nil:
		return errors.New("raft: Rand is nil")
	case c.HeartbeatTicks <= 0 || c.ElectionTicks <= c.HeartbeatTicks:
		return fmt.Errorf("raft: need 0 < HeartbeatTicks (%d) < ElectionTicks (%d)", c.HeartbeatTicks, c.ElectionTicks)
	case c.Lease < 0 || c.Lease > 0 && c.Lease >= c.LeaseGrant:
		return fmt.Errorf("raft: need 0 <= Lease (%v) < LeaseGrant (%v)", c.Lease, c.LeaseGrant)
	case min(c.MaxAppendBytes, c.MaxInflightMessages, c.MaxInflightBytes, c.MaxUncommittedBytes, c.MaxApplyBytes, c.MaxLogBytes) <= 0:
		return errors.New("raft: every limit must be positive")
	}
	return nil
}

func (c Config) window() progress.Window {
	return progress.Window{Messages: c.MaxInflightMessages, Bytes: c.MaxInflightBytes}
}

// Boot is what a replica finds on its disks when it starts. A replica that has never run has an empty Boot, or, as one of a
// group's first members, a Snapshot that names them.
type Boot struct {
	HardState   *messages.HardState
	Snapshot    *messages.SnapshotMeta // the state before the first of Entries
	Entries     []*messages.Entry
	FirstOnDisk uint64 // index of the first entry on the disk, if the disk has some before Entries; 0: it has not
	Applied     uint64 // index that the data is at
	Now         Nanos  // as for At
}
