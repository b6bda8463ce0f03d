package cluster

import (
	"slices"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/eraft-io/eraft/actors"
	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/raftactor"
)

// Member takes part in the cluster for this node. It keeps the loop; its parts decide: joiner finds or bootstraps a cluster,
// admission adds nodes to the config, configSync keeps the newest config, addressExchange spreads addresses, statusExchange learns
// which nodes are alive, placementDriver proposes steps of placement while this node leads group 0.
//
//	receives                from           does
//	tick                    itself         asks seeds, pulls configs and statuses, drives placement
//	*messages.Hello         nodes, clients replies which cluster this node belongs to
//	*messages.HelloReply    nodes          finds a cluster, or other nodes without one
//	*messages.JoinRequest   new nodes      has the node added to the config
//	*messages.JoinReply     a member       takes the identity, or shows why there is none
//	peerSaved               Host           a bootstrap candidate is on disk: replies to its Hello
//	identitySaved           Host           the identity is on disk: this node is a member from now on
//	*messages.ConfigPull    nodes, clients answers if it has a newer config
//	*messages.ConfigPush    nodes          takes a newer config
//	configCommitted         meta's Applier takes a newer config; pushes it if this node leads group 0
//	*messages.NodeAddresses members        learns addresses, and acknowledges them
//	*messages.StatusPull    nodes, clients answers with this node's status
//	*messages.NodeStatus    nodes          records it on the status board
//	sizesMeasured           Host           answers the leader of group 0 with the sizes of buckets
//	placementAnswered       Session        takes the reply to a step of placement
//	nodeAdded               Session        takes the reply to an AddNode command
//
// Config pulls and pushes never enter a log. Which nodes are alive is only a hint, for people and for placement.
type Member struct {
	node      memberNode
	self      *actor.PID
	host      *actor.PID
	status    *statusBoard
	timer     *tickTimer
	join      *joiner
	admission *admission
	config    *configSync
	addresses *addressExchange
	statuses  *statusExchange
	placement *placementDriver
}

type (
	peerSaved       struct{ hello *messages.Hello }
	identitySaved   struct{ bootstrapped bool }
	configCommitted struct{ config *messages.Config }
)

const memberPath = "member"

// sender reaches other actors: of this node, or of other nodes by their address.
type sender interface {
	address() string
	send(to *actor.PID, message any)
}

// memberNode is what a Member and its parts use of their node.
type memberNode interface {
	joinNode
	admissionNode
	configNode
	addressNode
	statusNode
	placementNode
	savedConfig() *messages.Config // newest config on disk at the start, or given at admission; nil: none
}

func newMember(n *node) *Member {
	m := &Member{node: n, host: n.pids.host, status: n.status}
	m.timer = newTickTimer(n.system.Clock, func(t tick) { n.send(m.self, t) })
	m.join = newJoiner(n, n.status, n.discovery, n.config.Seeds, n.pids.host)
	m.admission = newAdmission(n, n.status, m.join.refuse, func(a nodeAdded) { n.send(m.self, a) })
	m.config = newConfigSync(n, n.config.Seeds, n.pids.router, n.pids.host)
	m.addresses = newAddressExchange(n, n.status, &n.addressBook, n.config.Seeds, n.pids.router)
	m.statuses = newStatusExchange(n, n.status)
	m.placement = newPlacementDriver(n, n.status, placementOptions{
		replaceAfter: n.config.ReplaceAfter, unevenBytes: n.config.UnevenBytes,
		onPropose: func() { m.timer.wake(m.join.joined) },
		answer:    func(r *messages.Reply) { n.send(m.self, placementAnswered{r}) },
	})
	return m
}

func (m *Member) Receive(ctx actor.Context) {
	switch msg := ctx.Message().(type) {
	case *actor.Started:
		m.start(ctx.Self())
	case *actor.Stopping, *actor.Restarting:
		m.timer.stop()
	case tick:
		if m.timer.accept(msg, m.join.joined) {
			m.onTick()
		}
	case *messages.Hello:
		m.join.onHello(msg, m.config.current)
	case *messages.HelloReply:
		m.join.onHelloReply(msg)
	case *messages.JoinRequest:
		if m.join.joined {
			m.admission.onJoin(msg, m.config.current)
		}
	case *messages.JoinReply:
		m.join.onJoinReply(msg)
	case peerSaved:
		m.join.onPeerSaved(msg.hello, m.config.current)
	case identitySaved:
		m.onIdentitySaved(msg)
	case *messages.ConfigPull:
		m.config.onPull(msg)
	case *messages.ConfigPush:
		m.adopt(msg.GetConfig(), false)
	case configCommitted:
		m.adopt(msg.config, m.status.leads(messages.Meta))
	case *messages.NodeAddresses:
		if m.join.joined {
			m.addresses.onAddresses(msg, m.config.current)
		}
	case *messages.StatusPull:
		m.onStatusPull(msg)
	case *messages.NodeStatus:
		m.onNodeStatus(msg)
	case sizesMeasured:
		m.statuses.onSizesMeasured(msg)
	case placementAnswered:
		m.adopt(m.placement.onReply(msg.reply), true)
	case nodeAdded:
		m.admission.onAdded(msg)
	}
}

func (m *Member) start(self *actor.PID) {
	m.self = self
	if m.node.identity().Cluster != 0 {
		m.join.joined = true
	} else {
		m.join.discover(m.timer.ticks)
	}
	m.timer.schedule(m.join.joined)
	m.adopt(m.node.savedConfig(), false)
}

