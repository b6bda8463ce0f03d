package cluster

import (
	"cmp"
	"fmt"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/eraft-io/eraft/actors"
	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/meta"
	"github.com/eraft-io/eraft/persistence"
)

// joiner finds a cluster for a node that has none, and joins it, or bootstraps one when discovery says so. It also replies to the
// Hellos of other nodes. The Member owns it and passes it the messages.
type joiner struct {
	node         joinNode
	status       *statusBoard
	discovery    *discovery // belongs to the node: a Member that is restarted goes on with it
	seeds        []string
	host         *actor.PID
	joined       bool   // the identity of this node in its cluster is on disk
	refusal      string // reason that was reported last why this node is not in the cluster that its seeds name; "": none
	wrongCluster bool   // a seed belongs to another cluster, and no member of this one was heard since
}

// joinNode is what a joiner uses of its node.
type joinNode interface {
	sender
	replyAddress() string
	now() time.Duration
	identity() persistence.Identity
	nodeInfo() *messages.AddNode
	event(actors.Event)
}

func newJoiner(n joinNode, status *statusBoard, d *discovery, seeds []string, host *actor.PID) *joiner {
	return &joiner{node: n, status: status, discovery: d, seeds: seeds, host: host}
}

// discover says Hello to every known node, at every tick at first and at every second one later.
func (j *joiner) discover(ticks uint64) {
	j.discovery.expire(j.node.now())
	if ticks < 2 || ticks%2 == 1 {
		all, seed := j.discovery.contacts()
		for _, address := range all {
			j.node.send(actor.NewPID(address, memberPath), j.hello(address, seed(address)))
		}
	}
	j.tryBootstrap()
}

func (j *joiner) hello(address string, seed bool) *messages.Hello {
	id := j.node.identity()
	return &messages.Hello{
		Address: j.node.address(), Name: id.Name, DirectoryToken: id.Token, ClusterId: id.Cluster, Epoch: uint64(id.Epoch),
		ReplyAddress: j.node.replyAddress(), ReplyId: memberPath,
		BootstrapCandidate: j.discovery.self.BootstrapCandidate, DialedSeed: seed, DialedAddress: address,
	}
}

// tryBootstrap bootstraps a cluster when discovery says so.
func (j *joiner) tryBootstrap() {
	now := j.node.now()
	if j.discovery.inProgress {
		return
	}
	reason := j.discovery.waitReason(now)
	if reason == "" {
		j.discovery.inProgress = true
		j.node.send(j.host, bootstrap{})
	}
	if j.refusal != "" {
		reason = j.refusal
	}
	j.status.setJoinProblem(j.discovery.missing(now), reason)
}

// onHello replies at once, unless the sender is a bootstrap candidate that must be recorded on disk first.
func (j *joiner) onHello(h *messages.Hello, config *messages.Config) {
	if h.Client || h.ClusterId != 0 || j.joined {
		j.reply(h, config)
		return
	}
	from := &messages.BootstrapPeer{
		DirectoryToken: h.DirectoryToken, Name: h.Name, Address: h.Address, Epoch: h.Epoch, BootstrapCandidate: h.BootstrapCandidate,
	}
	update := j.discovery.onHello(from, h.DialedSeed, j.node.now())
	if update.save != nil || len(update.forget) > 0 {
		j.node.send(j.host, savePeer{update, h})
	}
	if update.save == nil && !update.pending {
		j.reply(h, config)
	}
}

// onPeerSaved replies to a candidate that is recorded now.
func (j *joiner) onPeerSaved(h *messages.Hello, config *messages.Config) {
	j.discovery.onPeerSaved(h.DirectoryToken)
	j.reply(h, config)
}

func (j *joiner) reply(h *messages.Hello, config *messages.Config) {
	id := j.node.identity()
	reply := &messages.HelloReply{
		Address: j.node.address(), Name: id.Name, DirectoryToken: id.Token, ClusterId: id.Cluster, Node: uint64(id.Node),
		DialedAddress: h.DialedAddress, ToToken: h.DirectoryToken,
	}
	if id.Cluster == 0 {
		j.discovery.fillReply(reply)
	}
	if h.ClusterId == 0 || h.ClusterId == id.Cluster {
		reply.ConfigVersion, reply.Config = config.GetVersion(), config
	}
	j.node.send(actor.NewPID(cmp.Or(h.ReplyAddress, h.Address), h.ReplyId), reply)
}

