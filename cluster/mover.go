package cluster

import (
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/raftactor"
	"github.com/eraft-io/eraft/shardkv"
)

// Mover carries out, where its group is led, the steps that shardkv.Follow derives from the newest config and what
// the group has. What it keeps of its own is only what it has asked and heard: whoever leads next asks again.
//
//	receives          from               does
//	follow            Host               takes a newer config
//	*shardkv.View     the group's Applier takes what the group has
//	stroll            itself, the Peer   takes the next steps, again until they are done; the Peer: it leads now
//	*messages.Replies groups             chunks become Install commands in the own log
//	told              meta               has answered; if it refused, the next stroll tells it again
//
// Its commands have no identity: they are idempotent, and asked again until the view shows their effect.
type Mover struct {
	n       *node
	group   messages.GroupID
	self    *actor.PID
	session uint64
	seq     uint64
	config  *messages.Config
	view    *shardkv.View
	leaders map[uint64]uint64 // group -> node that is said to lead it
	guesses map[uint64]int    // group -> which replica to ask next
	errands map[uint32]errand // bucket -> its step that is under way
	words   map[uint32]shardkv.MoveStatus
	telling bool
	cancel  func()
}

type (
	follow struct{ config *messages.Config }
	stroll struct{}
	told   struct{}
)

// errand is a step that was asked for. It is over when the view shows its effect: then the bucket's next step is another.
type errand struct {
	ask     shardkv.Step
	seq     uint64
	began   time.Duration
	bytes   int           // that came and are not paid for
	records int           // that they are
	until   time.Duration // when it is taken for lost
	silent  bool          // nobody has answered
}

func moverPath(group messages.GroupID) string { return "mover/" + group.String() }

const (
	// strollEvery is when the Mover looks after steps that have not shown their effect. With none to take nothing is timed.
	strollEvery = 50 * time.Millisecond
	// errandTime is when a step without an effect is taken again: a chunk must get through two logs in it.
	errandTime = 400 * time.Millisecond
)

func newMover(n *node, group messages.GroupID) *Mover {
	return &Mover{
		n: n, group: group, leaders: map[uint64]uint64{}, guesses: map[uint64]int{}, errands: map[uint32]errand{},
		words: map[uint32]shardkv.MoveStatus{}, cancel: func() {},
	}
}

func (m *Mover) Receive(ctx actor.Context) {
	switch msg := ctx.Message().(type) {
	case *actor.Started:
		m.self = ctx.Self()
		m.session = m.n.system.Rand("mover/"+m.group.String()).Uint64() | 1
	case *actor.Stopping, *actor.Restarting:
		m.cancel()
	case follow:
		m.config = msg.config
		m.walk()
	case *shardkv.View:
		m.onView(msg)
	case stroll:
		m.walk()
	case told:
		m.telling = false
	case *messages.Replies:
		for _, r := range msg.Replies {
			m.onReply(msg.FromGroup, msg.FromNode, r)
		}
	}
}

func (m *Mover) onView(next *shardkv.View) {
	before := m.view
	m.view = next
	if before != nil && m.n.board.leads(m.group) {
		for _, t := range before.Migrations {
			if now := next.Find(t.Bucket); t.State == shardkv.Importing && now.State == shardkv.Serving {
				m.n.system.Events(BucketArrived{t.Bucket, m.group, messages.GroupID(t.Counterpart), t.ConfigVersion, t.NextChunk, t.ReceivedBytes})
			}
		}
	}
	m.walk()
}

// walk takes the next steps.
func (m *Mover) walk() {
	if m.config == nil || m.view == nil || !m.n.board.leads(m.group) {
		clear(m.errands)
		return
	}
	steps := shardkv.PlanMigrations(m.group, m.config, m.view, m.words, m.n.c.HandOver.pace())
	m.forget(steps)
	now, next := m.n.system.Clock.Now(), strollEvery
	for _, ask := range steps.Steps {
		e := m.errands[ask.Bucket]
		if same(e.ask, ask) {
			if now < e.until {
				continue
			}
			if e.silent {
				m.leaders[ask.Group] = m.guess(ask.Group) // who was asked may be gone for good
			}
		} else if e.bytes > 0 {
			m.n.flow.spend(now, e.bytes, e.records, time.Duration(e.ask.PauseFactor)*(now-e.began))
			e.bytes = 0
			m.errands[ask.Bucket] = e
		}
		if wait := m.n.flow.wait(now); ask.PauseFactor > 0 && wait > 0 {
			next = min(next, wait)
			continue
		}
		m.run(ask)
	}
	m.tell(steps.Completed)
	if m.cancel(); len(steps.Steps)+len(steps.Completed) > 0 {
		m.cancel = m.n.system.Clock.After(next, func() { m.n.send(m.self, stroll{}) })
	}
}

