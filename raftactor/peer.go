package raftactor

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/eraft-io/eraft/actors"
	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/persistence"
	"github.com/eraft-io/eraft/raftactor/raft"
)

// Peer is one replica of one Raft group. It steps the Raft core over a whole mailbox drain and then carries out, once, what the core
// asks for. Peer keeps this loop; what there is to decide beside Raft is decided by the objects that it owns.
//
//	receives                 from           does
//	*messages.RaftMessages   Peers          steps messages of other replicas
//	incomingHeartbeat        HeartbeatCoalescer  the same for a heartbeat or the reply to one
//	*messages.Requests       Routers        commands become one log entry, queries one ReadIndex; a replica that does not lead
//	                                        refuses what only the leader answers, with a hint at the leader
//	Tick                     Ticker         lets a tick of Raft's time pass
//	NodeSuspected            Ticker         a node that a quiesced group relies on may be down
//	*persistence.Persisted   Writer         what waited for the disk may go on
//	batchTimer               itself         the commands gathered may have waited long enough
//	applied, flushed         Applier        frees memory, allows compaction
//	viewChanged              Applier        commands are checked against the new view
//	probed                   Applier        the disk of the data answers
//	*persistence.Entries     LogReader      entries that a follower needs and memory does not have
//	snapshotProgress, snapshotEnded  snapshotSender  the log behind a snapshot is kept while it is on its way
//	snapshotStaged           snapshotReceiver  a whole snapshot is on the disk
//	ReplicaTarget            node           where the group's replicas should be
//	TransferLeadership       node           transfers leadership
//	DestroyReplica           node           destroys this replica, unless it is a member after all
//
// Peer never blocks, reads no clock but Env's, and reaches the disk only through the Writer.
type Peer struct {
	o    *Options
	core *raft.Core
	pids replicaPIDs
	end  end

	proposer   *proposer
	reads      *pendingReads
	membership membership
	snapshots  snapshots
	retention  logRetention
	disks      diskMonitor
	writes     pendingWrites
	clock      logClock
	transport  transport
	replies    *outbox
	announced  announced
}

// replicaPIDs are the actors of this replica.
type replicaPIDs struct{ peer, applier, receiver *actor.PID }

// end is how this replica ends: it fails with the node, or is destroyed.
type end struct {
	failed     bool   // nothing is done or answered any more
	destroying bool   // because the replica is being destroyed
	removedAt  uint64 // index as of which it is no member
}

// batchTimer ends a wait of the proposer for more commands.
type batchTimer struct{}

// Tick lets one tick pass. Sent by the node's Ticker to all Peers at once.
type Tick struct{}

func newPeer(o *Options, s store, core *raft.Core) *Peer {
	self := o.System.Address()
	p := &Peer{
		o: o, core: core, replies: newOutbox(o),
		pids: replicaPIDs{
			peer: actor.NewPID(self, PeerPath(o.Group)), applier: actor.NewPID(self, ApplierPath(o.Group)), receiver: actor.NewPID(self, SnapshotPath(o.Group)),
		},
		snapshots: snapshots{o: o, store: s, draw: o.System.Rand("snapshot/" + o.Group.String()).Uint64},
		retention: logRetention{retainBytes: o.Limits.RetainBytes, transfers: snapshotTransfers{}},
		disks:     diskMonitor{limit: o.Limits.StallTicks},
		clock:     logClock{clock: o.System.Clock, node: uint64(o.Node), time: newLogTime()},
		transport: transport{o: o, coalescer: actor.NewPID(self, HeartbeatCoalescerPath), unreachable: core.Unreachable},
	}
	p.reads = newPendingReads(o, p.replies, p.snapshots.draw())
	p.proposer = newProposer(o, core, p.replies, proposerEnv{
		now: o.System.Clock.Now, logTime: p.logTime, level: p.level, refusal: p.refusal,
		startTimer: func(wait time.Duration) {
			o.System.Clock.After(wait, func() { o.System.Root.Send(p.pids.peer, batchTimer{}) })
		},
	})
	return p
}

