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
	n            *node
	self         *actor.PID
	joined       bool
	refusal      string // what was told last of why this node may not join
	wrongCluster bool   // its seeds belong to another cluster, and nobody of its own is heard
	config       *messages.Config
	ticks        uint64
	timerSeq     uint64 // beats that have been set; one that was on its way when stir set another does not count
	idleTicks    int    // beats since there was a newer config or a step of placement
	placement    placement
	announcing   bool
	ackedEpochs  map[messages.NodeID]uint64 // in which boot a node was told where this one is,
	heardEpochs  map[messages.NodeID]uint64 // and in which it was heard last
	cancel       func()
}

type (
	tick              struct{ number uint64 }
	peerSaved         struct{ hello *messages.Hello }
	identitySaved     struct{ bootstrapped bool }
	configCommitted   struct{ config *messages.Config }
	placementAnswered struct{ reply *messages.Reply }
	nodeAdded         struct {
		join  *messages.JoinRequest // who is to be told; nil: this node itself
		reply *messages.Reply
	}
)

const (
	memberPath   = "member"
	tickInterval = 100 * time.Millisecond
	idleAfter    = 20 // beats; from then on every tenth is enough
)

func newMember(n *node) *Member {
	return &Member{n: n, ackedEpochs: map[messages.NodeID]uint64{}, heardEpochs: map[messages.NodeID]uint64{}}
}

func (m *Member) Receive(ctx actor.Context) {
	switch msg := ctx.Message().(type) {
	case *actor.Started:
		m.start(ctx.Self())
	case *actor.Stopping, *actor.Restarting:
		m.cancel()
	case tick:
		if msg.number == m.timerSeq {
			m.onTick()
		}
	case *messages.Hello:
		m.onHello(msg)
	case *messages.HelloReply:
		m.onHelloReply(msg)
	case *messages.JoinRequest:
		m.onJoin(msg)
	case *messages.JoinReply:
		m.onJoinReply(msg)
	case peerSaved:
		m.n.discovery.onPeerSaved(msg.hello.DirectoryToken)
		m.answerHello(msg.hello)
	case identitySaved:
		m.onIdentitySaved(msg)
	case *messages.ConfigPull:
		m.onConfigPull(msg)
	case *messages.ConfigPush:
		m.adopt(msg.GetConfig(), false)
	case configCommitted:
		m.adopt(msg.config, m.n.status.leads(messages.Meta))
	case *messages.NodeAddresses:
		m.onAddresses(msg)
	case *messages.StatusPull:
		m.onStatusPull(msg)
	case *messages.NodeStatus:
		m.onNodeStatus(msg)
	case sizesMeasured:
		m.onSizesMeasured(msg)
	case placementAnswered:
		m.onPlacementAnswered(msg)
	case nodeAdded:
		m.onNodeAdded(msg)
	}
}

func (m *Member) start(self *actor.PID) {
	m.self = self
	if id := m.n.identity(); id.Cluster != 0 {
		m.joined = true
	} else {
		m.discover()
	}
	m.schedule()
	if m.n.savedConfig != nil {
		m.adopt(m.n.savedConfig, false)
	}
}

func (m *Member) schedule() {
	interval := tickInterval
	if m.joined && m.idleTicks >= idleAfter {
		interval *= 10
	}
	m.timerSeq++
	number := m.timerSeq
	m.cancel = m.n.system.Clock.After(interval, func() { m.n.send(m.self, tick{number}) })
}

// stir makes the beats frequent again.
func (m *Member) wake() {
	if m.idleTicks >= idleAfter {
		m.idleTicks = 0
		m.cancel()
		m.schedule()
	}
	m.idleTicks = 0
}

func (m *Member) onTick() {
	if m.ticks++; m.joined && m.idleTicks >= idleAfter {
		m.ticks = (m.ticks + 9) / 10 * 10
	}
	m.idleTicks++
	m.schedule()
	if !m.joined {
		m.discover()
		return
	}
	m.pullConfig()
	if m.ticks == 1 { // a node that was started again
		m.announceSelf()
		m.pullStatus() // and wants to know how far its replicas must come
	}
	if m.ticks%10 == 0 {
		m.pullStatus()
		m.announceAddress()
		m.refreshNodeInfo()
		m.askSeeds()
		m.pledge()
		m.publishPlan()
		m.destroyRemovedReplicas()
	}
	m.drivePlacement()
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
		m.n.fail(levelTooOld(has, config.FeatureLevel()))
		return
	}
	if self := findNode(config, m.n.identity().Node); m.hasLaterEpoch(self.GetDirectoryToken(), self.GetEpoch()) {
		m.n.fail(ErrOlderCopy)
		return
	}
	m.wake()
	m.n.addressBook.Update(config)
	m.n.setConfig(config)
	m.n.send(m.n.pids.router, &messages.ConfigPush{Config: config})
	m.publishAddresses()
	m.n.send(m.n.pids.host, applyConfig{config})
	m.n.system.Events(ConfigAdopted{Version: config.Version, Change: config.Change})
	if push {
		for _, address := range m.otherAddresses() {
			m.n.send(actor.NewPID(address, memberPath), &messages.ConfigPush{Config: config})
		}
	}
}

