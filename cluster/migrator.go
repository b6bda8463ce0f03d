package cluster

import (
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/actors"
	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/raftactor"
	"github.com/eraft-io/eraft/shardkv"
)

// Migrator carries out, while this node leads its group, the steps that shardkv.PlanMigrations derives from the newest config and the
// group's view. Its own state is only what it has asked and heard: a new leader's Migrator asks again.
//
//	receives          from                does
//	configChanged     Host                takes a newer config
//	*shardkv.View     the group's Applier takes the state of the group's buckets
//	poll              itself, the Peer    takes the next steps; from the Peer: this node leads the group now
//	*messages.Replies groups              turns chunks into ImportChunk commands for its own group
//	reported          Session             takes the reply of group 0; if it refused, the next poll reports again
//
// Its commands need no identity: they are idempotent, and repeated until the view shows their effect.
type Migrator struct {
	node         migratorNode
	status       *statusBoard
	limits       shardkv.MigrationLimits
	rate         *migrationRate // shared by the Migrators of the node
	group        messages.GroupID
	self         *actor.PID
	requests     requestID
	config       *messages.Config
	view         *shardkv.View
	leaders      map[uint64]uint64       // group -> node that is said to lead it
	replicaTurns map[uint64]int          // group -> how many of its replicas were asked in turn, while no leader was known
	inFlight     map[uint32]inFlightStep // bucket -> its step in flight
	statuses     map[uint32]shardkv.MoveStatus
	reporting    bool   // a report to group 0 is in flight
	cancel       func() // cancels the poll that is set
}

// migratorNode is what a Migrator uses of its node.
type migratorNode interface {
	sender
	now() time.Duration
	after(time.Duration, func()) (cancel func())
	random(stream string) uint64
	event(actors.Event)
	request(op proto.Message, done func(*messages.Reply))
	imported(bytes int) // counts an imported chunk
}

type (
	configChanged struct{ config *messages.Config }
	poll          struct{}
	reported      struct{}
	requestID     struct{ session, seq uint64 } // of the newest request
)

// inFlightStep is a step that was sent. It ends when the view shows its effect: then the bucket's next step is another one.
type inFlightStep struct {
	step          shardkv.Step
	seq           uint64
	started       time.Duration
	unpaidBytes   int           // bytes received, not yet charged to the rate
	unpaidRecords int           // records in these bytes
	deadline      time.Duration // when the step is sent again
	unanswered    bool          // no reply has come so far
}

func migratorPath(group messages.GroupID) string { return "migrator/" + group.String() }

const (
	// pollInterval is how often the Migrator looks whether steps are overdue. Without steps there is no timer.
	pollInterval = 50 * time.Millisecond
	// stepTimeout is when a step without an effect is sent again: long enough for a chunk to get through two logs.
	stepTimeout = 400 * time.Millisecond
)

func newMigrator(n migratorNode, status *statusBoard, limits shardkv.MigrationLimits, rate *migrationRate, group messages.GroupID) *Migrator {
	return &Migrator{
		node: n, status: status, limits: limits, rate: rate, group: group, leaders: map[uint64]uint64{}, replicaTurns: map[uint64]int{}, inFlight: map[uint32]inFlightStep{},
		statuses: map[uint32]shardkv.MoveStatus{}, cancel: func() {},
	}
}

