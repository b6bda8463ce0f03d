package cluster

import (
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
//	noted                Host           answers a node without cluster that it is on disk that it may found one
//	admitted             Host           the identity is on disk: this node may speak as a member
//	*messages.ConfigPull nodes, clients answers if it has something newer
//	*messages.ConfigPush nodes          takes a newer config
//	committed            meta's Applier takes a newer config and pushes it if this node leads meta
//	*messages.Addresses  members        learns where nodes are, and says where this one is
//	*messages.StatusPull nodes, clients answers how this node is
//	*messages.NodeStatus nodes          notes it on the board
//	measured             Host           tells meta's leader how big the buckets are that this node leads
//	placed, announced    Session        a step of placement, or an AddNode, was answered
//
// Config pulls and pushes never enter a log. Who is up is only a hint for people and for placement.
type Member struct {
	n         *node
	self      *actor.PID
	joined    bool
	refused   string // what was told last of why this node may not join
	astray    bool   // its seeds belong to another cluster, and nobody of its own is heard
	config    *messages.Config
	beats     uint64
	set       uint64 // beats that have been set; one that was on its way when stir set another does not count
	calm      int    // beats since there was a newer config or a step of placement
	placement placement
	announce  bool
	told      map[messages.NodeID]uint64 // in which boot a node was told where this one is,
	boots     map[messages.NodeID]uint64 // and in which it was heard last
	cancel    func()
}

type (
	beat      struct{ number uint64 }
	noted     struct{ hello *messages.Hello }
	admitted  struct{ birth bool }
	committed struct{ config *messages.Config }
	placed    struct{ reply *messages.Reply }
	announced struct {
		join  *messages.JoinRequest // who is to be told; nil: this node itself
		reply *messages.Reply
	}
)

const (
	memberPath = "member"
	beatEvery  = 100 * time.Millisecond
	calmAfter  = 20 // beats; from then on every tenth is enough
)

func newMember(n *node) *Member {
	return &Member{n: n, told: map[messages.NodeID]uint64{}, boots: map[messages.NodeID]uint64{}}
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
	case *messages.JoinRequest:
		m.onJoin(msg)
	case *messages.JoinReply:
		m.onJoinReply(msg)
	case noted:
		m.n.meet.saved(msg.hello.DirectoryToken)
		m.answer(msg.hello)
	case admitted:
		m.onAdmitted(msg)
	case *messages.ConfigPull:
		m.onConfigPull(msg)
	case *messages.ConfigPush:
		m.adopt(msg.GetConfig(), false)
	case committed:
		m.adopt(msg.config, m.n.board.leads(messages.Meta))
	case *messages.NodeAddresses:
		m.onAddresses(msg)
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
	if m.beats == 1 { // a node that was started again
		m.greet()
		m.pulse() // and wants to know how far its replicas must come
	}
	if m.beats%10 == 0 {
		m.pulse()
		m.announceAddress()
		m.refreshCard()
		m.lookAround()
		m.pledge()
		m.foresee()
		m.retire()
	}
	m.place()
}

func (m *Member) onConfigPull(p *messages.ConfigPull) {
	if m.config.GetVersion() > p.HaveVersion {
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
	if meta.WasRemoved(config, uint64(m.n.identity().Node)) {
		m.n.fail(ErrRemoved)
		return
	}
	if has := m.n.level(); config.FeatureLevel() > has {
		m.n.fail(tooOld(has, config.FeatureLevel()))
		return
	}
	if self := findNode(config, m.n.identity().Node); m.outlived(self.GetDirectoryToken(), self.GetEpoch()) {
		m.n.fail(ErrOlderCopy)
		return
	}
	m.stir()
	m.n.book.Update(config)
	m.n.setConfig(config)
	m.n.send(m.n.pids.router, &messages.ConfigPush{Config: config})
	m.publishAddresses()
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
			all = append(all, m.n.book.Address(node.Id))
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
		HaveVersion: m.config.GetVersion(), ReplyAddress: m.n.address(), ReplyId: memberPath,
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
	m.n.send(actor.NewPID(p.ReplyAddress, p.ReplyId), sendable(status))
}

// status is what other nodes are told of this one.
func (m *Member) status(seq uint64) *messages.NodeStatus {
	s := m.n.board.snapshot()
	status := &messages.NodeStatus{
		Seq: seq, Node: uint64(s.identity.Node), Epoch: uint64(s.identity.Epoch), Level: uint32(m.n.level()), CommittedLevel: uint32(s.identity.Level), LowDiskSpace: s.low,
	}
	for _, r := range s.replicas {
		status.Replicas = append(status.Replicas, r)
	}
	for _, l := range s.lags {
		status.LaggingGroups = append(status.LaggingGroups, uint64(l.group))
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
		m.placement.sizes.Observe(m.config, s.Sizes)
	}
	if s.Node == uint64(m.n.identity().Node) || s.Epoch < m.boots[messages.NodeID(s.Node)] {
		return // its own word, or one of an earlier life
	}
	m.n.board.setOther(s)
	m.boots[messages.NodeID(s.Node)] = s.Epoch
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
				!slices.Equal(node.Labels, card.Labels) || m.untold(card.ForcedQuorums)) {
			m.announce = true
			m.admit(card, nil)
		}
	}
}

// untold tells whether the config does not know yet that quorums were made on this node by hand.
func (m *Member) untold(forced []*messages.ForcedQuorum) bool {
	return slices.ContainsFunc(forced, func(f *messages.ForcedQuorum) bool {
		return !slices.ContainsFunc(m.config.ForcedQuorums, func(known *messages.ForcedQuorum) bool { return proto.Equal(known, f) })
	})
}