// others are the addresses of the other nodes of the config.
func (m *Member) otherAddresses() []string {
	var all []string
	for _, node := range m.config.GetNodes() {
		if !node.Removed && node.Id != uint64(m.n.identity().Node) {
			all = append(all, m.n.addressBook.Address(node.Id))
		}
	}
	return all
}

// pull asks one other node for a newer config: often while this node knows none, else now and then, since pushes
// may get lost.
func (m *Member) pullConfig() {
	if m.config != nil && m.ticks%20 != 0 {
		return
	}
	from := m.otherAddresses()
	if len(from) == 0 {
		from = slices.DeleteFunc(slices.Clone(m.n.config.Seeds), func(a string) bool { return a == m.n.address() })
	}
	if len(from) == 0 {
		return
	}
	m.n.send(actor.NewPID(from[int(m.ticks/20)%len(from)], memberPath), &messages.ConfigPull{
		HaveVersion: m.config.GetVersion(), ReplyAddress: m.n.address(), ReplyId: memberPath,
	})
}

// pulse asks the others how they are.
func (m *Member) pullStatus() {
	for _, address := range m.otherAddresses() {
		m.n.send(actor.NewPID(address, memberPath), &messages.StatusPull{
			Seq: m.ticks, ReplyAddress: m.n.address(), ReplyId: memberPath,
		})
	}
}

func (m *Member) onStatusPull(p *messages.StatusPull) {
	if p.Sizes {
		m.n.send(m.n.pids.host, measureSizes{p})
		return
	}
	status := m.status(p.Seq)
	if p.ReplyId != memberPath {
		status.Json = m.n.statusJSON(m.n.status.snapshot())
	}
	m.n.send(actor.NewPID(p.ReplyAddress, p.ReplyId), sendable(status))
}

// status is what other nodes are told of this one.
func (m *Member) status(seq uint64) *messages.NodeStatus {
	s := m.n.status.snapshot()
	status := &messages.NodeStatus{
		Seq: seq, Node: uint64(s.identity.Node), Epoch: uint64(s.identity.Epoch), Level: uint32(m.n.level()), CommittedLevel: uint32(s.identity.Level), LowDiskSpace: s.ownLowSpace,
	}
	for _, r := range s.replicas {
		status.Replicas = append(status.Replicas, r)
	}
	for _, l := range s.lags {
		status.LaggingGroups = append(status.LaggingGroups, uint64(l.group))
	}
	slices.SortFunc(status.Replicas, func(a, b *messages.ReplicaStatus) int { return int(a.Group) - int(b.Group) })
	if m.n.status.leads(messages.Meta) {
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
	if s.Node == uint64(m.n.identity().Node) || s.Epoch < m.heardEpochs[messages.NodeID(s.Node)] {
		return // its own word, or one of an earlier life
	}
	m.n.status.setOther(s)
	m.heardEpochs[messages.NodeID(s.Node)] = s.Epoch
	if m.wrongCluster {
		m.wrongCluster, m.refusal = false, ""
		m.n.status.setJoinProblem(nil, "")
	}
}

// refreshNodeInfo announces what this node is when it is not what the config says.
func (m *Member) refreshNodeInfo() {
	if m.announcing || m.config == nil {
		return
	}
	card := m.n.nodeInfo()
	for _, node := range m.config.Nodes {
		if node.Id == uint64(m.n.identity().Node) &&
			(node.Address != card.Address || node.Resp != card.Resp || node.Http != card.Http || node.Name != card.Name ||
				!slices.Equal(node.Labels, card.Labels) || m.unreported(card.ForcedQuorums)) {
			m.announcing = true
			m.admit(card, nil)
		}
	}
}

// untold tells whether the config does not know yet that quorums were made on this node by hand.
func (m *Member) unreported(forced []*messages.ForcedQuorum) bool {
	return slices.ContainsFunc(forced, func(f *messages.ForcedQuorum) bool {
		return !slices.ContainsFunc(m.config.ForcedQuorums, func(known *messages.ForcedQuorum) bool { return proto.Equal(known, f) })
	})
}
