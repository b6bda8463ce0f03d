package raftactor

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/eraft-io/eraft/actors"
	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/persistence"
	"github.com/eraft-io/eraft/raftactor/raft"
)

// Options say what a replica is and what it needs. Fields that are not called optional must be set. Functions are called on the goroutine
// of an actor and must not block.
type Options struct {
	Group       messages.GroupID
	Node        messages.NodeID
	System      *actors.System
	Writer      *actor.PID         // of the node's log
	LogReader   *actor.PID         // of the same log
	StateWriter *actor.PID         // of State
	Ticker      *actor.PID         // of the node, see NewTicker
	State       persistence.Engine // the node's data; the replica touches only its own group's keys
	Machine     Machine
	Log         persistence.LoadedLog         // what the Writer's log holds for the group
	Address     func(messages.NodeID) string  // of a node's actors; "" if unknown. Called on any goroutine
	Check       Checker                       // optional
	Level       messages.Level                // feature level of this program; an entry above it stops the node. 0: NewestLevel
	Cluster     func() messages.Level         // feature level of the cluster; Check lets nothing above it pass. Optional: 1
	Grows       func(command []byte) bool     // optional: whether a command makes the data larger, and is refused on a full disk
	OnView      func(messages.GroupID, any)   // optional; the Machine's new View, on the Applier's goroutine
	OnState     func(*messages.ReplicaStatus) // optional; a changed status, on the Peer's goroutine
	OnCommit    func(took time.Duration)      // optional; time from proposal to commit of an entry, on the Peer's goroutine of a leader
	OnDestroyed func(messages.GroupID)        // a DestroyReplica is done: log and data are deleted. On the Applier's goroutine
	OnApply     Observer                      // optional; after each command, on the Applier's goroutine
	OnRead      ReadObserver                  // optional; after each query, on the Applier's goroutine
	Limits      Limits
}

// Observer sees each command that a replica applies, with its position in the log and the Machine's reply.
type Observer func(node messages.NodeID, at Position, command []byte, reply *messages.Reply)

// ReadObserver sees each query that a replica answers, with the reply and the index that its data was at.
type ReadObserver func(node messages.NodeID, group messages.GroupID, index uint64, query []byte, reply *messages.Reply)

// Limits bound memory, message sizes and times. The zero value of a field means its default.
type Limits struct {
	ElectionTicks    int // of TickInterval; election timeouts are drawn from [n, 2n). Default 8: 400 to 800 ms
	HeartbeatTicks   int // default 2
	QuiesceTicks     int // without activity until a group quiesces. Default 20: 1 s; below 0: never
	StallTicks       int // without an answer of the disk until a leader transfers its leadership. Default 20: 1 s
	EntryBytes       int // commands of one log entry. Default 512 KiB
	AppendBytes      int // entries of one append message. Default 1 MiB
	InflightMessages int // appends on their way to one follower. Default 64
	InflightBytes    int // bytes of these. Default 2 MiB: what waits on a connection delays the heartbeats of all groups
	PendingBytes     int // of commands proposed by this leader and not applied here; above it commands are OVERLOADED. Default 32 MiB
	PendingReads     int // queries that wait at the Peer, and as many at the Applier; above it they are OVERLOADED. Default 65536
	ReadBytes        int // of these queries, encoded; above it they are OVERLOADED. Default 16 MiB
	AnswerBytes      int // of replies to queries of one session in one mailbox drain of the Applier, 16 times as much of all. Default 1 MiB
	ChunkBytes       int // of keys and values in one chunk of a snapshot; a single larger pair is still sent. Default 256 KiB
	SnapshotRate     int // bytes per second of a snapshot to one follower. Default 64 MiB
	RetainBytes      int // of the applied log kept in memory for followers that lag; at four times as much the log is compacted. Default 8 MiB
	Mailbox          int // messages queued at the Peer; above it requests are OVERLOADED. Default 16384
	MailboxBytes     int // of commands, queries and entries in these; above it likewise. Default 64 MiB

	// LeaseReads lets a leader answer reads without asking a quorum while it holds a lease. They are linearizable only
	// as long as no node's clock runs more than ClockRatio times as fast as another's; that of a machine that is
	// suspended, or moved to another host while it runs, may not run at all meanwhile.
	LeaseReads bool
	ClockRatio float64 // at least 1.01. Default 1.25: a lease of 320 ms
}