func (m *Member) onIdentitySaved(msg identitySaved) {
	m.join.complete(msg.bootstrapped)
	m.adopt(m.node.savedConfig(), false)
	m.announceSelf()
}

// announceSelf sends this node's status to the others: placement, and the guard of remove, need to know that it is alive.
func (m *Member) announceSelf() {
	for _, address := range m.addresses.others(m.config.current) {
		m.node.send(actor.NewPID(address, memberPath), m.statuses.own(0))
	}
}

func (m *Member) onTick() {
	ticks := m.timer.ticks
	if !m.join.joined {
		m.join.discover(ticks)
		return
	}
	config := m.config.current
	others := func() []string { return m.addresses.others(config) }
	m.config.pull(ticks, others)
	if ticks == 1 { // the node was restarted: it asks how far its replicas must catch up
		m.announceSelf()
		m.statuses.pull(ticks, others())
	}
	if ticks%slowTicks == 0 {
		m.statuses.pull(ticks, others())
		m.addresses.announce(config, m.statuses.lastEpoch)
		m.admission.refresh(config)
		m.join.askSeeds()
		m.pledge()
		m.placement.publishPlan(config)
		m.destroyRemovedReplicas()
	}
	m.placement.drive(config, ticks, others)
}

// adopt takes a config if it is newer, and passes it to the other actors of this node; push: to the other nodes as well.
func (m *Member) adopt(config *messages.Config, push bool) {
	if !m.join.joined || !m.config.take(config) {
		return
	}
	m.timer.wake(true)
	m.addresses.update(config)
	m.config.publish()
	m.addresses.publish(config)
	m.config.apply()
	if push {
		m.config.push(m.addresses.others(config))
	}
}

func (m *Member) onStatusPull(p *messages.StatusPull) {
	if p.Sizes {
		m.node.send(m.host, measureSizes{p})
		return
	}
	m.statuses.onPull(p)
}

func (m *Member) onNodeStatus(s *messages.NodeStatus) {
	if s.Node == 0 {
		return // the node belongs to no cluster
	}
	m.placement.onSizes(m.config.current, s.Sizes)
	if m.statuses.onStatus(s) {
		m.join.onMemberHeard()
	}
}

// pledge has the Host record the level that all nodes of the config have.
func (m *Member) pledge() {
	config := m.config.current
	if config == nil {
		return
	}
	if level := m.status.snapshot().commonLevel(config, m.node.level()); level > m.node.identity().Level {
		m.node.send(m.host, pledge{level})
	}
}

// destroyRemovedReplicas ends the replicas of this node that are no longer members of their groups: the group's leader says so, or
// the group has left the cluster.
func (m *Member) destroyRemovedReplicas() {
	s, self := m.status.snapshot(), uint64(m.node.identity().Node)
	for _, g := range m.config.current.GetGroups() {
		id := messages.GroupID(g.Id)
		if s.replicas[id] == nil || slices.Contains(g.Nodes, self) {
			continue
		}
		if len(g.Nodes) == 0 {
			m.node.send(m.node.peer(id), raftactor.DestroyReplica{Index: raftactor.GroupDeleted})
		} else if durable, _ := s.removalDurable(id, self); durable {
			m.node.send(m.node.peer(id), raftactor.DestroyReplica{Index: s.leaderStatus(id).Applied})
		}
	}
}

// tick is the Member's timer. Only the newest one counts: one that was already in the mailbox when the timer was set anew does not.
type tick struct{ number uint64 }

const (
	tickInterval = 100 * time.Millisecond
	idleAfter    = 20 // ticks without a newer config or a step of placement, after which ticks are slowTicks times as far apart
	slowTicks    = 10
)

// tickTimer decides when the next tick is due: every tickInterval, and less often when nothing happens.
type tickTimer struct {
	clock  actors.Clock
	fire   func(tick)
	ticks  uint64 // ticks since the start; a slow tick counts up to the next multiple of slowTicks
	number uint64 // of the newest tick that was set
	idle   int    // ticks since wake was called last
	stop   func() // cancels the tick that is set
}

func newTickTimer(clock actors.Clock, fire func(tick)) *tickTimer {
	return &tickTimer{clock: clock, fire: fire, stop: func() {}}
}

// schedule sets the next tick. maySlow: the node has joined, so its ticks may become slow.
func (t *tickTimer) schedule(maySlow bool) {
	interval := tickInterval
	if maySlow && t.idle >= idleAfter {
		interval *= slowTicks
	}
	t.number++
	next := tick{t.number}
	t.stop = t.clock.After(interval, func() { t.fire(next) })
}

// accept counts a tick and sets the next one. It reports whether the tick is the newest.
func (t *tickTimer) accept(fired tick, maySlow bool) bool {
	if fired.number != t.number {
		return false
	}
	if t.ticks++; maySlow && t.idle >= idleAfter {
		t.ticks = (t.ticks + slowTicks - 1) / slowTicks * slowTicks
	}
	t.idle++
	t.schedule(maySlow)
	return true
}

// wake makes ticks frequent again.
func (t *tickTimer) wake(maySlow bool) {
	if t.idle >= idleAfter {
		t.idle = 0
		t.stop()
		t.schedule(maySlow)
	}
	t.idle = 0
}
