package cluster

import (
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/raftactor"
	"github.com/eraft-io/eraft/shardkv"
)

// Migrator carries out the steps of bucket migrations on the node that leads its group, the destination. shardkv.PlanMigrations derives the steps
// from the newest config and the group's state. The Migrator itself keeps only requests in flight: the Migrator of the next leader sends
// them again.
//
//	receives          from                does
//	configChanged     Host                takes a newer config
//	*shardkv.View     the group's Applier takes the group's state
//	poll              itself, the Peer    takes the next steps, and repeats them until their effect is seen; from the Peer: it leads now
//	*messages.Replies groups              proposes each chunk as an ImportChunk command to the own log
//	reported          meta                has answered a CompleteMoves; if meta refused it, the next poll sends it again
//
// Its commands have no session: they are idempotent, and repeated until the view shows their effect.
type Migrator struct {
	n            *node
	group        messages.GroupID
	self         *actor.PID
	session      uint64
	seq          uint64
	config       *messages.Config
	view         *shardkv.View
	leaders      map[uint64]uint64       // group -> node that is said to lead it
	replicaTurns map[uint64]int          // group -> which replica to ask next
	inFlight     map[uint32]inFlightStep // bucket -> its step that is under way
	statuses     map[uint32]shardkv.MoveStatus
	reporting    bool
	cancel       func()
}

type (
	configChanged struct{ config *messages.Config }
	poll          struct{}
	reported      struct{}
)

// inFlightStep is a step that was requested. It ends when the view shows its effect: then the bucket's next step is another.
type inFlightStep struct {
	step          shardkv.Step
	seq           uint64
	started       time.Duration
	unpaidBytes   int           // received and not yet charged to the migration rate
	unpaidRecords int           // records in unpaidBytes
	deadline      time.Duration // when the request counts as lost
	unanswered    bool          // no group has answered
}

func migratorPath(group messages.GroupID) string { return "migrator/" + group.String() }

const (
	// pollInterval is the time after which the Migrator looks again for the effect of its steps. Without steps there is no timer.
	pollInterval = 50 * time.Millisecond
	// stepTimeout is the time after which a step without an effect is repeated: a chunk must get through two logs in it.
	stepTimeout = 400 * time.Millisecond
)

func newMigrator(n *node, group messages.GroupID) *Migrator {
	return &Migrator{
		n: n, group: group, leaders: map[uint64]uint64{}, replicaTurns: map[uint64]int{}, inFlight: map[uint32]inFlightStep{},
		statuses: map[uint32]shardkv.MoveStatus{}, cancel: func() {},
	}
}

func (m *Migrator) Receive(ctx actor.Context) {
	switch msg := ctx.Message().(type) {
	case *actor.Started:
		m.self = ctx.Self()
		m.session = m.n.system.Rand("migrator/"+m.group.String()).Uint64() | 1
	case *actor.Stopping, *actor.Restarting:
		m.cancel()
	case configChanged:
		m.config = msg.config
		m.advance()
	case *shardkv.View:
		m.onView(msg)
	case poll:
		m.advance()
	case reported:
		m.reporting = false
	case *messages.Replies:
		for _, r := range msg.Replies {
			m.onReply(msg.FromGroup, msg.FromNode, r)
		}
	}
}

func (m *Migrator) onView(next *shardkv.View) {
	before := m.view
	m.view = next
	if before != nil && m.n.status.leads(m.group) {
		for _, t := range before.Migrations {
			if now := next.Find(t.Bucket); t.State == shardkv.Importing && now.State == shardkv.Serving {
				m.n.system.Events(BucketMigrated{t.Bucket, m.group, messages.GroupID(t.Counterpart), t.ConfigVersion, t.NextChunk, t.ReceivedBytes})
			}
		}
	}
	m.advance()
}

// walk takes the next steps.
func (m *Migrator) advance() {
	if m.config == nil || m.view == nil || !m.n.status.leads(m.group) {
		clear(m.inFlight)
		return
	}
	steps := shardkv.PlanMigrations(m.group, m.config, m.view, m.statuses, m.n.config.Migration.pace())
	m.dropFinished(steps)
	now, next := m.n.system.Clock.Now(), pollInterval
	for _, ask := range steps.Steps {
		e := m.inFlight[ask.Bucket]
		if sameStep(e.step, ask) {
			if now < e.deadline {
				continue
			}
			if e.unanswered {
				m.leaders[ask.Group] = m.nextReplica(ask.Group) // who was asked may be gone for good
			}
		} else if e.unpaidBytes > 0 {
			m.n.copyRate.charge(now, e.unpaidBytes, e.unpaidRecords, time.Duration(e.step.PauseFactor)*(now-e.started))
			e.unpaidBytes = 0
			m.inFlight[ask.Bucket] = e
		}
		if wait := m.n.copyRate.wait(now); ask.PauseFactor > 0 && wait > 0 {
			next = min(next, wait)
			continue
		}
		m.startStep(ask)
	}
	m.report(steps.Completed)
	if m.cancel(); len(steps.Steps)+len(steps.Completed) > 0 {
		m.cancel = m.n.system.Clock.After(next, func() { m.n.send(m.self, poll{}) })
	}
}

