package cluster

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/meta"
)

// Member is the node's voice in the cluster: it finds a cluster through seeds or gives birth to one, keeps the
// newest config and hands it to everybody on this node, and, where meta is led, turns meta.Plan into committed
// configs.
//
//	receives             from           does
//	beat                 itself         asks seeds, pulls configs, feels the others' pulse, places
//	*messages.Hello      nodes, clients says who this node is
//	*messages.HelloReply nodes          finds a cluster, or fellow waiters
//	*messages.Join       new nodes      has them admitted through meta
//	*messages.JoinReply  a member       takes the identity given, or says why not
//	admitted             Host           the identity is on disk: this node may speak as a member
//	*messages.ConfigPull nodes, clients answers if it has something newer
//	*messages.ConfigPush nodes          takes a newer config
//	committed            meta's Applier takes a newer config and pushes it if this node leads meta
//	*messages.StatusPull nodes, clients answers how this node is
//	*messages.NodeStatus nodes          notes it on the board
//	measured             Host           tells meta's leader how big the buckets are that this node leads
//	placed, announced    Session        a step of placement, or an AddNode, was answered
//
// Config pulls and pushes never enter a log. Who is up is only a hint for people and for placement.
type Member struct {
	n         *node
	self      *actor.PID
	meet      *rendezvous
	admitting bool // the identity is on its way to the disk
	joined    bool
	refused   string // what was told last of why this node may not join
	astray    bool   // its seeds belong to another cluster, and nobody of its own is heard
	config    *messages.Config
	beats     uint64
	set       uint64 // beats that have been set; one that was on its way when stir set another does not count
	calm      int    // beats since there was a newer config or a step of placement
	placement placement
	announce  bool
	cancel    func()
}

type (
	beat      struct{ number uint64 }
	admitted  struct{ birth bool }
	committed struct{ config *messages.Config }
	placed    struct{ reply *messages.Reply }
	announced struct {
		join  *messages.Join // who is to be told; nil: this node itself
		reply *messages.Reply
	}
)

const (
	memberPath = "member"
	beatEvery  = 100 * time.Millisecond
	calmAfter  = 20 // beats; from then on every tenth is enough
)

func newMember(n *node) *Member {
	return &Member{n: n, meet: newRendezvous(n.address(), n.c.Seeds, n.c.Expect)}
}

func (m *Member) Receive(ctx actor.Context) {
	switch msg := ctx.Message().(type) {
	case *actor.Started:
		m.start(ctx.Self())
	case *actor.Stopping, *actor.Restarting:
		m.cancel()
	case beat:
		if msg.number == m.set {
			m.onBeat()
		}
	case *messages.Hello:
		m.onHello(msg)
	case *messages.HelloReply:
		m.onHelloReply(msg)
	case *messages.Join:
		m.onJoin(msg)
	case *messages.JoinReply:
		m.onJoinReply(msg)
	case admitted:
		m.onAdmitted(msg)
	case *messages.ConfigPull:
		m.onConfigPull(msg)
	case *messages.ConfigPush:
		m.adopt(msg.GetConfig(), false)
	case committed:
		m.adopt(msg.config, m.n.board.leads(messages.Meta))
	case *messages.StatusPull:
		m.onStatusPull(msg)
	case *messages.NodeStatus:
		m.onNodeStatus(msg)
	case measured:
		m.onMeasured(msg)
	case placed:
		m.onPlaced(msg)
	case announced:
		m.onAnnounced(msg)
	}
}

func (m *Member) start(self *actor.PID) {
	m.self = self
	if id := m.n.identity(); id.Cluster != 0 {
		m.joined = true
	} else {
		m.seek()
	}
	m.next()
	if m.n.cached != nil {
		m.adopt(m.n.cached, false)
	}
}

func (m *Member) next() {
	interval := beatEvery
	if m.joined && m.calm >= calmAfter {
		interval *= 10
	}
	m.set++
	number := m.set
	m.cancel = m.n.system.Clock.After(interval, func() { m.n.send(m.self, beat{number}) })
}