// forget drops what is known of buckets that have no step any more.
func (m *Mover) forget(steps shardkv.Plan) {
	if len(steps.Steps)+len(steps.Completed) == 0 {
		clear(m.errands)
		clear(m.words)
	}
}

func same(a, b shardkv.Step) bool {
	return a.Group == b.Group && proto.Equal(a.Command, b.Command) && proto.Equal(a.Pull, b.Pull)
}

// run sends the step of a bucket to the leader that it is for.
func (m *Mover) run(ask shardkv.Step) {
	m.seq++
	now := m.n.system.Clock.Now()
	m.errands[ask.Bucket] = errand{ask: ask, seq: m.seq, began: now, until: now + errandTime, silent: true}
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
func (m *Mover) tell(over []*messages.CompletedMove) {
	if len(over) == 0 || m.telling {
		return
	}
	m.telling = true
	op := &messages.MetaCommand{Op: &messages.MetaCommand_CompleteMoves{CompleteMoves: &messages.CompleteMoves{Group: uint64(m.group), Moves: over}}}
	m.n.ask(op, func(*messages.Reply) { m.n.send(m.self, told{}) })
}

// send asks the leader of a group, or one replica after the other while none is known.
func (m *Mover) send(group uint64, a *messages.SessionRequests) {
	address := m.n.address()
	if group != uint64(m.group) {
		leader := m.leaders[group]
		if leader == 0 {
			leader, _ = m.n.board.snapshot().leader(messages.GroupID(group))
		}
		if leader == 0 {
			leader = m.guess(group)
		}
		address = m.n.board.address(messages.NodeID(leader))
	}
	if address != "" {
		m.n.send(actor.NewPID(address, raftactor.PeerPath(messages.GroupID(group))), &messages.Requests{Group: group, Sessions: []*messages.SessionRequests{a}})
	}
}

func (m *Mover) guess(group uint64) uint64 {
	for _, g := range m.config.Groups {
		if g.Id == group && len(g.Nodes) > 0 {
			m.guesses[group]++
			return g.Nodes[m.guesses[group]%len(g.Nodes)]
		}
	}
	return 0
}

// onReply makes of an answer the next command of the own log, or notes what it says.
func (m *Mover) onReply(group, node uint64, r *messages.Reply) {
	bucket, e, found := m.errand(r.Seq)
	if !found || r.Session != m.session || group != e.ask.Group {
		return // late, or of somebody who was not asked
	}
	e.silent = false
	m.errands[bucket] = e
	if r.Code != messages.Code_OK {
		m.leaders[group] = r.GetHint().GetLeader()
		e.until = 0 // the next stroll asks again
		m.errands[bucket] = e
		return
	}
	c := r.GetChunk()
	if m.leaders[group] = node; c == nil || group == uint64(m.group) || !e.ask.Matches(c) {
		return
	}
	command, word := shardkv.InterpretChunk(group, c)
	if word != nil {
		m.words[bucket] = *word
		m.walk()
		return
	}
	delete(m.words, bucket)
	m.n.metrics.Copied(proto.Size(c))
	if e.ask.PauseFactor > 0 {
		e.bytes, e.records = proto.Size(c), len(c.Pairs)
	}
	e.until = m.n.system.Clock.Now() + errandTime
	m.errands[bucket] = e
	encoded, err := proto.Marshal(&messages.Command{Op: &messages.Command_Shard{Shard: command}})
	if err == nil {
		m.send(uint64(m.group), &messages.SessionRequests{Address: m.n.address(), Id: m.self.Id, Commands: [][]byte{encoded}})
	}
}

// errand finds what was asked by its number.
func (m *Mover) errand(seq uint64) (uint32, errand, bool) {
	for bucket, e := range m.errands {
		if e.seq == seq {
			return bucket, e, true
		}
	}
	return 0, errand{}, false
}