func (p *Peer) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *actor.Started:
		p.o.System.Root.Send(p.o.Ticker, Subscribe{p.pids.peer})
		p.output()
	case *actor.Stopping:
		p.o.System.Root.Send(p.o.Ticker, Unsubscribe{p.pids.peer})
	case []any:
		if p.end.failed {
			if p.end.destroying {
				p.onDestroying(m)
			}
			return
		}
		p.core.At(raft.Nanos(p.o.System.Clock.Now())) // all of m came before that
		for _, element := range m {
			message, _ := actors.Unwrap(element)
			p.on(message)
		}
		p.proposer.endDrain()
		p.clock.drain = 0
		p.proposer.propose()
		p.read()
		p.output()
		p.transport.coalescing = false
		if p.end.destroying && !p.end.failed {
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
		p.transport.coalescing = true
		p.onRaft([]*messages.RaftMessage{m.message})
	case *messages.Requests:
		p.onRequests(m)
	case Tick:
		p.transport.coalescing = true
		p.onTick()
	case NodeSuspected:
		p.core.NodeSuspected(uint64(m.Node))
	case *persistence.Persisted:
		p.onPersisted(m)
	case batchTimer:
		p.proposer.timerRunning = false // propose comes at the end of every drain
	case applied:
		p.onApplied(m)
	case flushed:
		p.onFlushed(m)
	case viewChanged:
		p.onViewChanged(m)
	case probed:
		p.disks.probed()
		p.onDiskAnswer()
	case *persistence.Entries:
		p.core.Loaded(uint64(m.For), m.Entries)
	case snapshotProgress:
		p.retention.transfers.progress(m)
	case snapshotEnded:
		p.onSnapshotEnded(m)
	case snapshotStaged:
		p.onSnapshotStaged(m)
	case ReplicaTarget:
		p.onReplicaTarget(m)
	case TransferLeadership:
		p.onTransferLeadership(m)
	case DestroyReplica:
		p.onDestroyReplica(m)
	}
}

// fail stops the node: this replica's memory can no longer be trusted.
func (p *Peer) fail(err error) {
	p.end.failed = true
	p.o.System.Fatal(fmt.Errorf("group %d: %w", p.o.Group, err))
}

func (p *Peer) onRaft(all []*messages.RaftMessage) {
	for _, message := range all {
		if message.GetTo() != uint64(p.o.Node) || message.GetGroup() != uint64(p.o.Group) {
			continue // meant for a node that had this address before
		}
		if !wellFormed(message) {
			p.o.System.Events(MessageDropped{Group: p.o.Group, From: messages.NodeID(message.From), Reason: errMalformed})
			continue
		}
		if p.membership.target.OutOfSpace && message.Kind == messages.RaftKind_APPEND && len(message.Entries) > 0 {
			continue // the leader sends it again until there is space
		}
		p.clock.time.observe(message.From, message.ClockMs, p.o.System.Clock.Now())
		if err := p.core.Step(message); err != nil {
			p.o.System.Events(MessageDropped{Group: p.o.Group, From: messages.NodeID(message.From), Reason: err})
		}
	}
}

var errMalformed = errors.New("an entry cannot be taken apart into commands")

// wellFormed tells whether the Applier will be able to take all entries of a message apart.
func wellFormed(m *messages.RaftMessage) bool {
	return !slices.ContainsFunc(m.Entries, func(e *messages.Entry) bool {
		return e.Kind == messages.EntryKind_COMMANDS && !messages.Block(e.Data).Complete()
	})
}

func (p *Peer) onTick() {
	p.watchDisks()
	p.core.Tick()
	p.maintain()
	p.report()
}

func (p *Peer) onRequests(m *messages.Requests) {
	status := p.core.Soft()
	for _, requests := range m.Sessions {
		p.reads.add(requests, requests.ReplicaQueries)
		if status.Role != raft.Leader {
			refuseSession(p.replies, requests, p.notLeader(status.Leader))
			continue
		}
		p.reads.add(requests, requests.Queries)
		to := sessionOf(requests)
		for _, command := range requests.Retries {
			if !p.proposer.isPending(command) {
				p.onCommand(to, command)
			}
		}
		for _, command := range requests.Commands {
			p.onCommand(to, command)
		}
	}
}

// onCommand gives a command to the proposer, unless it may not enter the log, whoever sends it.
func (p *Peer) onCommand(to recipient, command []byte) {
	if why := p.proposer.check(command); why != nil {
		p.replies.refuse(to, command, why)
		return
	}
	if p.refuseExpired(to, command) {
		return
	}
	if why := p.checkSpace(command); why != nil {
		p.replies.refuse(to, command, why)
		return
	}
	p.proposer.add(to, command)
}

func (p *Peer) onApplied(m applied) {
	p.core.Applied(m.index)
	p.proposer.pending.applied(m.index)
	p.disks.applied()
	if p.onDiskAnswer(); p.announced.quiesced {
		p.compact()
	}
}

func (p *Peer) onViewChanged(m viewChanged) {
	p.proposer.view = m.view
	if v, is := m.view.(Timed); is {
		p.clock.floor = v.LogTime()
	}
}