// stir makes the beats frequent again.
func (m *Member) stir() {
	if m.calm >= calmAfter {
		m.calm = 0
		m.cancel()
		m.next()
	}
	m.calm = 0
}

func (m *Member) onBeat() {
	if m.beats++; m.joined && m.calm >= calmAfter {
		m.beats = (m.beats + 9) / 10 * 10
	}
	m.calm++
	m.next()
	if !m.joined {
		m.seek()
		return
	}
	m.pull()
	if m.beats%10 == 0 {
		m.pulse()
		m.refreshCard()
		m.lookAround()
		m.foresee()
		m.retire()
	}
	m.place()
}

// seek asks everybody known for a cluster, and gives birth to one when the rendezvous says so.
func (m *Member) seek() {
	now := m.n.system.Clock.Now()
	m.meet.forget(now)
	if m.beats < 2 || m.beats%2 == 1 {
		for _, address := range m.meet.others() {
			m.n.send(actor.NewPID(address, memberPath), &messages.Hello{
				Address: m.n.address(), Name: m.n.c.Name, Token: m.n.identity().Token,
				ReplyAddress: m.n.system.ReplyAddress(), ReplyId: memberPath,
			})
		}
	}
	m.meetUp()
}

// meetUp gives birth when the rendezvous says so.
func (m *Member) meetUp() {
	silent, trouble := m.meet.silent(), m.refused
	if trouble == "" && len(silent) > 0 {
		trouble = "they must run, and reach this node at " + m.n.address()
	}
	m.n.board.setWaiting(silent, trouble)
	if !m.admitting && m.meet.birth() {
		m.admitting = true
		m.n.send(m.n.pids.host, giveBirth{})
	}
}

func (m *Member) onHello(h *messages.Hello) {
	now := m.n.system.Clock.Now()
	if !h.Client && h.ClusterId == 0 && !m.joined {
		m.meet.mention([]string{h.Address}, now)
	}
	id := m.n.identity()
	reply := &messages.HelloReply{Address: m.n.address(), Name: m.n.c.Name, Token: id.Token, ClusterId: id.Cluster, Node: uint64(id.Node)}
	if h.ClusterId == 0 || h.ClusterId == id.Cluster {
		reply.ConfigVersion, reply.Config, reply.Known = m.config.GetVersion(), m.config, m.meet.others()
	}
	m.n.send(actor.NewPID(cmp.Or(h.ReplyAddress, h.Address), h.ReplyId), reply)
}

// lookAround asks the seeds who they are while nobody of the cluster is heard: they may belong to another one.
func (m *Member) lookAround() {
	if len(m.n.board.snapshot().others) > 0 {
		return
	}
	for _, seed := range m.n.c.Seeds {
		if seed == m.n.address() {
			continue
		}
		m.n.send(actor.NewPID(seed, memberPath), &messages.Hello{
			Address: m.n.address(), Name: m.n.c.Name, Token: m.n.identity().Token, ClusterId: m.n.identity().Cluster,
			ReplyAddress: m.n.system.ReplyAddress(), ReplyId: memberPath,
		})
	}
}

// refuse notes why this node is not where it was told to be, and tells it once.
func (m *Member) refuse(text string) {
	m.n.board.setWaiting(nil, text)
	if m.refused != text {
		m.refused = text
		m.n.system.Events(JoinRefused{Text: text})
	}
}

func (m *Member) onHelloReply(h *messages.HelloReply) {
	if m.joined {
		if own := m.n.identity().Cluster; h.ClusterId != 0 && h.ClusterId != own {
			m.astray = true
			m.refuse(fmt.Sprintf("the seed %s belongs to cluster %016x, but this data directory to %016x: name seeds of that one, "+
				"or start with an empty data directory to join the other", h.Address, h.ClusterId, own))
		}
		return
	}
	if h.ClusterId == 0 {
		now := m.n.system.Clock.Now()
		m.meet.answered(h.Address, now)
		m.meet.mention(h.Known, now)
		m.meetUp()
		return
	}
	if m.admitting || h.Config == nil {
		return // it was just born and cannot admit anybody yet
	}
	card := m.n.card()
	card.Instead = meta.Named(h.Config, card.Name).GetId()
	m.n.send(actor.NewPID(h.Address, memberPath), &messages.Join{
		Node: card, ClusterId: h.ClusterId, ReplyAddress: m.n.system.ReplyAddress(), ReplyId: memberPath,
	})
}