// WithDefaults replaces zero fields by their defaults.
func (l Limits) WithDefaults() Limits {
	for _, f := range []struct {
		field *int
		value int
	}{
		{&l.ElectionTicks, 8}, {&l.HeartbeatTicks, 2}, {&l.StallTicks, 20}, {&l.EntryBytes, 512 << 10}, {&l.AppendBytes, 1 << 20},
		{&l.InflightMessages, 64}, {&l.InflightBytes, 2 << 20}, {&l.PendingBytes, 32 << 20},
		{&l.PendingReads, 1 << 16}, {&l.ReadBytes, 16 << 20}, {&l.AnswerBytes, 1 << 20}, {&l.RetainBytes, 8 << 20}, {&l.ChunkBytes, 256 << 10}, {&l.SnapshotRate, 64 << 20},
		{&l.Mailbox, 1 << 14}, {&l.MailboxBytes, 64 << 20},
	} {
		if *f.field <= 0 {
			*f.field = f.value
		}
	}
	if l.QuiesceTicks == 0 {
		l.QuiesceTicks = 20
	}
	if l.ClockRatio == 0 {
		l.ClockRatio = 1.25
	}
	l.ClockRatio = max(l.ClockRatio, minClockRatio)
	return l
}

// Validate fails for limits with which messages could be made that are too large to be sent.
func (l Limits) Validate() error {
	for _, f := range []struct {
		name  string
		bytes int
	}{{"EntryBytes", l.EntryBytes}, {"AppendBytes", l.AppendBytes}, {"ChunkBytes", l.ChunkBytes}} {
		if f.bytes > messages.MaxCommandBytes {
			return fmt.Errorf("%s is %d, but %d is the most: what is larger could not be sent", f.name, f.bytes, messages.MaxCommandBytes)
		}
	}
	return nil
}

// CompactBytes is how many bytes a log may take in memory until it is compacted; what followers are being sent may keep more.
func (l Limits) CompactBytes() int { return 4 * l.WithDefaults().RetainBytes }

// LogBytes is how many bytes a log may take in memory; above it what is not applied yet is read from the disk again.
func (l Limits) LogBytes() int { return 8 * l.WithDefaults().RetainBytes }

// SyncBytes draws how much may be written to the state of a node until its StateWriter has it synced: four to six times
// RetainBytes. What a log grows by is about what its state does, so most logs are cut then. The larger the table that a sync
// makes, the less work the merges of tables are. Each node draws its own number: its replicas write what those of others do,
// and a group is slow when all write tables at the same moment.
func (l Limits) SyncBytes(rng *rand.Rand) int {
	retain := l.WithDefaults().RetainBytes
	return 4*retain + rng.IntN(2*retain)
}

// minClockRatio is by how much clocks are always taken to differ.
const minClockRatio = 1.01

// leaseGrant is for how long a follower that hears its leader votes for nobody else.
func (l Limits) leaseGrant() time.Duration { return time.Duration(l.ElectionTicks) * TickInterval }

// lease is for how long a leader counts on leaseGrant; 0: it asks a quorum for every read.
func (l Limits) lease() time.Duration {
	if !l.LeaseReads {
		return 0
	}
	return time.Duration(float64(l.leaseGrant()) / l.ClockRatio)
}

// PeerPath is the path of a group's Peer on every node that has a replica.
func PeerPath(group messages.GroupID) string { return "raft/" + group.String() }

// ApplierPath is the path of a group's Applier.
func ApplierPath(group messages.GroupID) string { return PeerPath(group) + "/apply" }

// SnapshotPath is the path of the actor that receives a group's snapshots.
func SnapshotPath(group messages.GroupID) string { return "snapshot/" + group.String() }

// Paths are the paths of all actors of a replica, in the order in which they are to be stopped.
func Paths(group messages.GroupID) []string {
	return []string{PeerPath(group), ApplierPath(group), SnapshotPath(group)}
}

// Start starts a replica from its log and data. It reads the disk, so it is called outside of any actor.
// The actors it spawns are durable: if one of them fails the node stops.
//
// On the first nodes of a new group its log is given a start before: a persistence.LogUpdate with InitialSnapshot and a HardState of term 1 and commit
// 1. The actors in Options are spawned once per node, as in the example of Machine and in examples/03-replicated-counter.
func Start(o Options) error {
	if err := o.Limits.Validate(); err != nil {
		return fmt.Errorf("start group %d: %w", o.Group, err)
	}
	o.Limits = o.Limits.WithDefaults()
	if o.Level == 0 {
		o.Level = messages.NewestLevel
	}
	s := store{engine: o.State, group: o.Group}
	at, err := s.recoverStore(o.Log.Snapshot)
	if err != nil {
		return fmt.Errorf("start group %d: %w", o.Group, err)
	}
	if last := o.Log.Snapshot.Index + uint64(len(o.Log.Entries)); at.Index > last {
		return &persistence.CorruptError{
			Where: fmt.Sprintf("log of group %d", o.Group),
			What: fmt.Sprintf("it ends at index %d, but the data is at %d already: the end of the log is lost, or it is older than the data; %s",
				last, at.Index, persistence.ReplaceNode),
		}
	}
	core, err := raft.New(raft.Config{
		ID: uint64(o.Node), Group: uint64(o.Group),
		ElectionTicks: o.Limits.ElectionTicks, HeartbeatTicks: o.Limits.HeartbeatTicks, QuiesceTicks: o.Limits.QuiesceTicks,
		LeaseGrant: raft.Nanos(o.Limits.leaseGrant()), Lease: raft.Nanos(o.Limits.lease()),
		MaxAppendBytes:      o.Limits.AppendBytes,
		MaxInflightMessages: o.Limits.InflightMessages, MaxInflightBytes: o.Limits.InflightBytes,
		MaxUncommittedBytes: o.Limits.PendingBytes, MaxApplyBytes: o.Limits.PendingBytes, MaxLogBytes: o.Limits.LogBytes(),
		Rand: o.System.Rand("raft/" + o.Group.String()),
	}, raft.Boot{HardState: o.Log.HardState, Snapshot: o.Log.Snapshot, Entries: o.Log.Entries, FirstOnDisk: o.Log.FirstOnDisk, Applied: at.Index,
		Now: raft.Nanos(o.System.Clock.Now()),
	})
	if err != nil {
		return fmt.Errorf("start group %d: %w", o.Group, err)
	}
	return spawn(&o, s, at, core)
}