// forget drops what is known of buckets that have no step any more.
func (m *Migrator) dropFinished(steps shardkv.Plan) {
	if len(steps.Steps)+len(steps.Completed) == 0 {
		clear(m.inFlight)
		clear(m.statuses)
	}
}

func sameStep(a, b shardkv.Step) bool {
	return a.Group == b.Group && proto.Equal(a.Command, b.Command) && proto.Equal(a.Pull, b.Pull)
}

// run sends the step of a bucket to the leader that it is for.
func (m *Migrator) startStep(ask shardkv.Step) {
	m.seq++
	now := m.n.system.Clock.Now()
	m.inFlight[ask.Bucket] = inFlightStep{step: ask, seq: m.seq, started: now, deadline: now + stepTimeout, unanswered: true}
	a := &messages.SessionRequests{Address: m.n.address(), Id: m.self.Id}
	var err error
	if ask.Command != nil {
		err = encode(&a.Commands, &messages.Command{Session: m.session, Seq: m.seq, Op: &messages.Command_Shard{Shard: ask.Command}})
	} else {
		err = encode(&a.Queries, &messages.Query{Session: m.session, Seq: m.seq, Op: &messages.Query_BucketPull{BucketPull: ask.Pull}})
	}
	if err == nil { // nothing here can make it fail
		m.send(ask.Group, a)
	}
}

func encode(to *[][]byte, m proto.Message) error {
	encoded, err := proto.Marshal(m)
	*to = append(*to, encoded)
	return err
}

// tell says to meta which moves are over, until the config says so.
func (m *Migrator) report(over []*messages.CompletedMove) {
	if len(over) == 0 || m.reporting {
		return
	}
	m.reporting = true
	op := &messages.MetaCommand{Op: &messages.MetaCommand_CompleteMoves{CompleteMoves: &messages.CompleteMoves{Group: uint64(m.group), Moves: over}}}
	m.n.request(op, func(*messages.Reply) { m.n.send(m.self, reported{}) })
}

// send asks the leader of a group, or one replica after the other while none is known.
func (m *Migrator) send(group uint64, a *messages.SessionRequests) {
	address := m.n.address()
	if group != uint64(m.group) {
		leader := m.leaders[group]
		if leader == 0 {
			leader, _ = m.n.status.snapshot().leader(messages.GroupID(group))
		}
		if leader == 0 {
			leader = m.nextReplica(group)
		}
		address = m.n.status.address(messages.NodeID(leader))
	}
	if address != "" {
		m.n.send(actor.NewPID(address, raftactor.PeerPath(messages.GroupID(group))), &messages.Requests{Group: group, Sessions: []*messages.SessionRequests{a}})
	}
}

func (m *Migrator) nextReplica(group uint64) uint64 {
	for _, g := range m.config.Groups {
		if g.Id == group && len(g.Nodes) > 0 {
			m.replicaTurns[group]++
			return g.Nodes[m.replicaTurns[group]%len(g.Nodes)]
		}
	}
	return 0
}

// onReply makes of an answer the next command of the own log, or notes what it says.
func (m *Migrator) onReply(group, node uint64, r *messages.Reply) {
	bucket, e, found := m.findStep(r.Seq)
	if !found || r.Session != m.session || group != e.step.Group {
		return // late, or of somebody who was not asked
	}
	e.unanswered = false
	m.inFlight[bucket] = e
	if r.Code != messages.Code_OK {
		m.leaders[group] = r.GetHint().GetLeader()
		e.deadline = 0 // the next poll asks again
		m.inFlight[bucket] = e
		return
	}
	c := r.GetChunk()
	if m.leaders[group] = node; c == nil || group == uint64(m.group) || !e.step.Matches(c) {
		return
	}
	command, word := shardkv.InterpretChunk(group, c)
	if word != nil {
		m.statuses[bucket] = *word
		m.advance()
		return
	}
	delete(m.statuses, bucket)
	m.n.metrics.Migrated(proto.Size(c))
	if e.step.PauseFactor > 0 {
		e.unpaidBytes, e.unpaidRecords = proto.Size(c), len(c.Pairs)
	}
	e.deadline = m.n.system.Clock.Now() + stepTimeout
	m.inFlight[bucket] = e
	encoded, err := proto.Marshal(&messages.Command{Op: &messages.Command_Shard{Shard: command}})
	if err == nil {
		m.send(uint64(m.group), &messages.SessionRequests{Address: m.n.address(), Id: m.self.Id, Commands: [][]byte{encoded}})
	}
}

// findStep finds the step in flight whose request has a sequence number.
func (m *Migrator) findStep(seq uint64) (uint32, inFlightStep, bool) {
	for bucket, e := range m.inFlight {
		if e.seq == seq {
			return bucket, e, true
		}
	}
	return 0, inFlightStep{}, false
}