func (m *Member) onJoin(j *messages.Join) {
	if !m.joined || j.Node == nil {
		return
	}
	if own := m.n.identity().Cluster; j.ClusterId != own {
		m.n.send(actor.NewPID(j.ReplyAddress, j.ReplyId), &messages.JoinReply{
			Token: j.Node.Token, Text: fmt.Sprintf("the seed %s belongs to cluster %016x, not to %016x as it was asked: name seeds of one cluster",
				m.n.address(), own, j.ClusterId),
		})
		return
	}
	m.admit(j.Node, j)
}

// admit has a node's card written into the config chain, and tells who asked.
func (m *Member) admit(card *messages.AddNode, join *messages.Join) {
	m.n.ask(&messages.MetaCommand{Op: &messages.MetaCommand_AddNode{AddNode: card}}, func(r *messages.Reply) {
		m.n.send(m.self, announced{join, r})
	})
}

func (m *Member) onAnnounced(a announced) {
	if a.join == nil {
		m.announce = false
		switch r := a.reply; r.Code {
		case messages.Code_OK:
			m.n.board.setWaiting(nil, "")
		case messages.Code_CONFLICT, messages.Code_INVALID:
			m.refuse(r.Text)
		}
		return
	}
	reply := &messages.JoinReply{Token: a.join.Node.Token, Text: a.reply.Text}
	switch a.reply.Code {
	case messages.Code_OK:
		reply.Node, reply.Config = a.reply.GetMeta().GetNode(), a.reply.GetMeta().GetConfig()
		reply.Text = ""
	case messages.Code_CONFLICT, messages.Code_INVALID:
	default: // it asks again in any case
		reply.Text = "the cluster cannot admit a node now, since group 0 does not answer: " + a.reply.Text
	}
	m.n.send(actor.NewPID(a.join.ReplyAddress, a.join.ReplyId), reply)
}

func (m *Member) onJoinReply(r *messages.JoinReply) {
	if m.joined || m.admitting || r.Token != m.n.identity().Token {
		return
	}
	if r.Node == 0 || r.Config == nil {
		m.refuse(r.Text)
		return
	}
	m.admitting = true
	m.n.send(m.n.pids.host, takeIdentity{cluster: r.Config.ClusterId, node: messages.NodeID(r.Node), config: r.Config})
}

func (m *Member) onAdmitted(a admitted) {
	m.admitting, m.joined = false, true
	m.n.board.setWaiting(nil, "")
	m.n.system.Events(Joined{Cluster: m.n.identity().Cluster, Node: m.n.identity().Node, Birth: a.birth})
	if m.n.cached != nil {
		m.adopt(m.n.cached, false)
	}
	for _, address := range m.others() { // placement counts on whom it has heard
		m.n.send(actor.NewPID(address, memberPath), m.status(0))
	}
}

func (m *Member) onConfigPull(p *messages.ConfigPull) {
	if m.config.GetVersion() > p.Have {
		m.n.send(actor.NewPID(p.ReplyAddress, p.ReplyId), &messages.ConfigPush{Config: m.config})
	}
}

// adopt takes a newer config and hands it to everybody on this node; push says it to the other nodes as well.
func (m *Member) adopt(config *messages.Config, push bool) {
	if config == nil || config.Version <= m.config.GetVersion() || !m.joined {
		return
	}
	if config.ClusterId != m.n.identity().Cluster {
		return
	}
	m.config = config
	if findNode(config, m.n.identity().Node).GetRemoved() {
		m.n.fail(ErrRemoved)
		return
	}
	m.stir()
	m.n.board.setConfig(config)
	m.n.send(m.n.pids.router, &messages.ConfigPush{Config: config})
	m.n.send(m.n.pids.host, host{config})
	m.n.system.Events(ConfigAdopted{Version: config.Version, Change: config.Change})
	if push {
		for _, address := range m.others() {
			m.n.send(actor.NewPID(address, memberPath), &messages.ConfigPush{Config: config})
		}
	}
}

