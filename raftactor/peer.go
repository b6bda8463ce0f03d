package raftactor

import (
	"errors"
	"fmt"
	"slices"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/eraft-io/eraft/actors"
	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/persistence"
	"github.com/eraft-io/eraft/raftactor/raft"
)

// Peer is one replica of one Raft group. It steps the Raft core over a whole mailbox drain and then carries out
// what the core asks for, once.
//
//	receives                 from       does
//	*messages.RaftMessages   Peers      steps messages of other replicas
//	pulsed                   Pulse      the same for a heartbeat or an answer to one
//	*messages.Requests       Routers    commands become one log entry, queries one ReadIndex; or a refusal with a hint
//	                                    to who asked a replica what only the leader answers
//	Tick                     Ticker     lets raft's time pass
//	Lost                     Ticker     a node that a group at rest relies on may be gone
//	*persistence.Persisted   Writer     what waited for the disk may go on
//	applied, flushed         Applier    frees memory, allows compaction
//	viewChanged              Applier    proposals are checked against it
//	probed                   Applier    the disk of the data answers
//	*persistence.Entries     LogReader  a piece of the log that a follower needs and memory does not have
//	snapshotProgress, snapshotEnded  senders  the log behind a snapshot is kept while it is on its way
//	staged                   receiver   a whole snapshot is there
//	Desire                   node       where the group's replicas should be
//	Transfer                 node       hand leadership over
//	Retire                   node       ends and is deleted, unless it is a member after all
//
// Peer never blocks, reads no clock but Env's, and reaches the disk only through the Writer.
type Peer struct {
	o         *Options
	store     store
	core      *raft.Core
	self      *actor.PID
	applier   *actor.PID
	coalescer *actor.PID

	proposals         proposals
	entry             *proposal          // what is gathered for the next entry
	entryBytes        int                // that it will probably need: as much as the one before
	requestIDs        map[requestID]bool // commands on their way, as of this turn; nil until somebody asks again
	batcher           proposalBatcher
	batchTimerRunning bool      // a pause is on its way
	coalescing        bool      // heartbeats of this turn go by Pulse
	quiesced          bool      // the Ticker has been told so
	logDisk           diskWatch // of the log
	dataDisk          diskWatch // of the data: what the Applier was asked, and has answered
	stalled           bool      // the core has been told so
	reads             []*messages.SessionRequests
	waitingReads      map[uint64][]*messages.SessionRequests // reads waiting for a ReadIndex, by token
	waitingCount      int
	waitingBytes      int // of them, encoded
	token             uint64
	pendingWrites     []pendingWrite // messages and restores that wait for a Persisted
	flushing          bool
	offered           bool // a staged snapshot waits for the core's decision
	view              any
	target            replicaTarget
	time              logTime
	drainTime         uint64 // log time as of this turn; 0 until somebody asks
	leader            raft.LeaderChange
	replies           *outbox
	transfers         snapshotTransfers
	retained          retainedSegments
	draw              func() uint64
	state             *messages.ReplicaStatus
	failed            bool
	destroying        bool
	removedAt         uint64
}

// held is what may go on when the Writer has made everything up to seq durable.
type pendingWrite struct {
	seq     uint64
	after   []*messages.RaftMessage
	restore *messages.SnapshotMeta
}

// pause is over: what is gathered may have waited long enough.
type batchTimer struct{}

// Tick lets one tick pass. Sent by the node's Ticker to all Peers at once.
type Tick struct{}

// Transfer asks the leader to hand leadership to another voter; 0 lets it choose the one that is up to date.
type TransferLeadership struct{ To messages.NodeID }

func newPeer(o *Options, s store, core *raft.Core) *Peer {
	address := o.System.Address()
	p := &Peer{
		o: o, store: s, core: core, time: newLogTime(),
		self:         actor.NewPID(address, PeerPath(o.Group)),
		applier:      actor.NewPID(address, ApplierPath(o.Group)),
		coalescer:    actor.NewPID(address, HeartbeatCoalescerPath),
		waitingReads: map[uint64][]*messages.SessionRequests{},
		replies:      newOutbox(o),
		transfers:    snapshotTransfers{},
		draw:         o.System.Rand("snapshot/" + o.Group.String()).Uint64,
	}
	p.token = p.draw()
	return p
}

func (p *Peer) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *actor.Started:
		p.o.System.Root.Send(p.o.Ticker, Subscribe{p.self})
		p.output()
	case *actor.Stopping:
		p.o.System.Root.Send(p.o.Ticker, Unsubscribe{p.self})
	case []any:
		if p.failed {
			if p.destroying {
				p.logDeleted(m)
			}
			return
		}
		p.core.At(raft.Nanos(p.o.System.Clock.Now())) // later than all of m came
		for _, element := range m {
			message, _ := actors.Unwrap(element)
			p.on(message)
		}
		p.requestIDs, p.drainTime = nil, 0
		p.propose()
		p.read()
		p.output()
		p.coalescing = false
		if p.destroying && !p.failed {
			p.destroy()
			return
		}
		p.quiesce()
	}
}