func (m *Migrator) Receive(ctx actor.Context) {
	switch msg := ctx.Message().(type) {
	case *actor.Started:
		m.self = ctx.Self()
		m.requests.session = m.node.random("migrator/"+m.group.String()) | 1
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
	if before != nil && m.status.leads(m.group) {
		for _, t := range before.Migrations {
			if now := next.Find(t.Bucket); t.State == shardkv.Importing && now.State == shardkv.Serving {
				m.node.event(BucketMigrated{t.Bucket, m.group, messages.GroupID(t.Counterpart), t.ConfigVersion, t.NextChunk, t.ReceivedBytes})
			}
		}
	}
	m.advance()
}

// advance takes the next steps.
func (m *Migrator) advance() {
	if m.config == nil || m.view == nil || !m.status.leads(m.group) {
		clear(m.inFlight)
		return
	}
	steps := shardkv.PlanMigrations(m.group, m.config, m.view, m.statuses, m.limits)
	m.dropFinished(steps)
	now, next := m.node.now(), pollInterval
	for _, ask := range steps.Steps {
		e := m.inFlight[ask.Bucket]
		if sameStep(e.step, ask) {
			if now < e.deadline {
				continue
			}
			if e.unanswered {
				m.leaders[ask.Group] = m.nextReplica(ask.Group) // the node that was asked may be gone for good
			}
		} else if e.unpaidBytes > 0 {
			m.rate.charge(now, e.unpaidBytes, e.unpaidRecords, time.Duration(e.step.PauseFactor)*(now-e.started))
			e.unpaidBytes = 0
			m.inFlight[ask.Bucket] = e
		}
		if wait := m.rate.wait(now); ask.PauseFactor > 0 && wait > 0 {
			next = min(next, wait)
			continue
		}
		m.startStep(ask)
	}
	m.report(steps.Completed)
	if m.cancel(); len(steps.Steps)+len(steps.Completed) > 0 {
		m.cancel = m.node.after(next, func() { m.node.send(m.self, poll{}) })
	}
}

// dropFinished forgets all steps when there are none any more.
func (m *Migrator) dropFinished(steps shardkv.Plan) {
	if len(steps.Steps)+len(steps.Completed) == 0 {
		clear(m.inFlight)
		clear(m.statuses)
	}
}

func sameStep(a, b shardkv.Step) bool {
	return a.Group == b.Group && proto.Equal(a.Command, b.Command) && proto.Equal(a.Pull, b.Pull)
}

// startStep sends a step to the leader of its group.
func (m *Migrator) startStep(ask shardkv.Step) {
	m.requests.seq++
	now := m.node.now()
	m.inFlight[ask.Bucket] = inFlightStep{step: ask, seq: m.requests.seq, started: now, deadline: now + stepTimeout, unanswered: true}
	a := &messages.SessionRequests{Address: m.node.address(), Id: m.self.Id}
	var err error
	if ask.Command != nil {
		err = encode(&a.Commands, &messages.Command{Session: m.requests.session, Seq: m.requests.seq, Op: &messages.Command_Shard{Shard: ask.Command}})
	} else {
		err = encode(&a.Queries, &messages.Query{Session: m.requests.session, Seq: m.requests.seq, Op: &messages.Query_BucketPull{BucketPull: ask.Pull}})
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

// report tells group 0 which moves are complete, until the config says so.
func (m *Migrator) report(over []*messages.CompletedMove) {
	if len(over) == 0 || m.reporting {
		return
	}
	m.reporting = true
	op := &messages.MetaCommand{Op: &messages.MetaCommand_CompleteMoves{CompleteMoves: &messages.CompleteMoves{Group: uint64(m.group), Moves: over}}}
	m.node.request(op, func(*messages.Reply) { m.node.send(m.self, reported{}) })
}

// send sends requests to the leader of a group, or to one replica after the other while no leader is known.
func (m *Migrator) send(group uint64, a *messages.SessionRequests) {
	address := m.node.address()
	if group != uint64(m.group) {
		leader := m.leaders[group]
		if leader == 0 {
			leader, _ = m.status.snapshot().leader(messages.GroupID(group))
		}
		if leader == 0 {
			leader = m.nextReplica(group)
		}
		address = m.status.address(messages.NodeID(leader))
	}
	if address != "" {
		m.node.send(actor.NewPID(address, raftactor.PeerPath(messages.GroupID(group))), &messages.Requests{Group: group, Sessions: []*messages.SessionRequests{a}})
	}
}

// nextReplica returns the replicas of a group in turn, 0 if the config has none.
func (m *Migrator) nextReplica(group uint64) uint64 {
	for _, g := range m.config.Groups {
		if g.Id == group && len(g.Nodes) > 0 {
			m.replicaTurns[group]++
			return g.Nodes[m.replicaTurns[group]%len(g.Nodes)]
		}
	}
	return 0
}

// onReply turns a chunk into a command of this group, or notes what the reply says about the move.
func (m *Migrator) onReply(group, node uint64, r *messages.Reply) {
	bucket, e, found := m.findStep(r.Seq)
	if !found || r.Session != m.requests.session || group != e.step.Group {
		return // late, or from a group that was not asked
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
	m.node.imported(proto.Size(c))
	if e.step.PauseFactor > 0 {
		e.unpaidBytes, e.unpaidRecords = proto.Size(c), len(c.Pairs)
	}
	e.deadline = m.node.now() + stepTimeout
	m.inFlight[bucket] = e
	encoded, err := proto.Marshal(&messages.Command{Op: &messages.Command_Shard{Shard: command}})
	if err == nil {
		m.send(uint64(m.group), &messages.SessionRequests{Address: m.node.address(), Id: m.self.Id, Commands: [][]byte{encoded}})
	}
}

// findStep returns the step in flight that a request belongs to.
func (m *Migrator) findStep(seq uint64) (uint32, inFlightStep, bool) {
	for bucket, e := range m.inFlight {
		if e.seq == seq {
			return bucket, e, true
		}
	}
	return 0, inFlightStep{}, false
}