// others are the addresses of the other nodes of the config.
func (m *Member) others() []string {
	var all []string
	for _, node := range m.config.GetNodes() {
		if !node.Removed && node.Id != uint64(m.n.identity().Node) {
			all = append(all, node.Address)
		}
	}
	return all
}

// pull asks one other node for a newer config: often while this node knows none, else now and then, since pushes
// may get lost.
func (m *Member) pull() {
	if m.config != nil && m.beats%20 != 0 {
		return
	}
	from := m.others()
	if len(from) == 0 {
		from = slices.DeleteFunc(slices.Clone(m.n.c.Seeds), func(a string) bool { return a == m.n.address() })
	}
	if len(from) == 0 {
		return
	}
	m.n.send(actor.NewPID(from[int(m.beats/20)%len(from)], memberPath), &messages.ConfigPull{
		Have: m.config.GetVersion(), ReplyAddress: m.n.address(), ReplyId: memberPath,
	})
}

// pulse asks the others how they are.
func (m *Member) pulse() {
	for _, address := range m.others() {
		m.n.send(actor.NewPID(address, memberPath), &messages.StatusPull{
			Seq: m.beats, ReplyAddress: m.n.address(), ReplyId: memberPath,
		})
	}
}

func (m *Member) onStatusPull(p *messages.StatusPull) {
	if p.Sizes {
		m.n.send(m.n.pids.host, measure{p})
		return
	}
	status := m.status(p.Seq)
	if p.ReplyId != memberPath {
		status.Json = m.n.statusJSON(m.n.board.snapshot())
	}
	m.n.send(actor.NewPID(p.ReplyAddress, p.ReplyId), status)
}

// status is what other nodes are told of this one.
func (m *Member) status(seq uint64) *messages.NodeStatus {
	s := m.n.board.snapshot()
	status := &messages.NodeStatus{Seq: seq, Node: uint64(s.identity.Node)}
	for _, r := range s.replicas {
		status.Replicas = append(status.Replicas, r)
	}
	slices.SortFunc(status.Replicas, func(a, b *messages.ReplicaStatus) int { return int(a.Group) - int(b.Group) })
	if m.n.board.leads(messages.Meta) {
		status.Placement = s.plan
	}
	return status
}

// onNodeStatus notes how another node is. One that is in no cluster has nothing to say here.
func (m *Member) onNodeStatus(s *messages.NodeStatus) {
	if s.Node == 0 {
		return
	}
	if len(s.Sizes) > 0 {
		m.placement.sizes.Note(m.config, s.Sizes)
	}
	if s.Node == uint64(m.n.identity().Node) {
		return
	}
	m.n.board.setOther(s)
	if m.astray {
		m.astray, m.refused = false, ""
		m.n.board.setWaiting(nil, "")
	}
}

// refreshCard announces what this node is when it is not what the config says.
func (m *Member) refreshCard() {
	if m.announce || m.config == nil {
		return
	}
	card := m.n.card()
	for _, node := range m.config.Nodes {
		if node.Id == uint64(m.n.identity().Node) &&
			(node.Address != card.Address || node.Resp != card.Resp || node.Http != card.Http || node.Name != card.Name ||
				!slices.Equal(node.Labels, card.Labels) || m.untold(card.Forced)) {
			m.announce = true
			m.admit(card, nil)
		}
	}
}

// untold tells whether the config does not know yet that quorums were made on this node by hand.
func (m *Member) untold(forced []*messages.Forced) bool {
	return slices.ContainsFunc(forced, func(f *messages.Forced) bool {
		return !slices.ContainsFunc(m.config.Forced, func(known *messages.Forced) bool { return proto.Equal(known, f) })
	})
}