func (p *Peer) on(message any) {
	switch m := message.(type) {
	case *messages.RaftMessages:
		p.onRaft(m.Messages)
	case incomingHeartbeat:
		p.coalescing = true
		p.onRaft([]*messages.RaftMessage{m.message})
	case *messages.Requests:
		p.onRequests(m)
	case Tick:
		p.coalescing = true
		p.onTick()
	case NodeSuspected:
		p.core.NodeSuspected(uint64(m.Node))
	case *persistence.Persisted:
		p.onPersisted(m)
	case batchTimer:
		p.batchTimerRunning = false // propose comes at the end of every turn
	case applied:
		p.onApplied(m)
	case flushed:
		p.onFlushed(m)
	case viewChanged:
		p.view = m.view
	case probed:
		p.dataDisk.completed++
		p.answeredWhileQuiesced()
	case *persistence.Entries:
		p.core.Loaded(uint64(m.For), m.Entries)
	case snapshotProgress:
		p.onSnapshotSending(m)
	case snapshotEnded:
		p.onSnapshotSent(m)
	case snapshotStaged:
		p.onStaged(m)
	case ReplicaTarget:
		if m.OutOfSpace != p.target.outOfSpace {
			p.o.System.Root.Send(actor.NewPID(p.o.System.Address(), SnapshotPath(p.o.Group)), outOfSpace{m.OutOfSpace})
		}
		p.target.set(m)
		if p.core.Soft().Role == raft.Leader {
			p.core.Wake()
		}
	case TransferLeadership:
		p.onTransfer(m)
	case DestroyReplica:
		p.onRetire(m)
	}
}

// fail stops the node: this replica's memory can no longer be trusted.
func (p *Peer) fail(err error) {
	p.failed = true
	p.o.System.Fatal(fmt.Errorf("group %d: %w", p.o.Group, err))
}

func (p *Peer) onRaft(all []*messages.RaftMessage) {
	for _, message := range all {
		if message.GetTo() != uint64(p.o.Node) || message.GetGroup() != uint64(p.o.Group) {
			continue // meant for a node that had this address before
		}
		if !wellFormed(message) {
			p.o.System.Events(MessageDropped{Group: p.o.Group, From: messages.NodeID(message.From), Reason: errDamaged})
			continue
		}
		if p.target.outOfSpace && message.Kind == messages.RaftKind_APPEND && len(message.Entries) > 0 {
			continue // it comes again until there is room
		}
		p.time.observe(message.From, message.ClockMs, p.o.System.Clock.Now())
		if err := p.core.Step(message); err != nil {
			p.o.System.Events(MessageDropped{Group: p.o.Group, From: messages.NodeID(message.From), Reason: err})
		}
	}
}

var errDamaged = errors.New("an entry that cannot be taken apart")

// whole tells whether the Applier will be able to take all entries of a message apart.
func wellFormed(m *messages.RaftMessage) bool {
	return !slices.ContainsFunc(m.Entries, func(e *messages.Entry) bool {
		return e.Kind == messages.EntryKind_COMMANDS && !messages.Block(e.Data).Complete()
	})
}

func (p *Peer) onTick() {
	p.watchDisk()
	p.core.Tick()
	p.maintain()
	p.report()
}

func (p *Peer) onPersisted(m *persistence.Persisted) {
	p.logDisk.completed = m.Seq
	p.core.Persisted(m.Seq)
	p.answeredWhileQuiesced()
	for len(p.pendingWrites) > 0 && p.pendingWrites[0].seq <= m.Seq {
		h := p.pendingWrites[0]
		p.pendingWrites = p.pendingWrites[1:]
		p.send(h.after)
		if h.restore != nil {
			p.o.System.Root.Send(p.applier, restore{h.restore})
		}
	}
}

func (p *Peer) onApplied(m applied) {
	p.core.Applied(m.index)
	p.proposals.applied(m.index)
	p.dataDisk.submitted, p.dataDisk.completed = p.dataDisk.submitted+1, p.dataDisk.completed+1 // it is slow, but gets on
	if p.answeredWhileQuiesced(); p.quiesced {
		p.compact()
	}
}

func (p *Peer) onTransfer(m TransferLeadership) {
	to := uint64(m.To)
	if to == 0 {
		to = mostUpToDateVoter(p.core.Status())
	}
	if to == 0 {
		return
	}
	if err := p.core.Transfer(to); err != nil {
		p.o.System.Events(MessageDropped{Group: p.o.Group, From: p.o.Node, Reason: err})
	}
}

// report tells the node how this replica is, if it changed.
func (p *Peer) report() {
	if p.o.OnState == nil {
		return
	}
	s := p.core.Status()
	if p.state != nil && p.state.Term == s.Term && p.state.Leader == s.Leader && p.state.Commit == s.Commit &&
		p.state.Applied == s.Applied && p.state.Last == s.Last && p.state.First == s.First && p.state.Role == s.Role.String() &&
		p.state.LeaseValid == p.leaseValid(s) && p.state.DiskStalled == p.stalled && p.state.ConfDurable == s.ConfDurable &&
		p.state.LogBytes == uint64(p.core.LogBytes()) && p.state.PendingBytes == uint64(p.proposals.bytes) &&
		p.state.PendingReads == uint64(p.waitingCount) && p.state.SnapshotsSending == uint64(p.transfers.running()) {
		return
	}
	p.state = &messages.ReplicaStatus{
		Group: uint64(p.o.Group), Role: s.Role.String(), Term: s.Term, Leader: s.Leader, Commit: s.Commit,
		Applied: s.Applied, First: s.First, Last: s.Last, Conf: s.Conf, LeaseValid: p.leaseValid(s), DiskStalled: p.stalled, ConfDurable: s.ConfDurable,
		LogBytes: uint64(p.core.LogBytes()), PendingBytes: uint64(p.proposals.bytes),
		PendingReads: uint64(p.waitingCount), SnapshotsSending: uint64(p.transfers.running()),
	}
	p.o.OnState(p.state)
}

// leased tells of a lease that is kept alive: a group at rest lets it run out.
func (p *Peer) leaseValid(s raft.Status) bool { return s.Lease > 0 && !p.core.Quiesced() }