func spawn(o *Options, s store, at *messages.SnapshotMeta, core *raft.Core) error {
	self := o.System.Address()
	peer := actor.NewPID(self, PeerPath(o.Group))
	_, err := o.System.Spawn(ApplierPath(o.Group), func() actor.Actor { return newApplier(o, s, at, peer) },
		actors.Durable(), actors.Batching(actors.MailboxBound{}, nil))
	if err != nil {
		return err
	}
	_, err = o.System.Spawn(PeerPath(o.Group), func() actor.Actor { return newPeer(o, s, core) },
		actors.Durable(), actors.Batching(actors.MailboxBound{Messages: o.Limits.Mailbox, Bytes: o.Limits.MailboxBytes, Size: mailboxBytes}, shedMessage(o)))
	if err != nil {
		return err
	}
	// The receiver may tell the Peer of a staged snapshot when it starts.
	_, err = o.System.Spawn(SnapshotPath(o.Group), func() actor.Actor { return newSnapshotReceiver(o, s, peer) }, actors.Durable())
	return err
}

// Stop stops a replica's actors and waits for it. Messages in their mailboxes are dropped, as in a crash; what the Writer has been given is
// written.
func Stop(system *actors.System, group messages.GroupID) error {
	for _, path := range Paths(group) {
		if err := system.Root.StopFuture(actor.NewPID(system.Address(), path)).Wait(); err != nil {
			return fmt.Errorf("stop %s: %w", path, err)
		}
	}
	return nil
}

// shedMessage refuses requests and drops Raft messages when the Peer's mailbox is full: Raft sends again, and sessions are told.
// Messages from this node always get in: they are what empties the mailbox.
func shedMessage(o *Options) func(any) bool {
	return func(element any) bool {
		message, _ := actors.Unwrap(element)
		switch m := message.(type) {
		case *messages.Requests:
			answers := newOutbox(o)
			refuseAll(answers, m, messages.Errorf(messages.Code_OVERLOADED, "group %d has too much to do", o.Group))
			answers.flush()
			return true
		case *messages.RaftMessages, incomingHeartbeat:
			return true
		}
		return false
	}
}

// mailboxBytes is about how many bytes of memory a message takes that other nodes send, as far as it can be large.
func mailboxBytes(element any) (bytes int) {
	message, _ := actors.Unwrap(element)
	switch m := message.(type) {
	case *messages.Requests:
		for _, requests := range m.GetSessions() {
			for _, all := range [][][]byte{requests.GetRetries(), requests.GetCommands(), requests.GetQueries(), requests.GetReplicaQueries()} {
				for _, encoded := range all {
					bytes += len(encoded)
				}
			}
		}
	case *messages.RaftMessages:
		for _, r := range m.GetMessages() {
			for _, entry := range r.GetEntries() {
				bytes += len(entry.GetData())
			}
		}
	}
	return bytes
}

func refuseAll(answers *outbox, m *messages.Requests, why *messages.Error) {
	for _, requests := range m.Sessions {
		refuseSession(answers, requests, why)
		for _, encoded := range requests.ReplicaQueries {
			answers.refuse(sessionOf(requests), encoded, why)
		}
	}
}

// refuseSession refuses what is meant for a leader.
func refuseSession(answers *outbox, requests *messages.SessionRequests, why *messages.Error) {
	for _, encoded := range slices.Concat(requests.Retries, requests.Commands, requests.Queries) {
		answers.refuse(sessionOf(requests), encoded, why)
	}
}

// InitialSnapshot is where a group's log starts on its first nodes: behind an empty state at index 1 that names the first voters. Any
// other replica starts with nothing, and learns the members by its first snapshot.
func InitialSnapshot(voters []uint64) *messages.SnapshotMeta {
	return &messages.SnapshotMeta{Index: 1, Term: 1, Conf: &messages.ConfState{Voters: voters}}
}
