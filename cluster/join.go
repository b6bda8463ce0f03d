package cluster

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/meta"
)

// How a node without a cluster finds one, or founds one, and how it is admitted: the Member's part of it. What decides is
// in rendezvous.go.

// seek asks everybody known for a cluster, and founds one when the rendezvous says so.
func (m *Member) discover() {
	m.n.discovery.expire(m.n.system.Clock.Now())
	if m.ticks < 2 || m.ticks%2 == 1 {
		all, seed := m.n.discovery.contacts()
		for _, address := range all {
			m.n.send(actor.NewPID(address, memberPath), m.hello(address, seed(address)))
		}
	}
	m.tryBootstrap()
}

// hello is what this node says of itself to who is at an address.
func (m *Member) hello(address string, seed bool) *messages.Hello {
	id := m.n.identity()
	return &messages.Hello{
		Address: m.n.address(), Name: m.n.config.Name, DirectoryToken: id.Token, ClusterId: id.Cluster, Epoch: uint64(id.Epoch),
		ReplyAddress: m.n.system.ReplyAddress(), ReplyId: memberPath,
		BootstrapCandidate: m.n.discovery.self.BootstrapCandidate, DialedSeed: seed, DialedAddress: address,
	}
}

// tryBootstrap founds a cluster when the rendezvous says so.
func (m *Member) tryBootstrap() {
	meet, now := m.n.discovery, m.n.system.Clock.Now()
	if meet.inProgress {
		return
	}
	waits := meet.waitReason(now)
	if waits == "" {
		meet.inProgress = true
		m.n.send(m.n.pids.host, bootstrap{})
	}
	if m.refusal != "" {
		waits = m.refusal
	}
	m.n.status.setJoinProblem(meet.missing(now), waits)
}

// onHello answers at once, but for a node that may found a cluster: first it must be on disk that it may.
func (m *Member) onHello(h *messages.Hello) {
	if h.Client || h.ClusterId != 0 || m.joined {
		m.answerHello(h)
		return
	}
	asker := &messages.BootstrapPeer{DirectoryToken: h.DirectoryToken, Name: h.Name, Address: h.Address, Epoch: h.Epoch, BootstrapCandidate: h.BootstrapCandidate}
	d := m.n.discovery.onHello(asker, h.DialedSeed, m.n.system.Clock.Now())
	if d.save != nil || len(d.forget) > 0 {
		m.n.send(m.n.pids.host, savePeer{d, h})
	}
	if d.save == nil && !d.pending {
		m.answerHello(h)
	}
}

func (m *Member) answerHello(h *messages.Hello) {
	id := m.n.identity()
	reply := &messages.HelloReply{
		Address: m.n.address(), Name: m.n.config.Name, DirectoryToken: id.Token, ClusterId: id.Cluster, Node: uint64(id.Node), DialedAddress: h.DialedAddress, ToToken: h.DirectoryToken,
	}
	if id.Cluster == 0 {
		m.n.discovery.fillReply(reply)
	}
	if h.ClusterId == 0 || h.ClusterId == id.Cluster {
		reply.ConfigVersion, reply.Config = m.config.GetVersion(), m.config
	}
	m.n.send(actor.NewPID(cmp.Or(h.ReplyAddress, h.Address), h.ReplyId), reply)
}

// askSeeds asks the seeds who they are while nobody of the cluster is heard: they may belong to another one.
func (m *Member) askSeeds() {
	if len(m.n.status.snapshot().others) > 0 {
		return
	}
	for _, seed := range m.n.config.Seeds {
		if seed == m.n.address() {
			continue
		}
		m.n.send(actor.NewPID(seed, memberPath), m.hello(seed, true))
	}
}

// refuse notes why this node is not where it was told to be, and tells it once.
func (m *Member) refuse(text string) {
	m.n.status.setJoinProblem(nil, text)
	if m.refusal != text {
		m.refusal = text
		m.n.system.Events(JoinRefused{Text: text})
	}
}

func (m *Member) onHelloReply(h *messages.HelloReply) {
	if m.joined {
		if own := m.n.identity().Cluster; h.ClusterId != 0 && h.ClusterId != own {
			m.wrongCluster = true
			m.refuse(fmt.Sprintf("the seed %s belongs to cluster %016x, but this data directory to %016x: name seeds of that one, "+
				"or start with an empty data directory to join the other", seedOf(h), h.ClusterId, own))
		}
		return
	}
	now := m.n.system.Clock.Now()
	if h.ClusterId == 0 {
		m.n.discovery.onReply(h, now)
		m.tryBootstrap()
		return
	}
	h.Joining = true // it founds none
	m.n.discovery.onReply(h, now)
	if other := m.n.discovery.onClusterSeen(h.ClusterId, now); other != 0 {
		m.refuse(fmt.Sprintf("the seeds belong to two clusters, %016x and %016x: name seeds of one", min(other, h.ClusterId), max(other, h.ClusterId)))
		return
	}
	if m.n.discovery.inProgress || h.Config == nil {
		return // it was just founded and cannot admit anybody yet
	}
	card := m.n.nodeInfo()
	card.Replaces = meta.NodeByName(h.Config, card.Name).GetId()
	m.n.send(actor.NewPID(cmp.Or(h.DialedAddress, h.Address), memberPath), &messages.JoinRequest{
		Node: card, ClusterId: h.ClusterId, ReplyAddress: m.n.system.ReplyAddress(), ReplyId: memberPath,
	})
}

