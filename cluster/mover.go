package cluster

import (
	"slices"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/raftactor"
	"github.com/eraft-io/eraft/shardkv"
)

// Mover carries out, where its group is led, the steps that shardkv.Follow derives from the newest config and what
// the group has. It keeps nothing of its own: whoever leads next derives the same steps.
//
//	receives          from               does
//	follow            Host               takes a newer config
//	*shardkv.View     the group's Applier takes what the group has
//	stroll            itself, the Peer   asks for the next steps, again until they are done; the Peer: it leads now
//	*messages.Replies givers             chunks become Install commands in the own log
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
	leaders map[uint64]int // group -> which replica to ask next
	telling bool
	arrived map[uint32]uint64 // bucket -> version of its move: served here and gone there; meta must hear of it
	cancel  func()
}

type (
	follow struct{ config *messages.Config }
	stroll struct{}
	told   struct{}
)

func moverPath(group messages.GroupID) string { return "mover/" + group.String() }

// strollEvery is when steps that have not shown their effect are taken again. With none to take nothing is timed.
const strollEvery = 50 * time.Millisecond

func newMover(n *node, group messages.GroupID) *Mover {
	return &Mover{n: n, group: group, leaders: map[uint64]int{}, arrived: map[uint32]uint64{}, cancel: func() {}}
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
		m.view = msg
		m.walk()
	case stroll:
		m.walk()
	case told:
		m.telling = false
	case *messages.Replies:
		for _, r := range msg.Replies {
			m.onReply(messages.GroupID(msg.FromGroup), r)
		}
	}
}

// walk takes the next steps.
func (m *Mover) walk() {
	if m.config == nil || m.view == nil || !m.n.board.leads(m.group) {
		return
	}
	steps := shardkv.Follow(m.group, m.config, m.view)
	for _, command := range steps.Commands {
		m.command(m.group, command)
	}
	for _, pull := range steps.Pulls {
		m.ask(messages.GroupID(pull.From), &messages.Query{Op: &messages.Query_BucketPull{BucketPull: pull.Ask}})
	}
	if m.cancel(); m.release() || len(steps.Commands)+len(steps.Pulls) > 0 {
		m.cancel = m.n.system.Clock.After(strollEvery, func() { m.n.send(m.self, stroll{}) })
	}
}

// release ends moves: givers are told that buckets are served here, until their answer says that they are gone there,
// and then meta is told that they have arrived, until the config says so.
func (m *Mover) release() bool {
	var over []*messages.Arrival
	arriving := shardkv.Arriving(m.group, m.config, m.view)
	for _, b := range arriving {
		move := m.config.Moved[b]
		if m.arrived[b] == move || m.config.Previous[b] == 0 {
			over = append(over, &messages.Arrival{Bucket: b, ConfigVersion: move})
			continue
		}
		giver, command := shardkv.Release(m.config, b)
		m.command(messages.GroupID(giver), command)
		m.ask(messages.GroupID(giver), &messages.Query{Op: &messages.Query_BucketPull{BucketPull: &messages.BucketPull{
			Bucket: b, ConfigVersion: move,
		}}})
	}
	if len(over) > 0 && !m.telling {
		m.telling = true
		op := &messages.MetaCommand{Op: &messages.MetaCommand_Arrived{Arrived: &messages.Arrived{Group: uint64(m.group), Buckets: over}}}
		m.n.ask(op, func(*messages.Reply) { m.n.send(m.self, told{}) })
	}
	return len(arriving) > 0
}

func (m *Mover) command(group messages.GroupID, c *messages.ShardCommand) {
	encoded, err := proto.Marshal(&messages.Command{Op: &messages.Command_Shard{Shard: c}})
	if err != nil {
		return // asked again at the next stroll; nothing here can make it fail
	}
	m.send(group, &messages.Asker{Address: m.n.address(), Id: m.self.Id, Commands: [][]byte{encoded}})
}

func (m *Mover) ask(group messages.GroupID, q *messages.Query) {
	m.seq++
	q.Session, q.Seq = m.session, m.seq
	encoded, err := proto.Marshal(q)
	if err != nil {
		return
	}
	m.send(group, &messages.Asker{Address: m.n.address(), Id: m.self.Id, Queries: [][]byte{encoded}})
}

// send asks the leader of a group, or one replica after the other while none is known.
func (m *Mover) send(group messages.GroupID, a *messages.Asker) {
	address := m.n.address()
	if group != m.group {
		leader, _ := m.n.board.snapshot().leader(group)
		if leader == 0 {
			leader = m.guess(group)
		}
		address = m.n.board.address(messages.NodeID(leader))
	}
	if address != "" {
		m.n.send(actor.NewPID(address, raftactor.PeerPath(group)), &messages.Requests{Group: uint64(group), Askers: []*messages.Asker{a}})
	}
}

func (m *Mover) guess(group messages.GroupID) uint64 {
	for _, g := range m.config.Groups {
		if g.Id == uint64(group) && len(g.Nodes) > 0 {
			m.leaders[g.Id]++
			return g.Nodes[m.leaders[g.Id]%len(g.Nodes)]
		}
	}
	return 0
}

func (m *Mover) onReply(from messages.GroupID, r *messages.Reply) {
	c := r.GetChunk()
	if r.Code != messages.Code_OK || c == nil || m.view == nil {
		return
	}
	serving := slices.ContainsFunc(m.view.Buckets, func(b shardkv.BucketView) bool {
		return b.Bucket == c.Bucket && b.State == shardkv.Serving
	})
	if c.Gone && serving {
		m.arrived[c.Bucket] = c.ConfigVersion
	}
	if c.Gone || serving || c.NotReady || shardkv.Checksum(c.Pairs) != c.Checksum {
		return
	}
	m.command(m.group, &messages.ShardCommand{Op: &messages.ShardCommand_Install{Install: &messages.Install{
		ConfigVersion: c.ConfigVersion, Bucket: c.Bucket, From: uint64(from), Number: c.Number, Last: c.Last,
		Pairs: c.Pairs, Checksum: c.Checksum,
	}}})
}
