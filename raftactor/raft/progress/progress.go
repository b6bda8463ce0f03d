// Package progress is what a Raft leader knows about each follower, and how much it may send it: the flow control of replication. It
// is pure: it sends nothing itself.
//
// A follower is in one of three states:
//
//	        an acknowledgement of                     the log no longer has
//	        what was probed                           what the follower needs
//	Probe ───────────────────────▶ Replicate ───────────────────────▶ Snapshot
//	  ▲ ▲                              │                                 │
//	  │ └──────────────────────────────┘                                 │
//	  │  a rejection, or appends that count as lost                      │
//	  └──────────────────────────────────────────────────────────────────┘
//	     the snapshot has arrived, or its transfer has failed
//
// In Probe the leader does not know where the two logs agree. It sends one append and waits for the answer, or for the answer to a
// heartbeat, before it sends another. In Replicate it knows, and sends ahead of the answers, within a window. In Snapshot it sends no
// entries: a snapshot is on its way, and the entries behind it follow when it has arrived.
package progress

import (
	"slices"

	"github.com/eraft-io/eraft/messages"
)

// State of a follower, as its leader sees it.
type State int

// The states. See the package's documentation.
const (
	Probe State = iota
	Replicate
	Snapshot
)

// String is the name of the state in a status.
func (s State) String() string { return [...]string{"probe", "replicate", "snapshot"}[s] }

// Window bounds the appends that are on their way to one follower.
type Window struct {
	Messages int
	Bytes    int
}

// LostAfterHeartbeats is after how many answered heartbeats without an acknowledgement the appends on their way count as lost: the
// follower is there, so an answer to them would have come.
const LostAfterHeartbeats = 4

// Progress of one follower. The leader's Core owns it. Invariant: Match < Next.
type Progress struct {
	// ID is the follower's node id, and MemberSince the log index as of which it is a member. A replica of the same id that was a
	// member before was another one: its acknowledgements carry another MemberSince and do not count.
	ID, MemberSince uint64

	// Match is the highest index up to which the follower's log is known to be durable and the same as the leader's. It only grows.
	Match uint64
	// Next is the index of the first entry to send.
	Next  uint64
	State State

	// Paused, in Probe: an append is on its way, and no other is sent until it, or a heartbeat, is answered.
	Paused bool

	inflight      []inflight
	inflightBytes int
	unanswered    int // heartbeats answered since the last acknowledgement, while appends are on their way

	// SilentTicks counts ticks since the leader has heard from the follower.
	SilentTicks int
	// Recovering: the follower has said last that it has lost its log and does not vote until it has it back.
	Recovering bool
	// DiskStalled: the follower has said last that one of its disks does not answer, so it should not be made the leader.
	DiskStalled bool
	// ReadSeq is the newest round of ReadIndex that the follower has confirmed.
	ReadSeq uint64
	// LeaseAt is when the newest heartbeat was sent whose answer grants a lease, in nanoseconds of the leader's monotonic clock.
	LeaseAt uint64

	// SnapshotRequested: the driver was told that the follower needs a snapshot, and has not said yet how the transfer ended.
	SnapshotRequested bool
	// LoadRequested: the driver was told to read entries for the follower from the disk, and has not brought them yet.
	LoadRequested bool
	// Loaded is what was read for the follower: consecutive entries, the one before the first to send among them.
	Loaded []*messages.Entry
}

// inflight is one append that is on its way.
type inflight struct {
	last  uint64 // index of its last entry
	bytes int
}

// BecomeProbe looks anew for where the logs agree, from next on, or behind what is known to agree. What is on its way is forgotten.
func (p *Progress) BecomeProbe(next uint64) {
	p.State, p.Paused, p.SnapshotRequested = Probe, false, false
	p.Next = max(next, p.Match+1)
	p.inflight, p.inflightBytes, p.unanswered = nil, 0, 0
}

// BecomeReplicate sends ahead from behind what is known to agree.
func (p *Progress) BecomeReplicate() {
	p.BecomeProbe(p.Match + 1)
	p.State = Replicate
}

// BecomeSnapshot sends no entries until a snapshot has arrived. It reports whether the driver must be asked for one: false, if it was.
func (p *Progress) BecomeSnapshot() bool {
	p.State, p.inflight, p.inflightBytes = Snapshot, nil, 0
	first := !p.SnapshotRequested
	p.SnapshotRequested = true
	return first
}

// Sent notes an append up to index last: in Replicate what follows goes ahead of its answer, in Probe it waits for it.
func (p *Progress) Sent(last uint64, bytes int) {
	if p.State == Probe {
		p.Paused = true
		return
	}
	p.Next = last + 1
	p.inflight = append(p.inflight, inflight{last, bytes})
	p.inflightBytes += bytes
}

// Acknowledged notes that the follower has everything up to index. It reports whether that was new; an answer that comes late never
// moves Match back.
func (p *Progress) Acknowledged(index uint64) bool {
	p.unanswered = 0
	for len(p.inflight) > 0 && p.inflight[0].last <= index {
		p.inflightBytes -= p.inflight[0].bytes
		p.inflight = p.inflight[1:]
	}
	if index <= p.Match {
		return false
	}
	p.Match = index
	p.Next = max(p.Next, index+1)
	return true
}

// HeartbeatAnswered ends the pause of a probe. It reports whether the appends on their way count as lost.
func (p *Progress) HeartbeatAnswered() (lost bool) {
	p.Paused = false
	if p.State != Replicate || len(p.inflight) == 0 {
		return false
	}
	p.unanswered++
	return p.unanswered >= LostAfterHeartbeats
}

// Full tells whether nothing more may be sent now.
func (p *Progress) Full(w Window) bool {
	switch p.State {
	case Probe:
		return p.Paused
	case Replicate:
		return len(p.inflight) >= w.Messages || p.inflightBytes >= w.Bytes
	}
	return true
}

// Inflight is how many appends are on their way.
func (p *Progress) Inflight() int { return len(p.inflight) }

// Clone is a copy that shares nothing that changes.
func (p *Progress) Clone() *Progress {
	c := *p
	c.inflight = slices.Clone(p.inflight)
	return &c
}