// seedOf names who answered, as it was called, and as it calls itself.
func seedOf(h *messages.HelloReply) string {
	if h.DialedAddress == "" || h.DialedAddress == h.Address {
		return h.Address
	}
	return fmt.Sprintf("%s (which advertises %s)", h.DialedAddress, h.Address)
}

func (m *Member) onJoin(j *messages.JoinRequest) {
	if !m.joined || j.Node == nil {
		return
	}
	if own := m.n.identity().Cluster; j.ClusterId != own {
		m.n.send(actor.NewPID(j.ReplyAddress, j.ReplyId), &messages.JoinReply{
			DirectoryToken: j.Node.DirectoryToken, Text: fmt.Sprintf("the seed %s belongs to cluster %016x, not to %016x as it was asked: name seeds of one cluster",
				m.n.address(), own, j.ClusterId),
		})
		return
	}
	if n := m.liveHolder(j.Node); n != nil {
		m.n.send(actor.NewPID(j.ReplyAddress, j.ReplyId), &messages.JoinReply{
			DirectoryToken: j.Node.DirectoryToken, Text: fmt.Sprintf("node %d (%s) has this data directory, and is alive at %s: a directory is one node's. "+
				"Stop one of them, or start with an empty data directory", n.Id, n.Name, n.Address),
		})
		return
	}
	m.admit(j.Node, j)
}

// taken gives the node that is alive and has a card's directory, but says something else of itself. Anybody may ask to be admitted,
// and tokens are no secret: what a member says of itself, only a member can change. Who asks once more, since the answer was
// lost, says the same as before.
func (m *Member) liveHolder(card *messages.AddNode) *messages.Node {
	for _, n := range m.config.GetNodes() {
		if n.DirectoryToken != card.DirectoryToken || n.Removed || !m.n.status.snapshot().alive(messages.NodeID(n.Id)) {
			continue
		}
		if n.Address != card.Address || n.Name != card.Name || n.Resp != card.Resp || n.Http != card.Http || !slices.Equal(n.Labels, card.Labels) {
			return n
		}
	}
	return nil
}

// admit has a node's card written into the config chain, and tells who asked.
func (m *Member) admit(card *messages.AddNode, join *messages.JoinRequest) {
	m.n.request(&messages.MetaCommand{Op: &messages.MetaCommand_AddNode{AddNode: card}}, func(r *messages.Reply) {
		m.n.send(m.self, nodeAdded{join, r})
	})
}

func (m *Member) onNodeAdded(a nodeAdded) {
	if a.join == nil {
		m.announcing = false
		switch r := a.reply; r.Code {
		case messages.Code_OK:
			m.n.status.setJoinProblem(nil, "")
		case messages.Code_CONFLICT, messages.Code_INVALID:
			m.refuse(r.Text)
		}
		return
	}
	reply := &messages.JoinReply{DirectoryToken: a.join.Node.DirectoryToken, Text: a.reply.Text}
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
	if m.joined || m.n.discovery.inProgress || r.DirectoryToken != m.n.identity().Token {
		return
	}
	if r.Node == 0 || r.Config == nil {
		m.refuse(r.Text)
		return
	}
	m.n.discovery.inProgress = true
	m.n.send(m.n.pids.host, saveIdentity{cluster: r.Config.ClusterId, node: messages.NodeID(r.Node), config: r.Config})
}

func (m *Member) onIdentitySaved(a identitySaved) {
	m.joined = true
	m.n.status.setJoinProblem(nil, "")
	m.n.system.Events(Joined{Cluster: messages.ClusterID(m.n.identity().Cluster), Node: m.n.identity().Node, Bootstrapped: a.bootstrapped})
	if m.n.savedConfig != nil {
		m.adopt(m.n.savedConfig, false)
	}
	m.announceSelf()
}

// greet tells the others that this node is there: placement, and the guard of remove, count on whom they have heard.
func (m *Member) announceSelf() {
	for _, address := range m.otherAddresses() {
		m.n.send(actor.NewPID(address, memberPath), m.status(0))
	}
}