// askSeeds says Hello to the seeds while no other member is heard: the seeds may belong to another cluster.
func (j *joiner) askSeeds() {
	if len(j.status.snapshot().others) > 0 {
		return
	}
	for _, seed := range j.seeds {
		if seed != j.node.address() {
			j.node.send(actor.NewPID(seed, memberPath), j.hello(seed, true))
		}
	}
}

// refuse shows why this node is not in the cluster that it was told, and reports it once.
func (j *joiner) refuse(text string) {
	j.status.setJoinProblem(nil, text)
	if j.refusal != text {
		j.refusal = text
		j.node.event(JoinRefused{Text: text})
	}
}

func (j *joiner) onHelloReply(h *messages.HelloReply) {
	if j.joined {
		j.checkSeed(h)
		return
	}
	now := j.node.now()
	if h.ClusterId == 0 {
		j.discovery.onReply(h, now)
		j.tryBootstrap()
		return
	}
	h.Joining = true // the sender bootstraps no cluster
	j.discovery.onReply(h, now)
	if other := j.discovery.onClusterSeen(h.ClusterId, now); other != 0 {
		j.refuse(fmt.Sprintf("the seeds belong to two clusters, %016x and %016x: name seeds of one", min(other, h.ClusterId), max(other, h.ClusterId)))
		return
	}
	if j.discovery.inProgress || h.Config == nil {
		return // the cluster was bootstrapped a moment ago and cannot admit nodes yet
	}
	info := j.node.nodeInfo()
	info.Replaces = meta.NodeByName(h.Config, info.Name).GetId()
	j.node.send(actor.NewPID(cmp.Or(h.DialedAddress, h.Address), memberPath), &messages.JoinRequest{
		Node: info, ClusterId: h.ClusterId, ReplyAddress: j.node.replyAddress(), ReplyId: memberPath,
	})
}

// checkSeed shows that a seed belongs to another cluster than this node.
func (j *joiner) checkSeed(h *messages.HelloReply) {
	if own := j.node.identity().Cluster; h.ClusterId != 0 && h.ClusterId != own {
		j.wrongCluster = true
		j.refuse(fmt.Sprintf("the seed %s belongs to cluster %016x, but this data directory to %016x: name seeds of that one, "+
			"or start with an empty data directory to join the other", seedOf(h), h.ClusterId, own))
	}
}

// onMemberHeard takes checkSeed's finding back: a member of this node's cluster is heard.
func (j *joiner) onMemberHeard() {
	if j.wrongCluster {
		j.wrongCluster, j.refusal = false, ""
		j.status.setJoinProblem(nil, "")
	}
}

// seedOf names the sender of a reply by the address at which it was asked, and by the one that it advertises.
func seedOf(h *messages.HelloReply) string {
	if h.DialedAddress == "" || h.DialedAddress == h.Address {
		return h.Address
	}
	return fmt.Sprintf("%s (which advertises %s)", h.DialedAddress, h.Address)
}

// onJoinReply has the Host record the identity that the cluster has assigned.
func (j *joiner) onJoinReply(r *messages.JoinReply) {
	if j.joined || j.discovery.inProgress || r.DirectoryToken != j.node.identity().Token {
		return
	}
	if r.Node == 0 || r.Config == nil {
		j.refuse(r.Text)
		return
	}
	j.discovery.inProgress = true
	j.node.send(j.host, saveIdentity{cluster: r.Config.ClusterId, node: messages.NodeID(r.Node), config: r.Config})
}

// complete makes this node a member: its identity is on disk.
func (j *joiner) complete(bootstrapped bool) {
	j.joined = true
	j.status.setJoinProblem(nil, "")
	id := j.node.identity()
	j.node.event(Joined{Cluster: messages.ClusterID(id.Cluster), Node: id.Node, Bootstrapped: bootstrapped})
}
