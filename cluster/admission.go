package cluster

import (
	"fmt"
	"slices"

	"github.com/asynkron/protoactor-go/actor"
	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/persistence"
)

// admission adds nodes to the config: new nodes that ask this member, and this node itself when what the config says about it is
// outdated. The Member owns it.
type admission struct {
	node      admissionNode
	status    *statusBoard
	refuse    func(text string) // shows why this node's own AddNode was refused
	answer    func(nodeAdded)   // takes the reply to an AddNode, on the Session's goroutine
	announces bool              // an AddNode of this node itself is in flight
}

// admissionNode is what an admission uses of its node.
type admissionNode interface {
	sender
	identity() persistence.Identity
	nodeInfo() *messages.AddNode
	request(op proto.Message, done func(*messages.Reply))
}

// nodeAdded is the reply to an AddNode command.
type nodeAdded struct {
	join  *messages.JoinRequest // the request of the node; nil: it is this node itself
	reply *messages.Reply
}

func newAdmission(n admissionNode, status *statusBoard, refuse func(string), answer func(nodeAdded)) *admission {
	return &admission{node: n, status: status, refuse: refuse, answer: answer}
}

// onJoin has a node added to the config, or replies why it is not.
func (a *admission) onJoin(j *messages.JoinRequest, config *messages.Config) {
	if j.Node == nil {
		return
	}
	if own := a.node.identity().Cluster; j.ClusterId != own {
		a.reply(j, &messages.JoinReply{
			Text: fmt.Sprintf("the seed %s belongs to cluster %016x, not to %016x as it was asked: name seeds of one cluster",
				a.node.address(), own, j.ClusterId),
		})
		return
	}
	if n := a.liveHolder(config, j.Node); n != nil {
		a.reply(j, &messages.JoinReply{
			Text: fmt.Sprintf("node %d (%s) has this data directory, and is alive at %s: a directory is one node's. "+
				"Stop one of them, or start with an empty data directory", n.Id, n.Name, n.Address),
		})
		return
	}
	a.add(j.Node, j)
}

func (a *admission) reply(j *messages.JoinRequest, r *messages.JoinReply) {
	r.DirectoryToken = j.Node.DirectoryToken
	a.node.send(actor.NewPID(j.ReplyAddress, j.ReplyId), r)
}

// liveHolder returns the node that is alive with the token of info but differs from it otherwise; nil: there is none. Any process may
// send a JoinRequest, and tokens are no secret: only the member itself may change its entry. A request that is repeated because its
// reply was lost does not differ.
func (a *admission) liveHolder(config *messages.Config, info *messages.AddNode) *messages.Node {
	for _, n := range config.GetNodes() {
		if n.DirectoryToken != info.DirectoryToken || n.Removed || !a.status.snapshot().alive(messages.NodeID(n.Id)) {
			continue
		}
		if differs(n, info) {
			return n
		}
	}
	return nil
}

// differs reports whether the config describes a node in another way than the node itself.
func differs(n *messages.Node, info *messages.AddNode) bool {
	return n.Address != info.Address || n.Name != info.Name || n.Resp != info.Resp || n.Http != info.Http || !slices.Equal(n.Labels, info.Labels)
}

// add sends an AddNode to group 0. join is nil if the node is this one.
func (a *admission) add(info *messages.AddNode, join *messages.JoinRequest) {
	a.node.request(&messages.MetaCommand{Op: &messages.MetaCommand_AddNode{AddNode: info}}, func(r *messages.Reply) {
		a.answer(nodeAdded{join, r})
	})
}

// onAdded passes the result on to the node that asked.
func (a *admission) onAdded(added nodeAdded) {
	if added.join == nil {
		a.announces = false
		switch r := added.reply; r.Code {
		case messages.Code_OK:
			a.status.setJoinProblem(nil, "")
		case messages.Code_CONFLICT, messages.Code_INVALID:
			a.refuse(r.Text)
		}
		return
	}
	reply := &messages.JoinReply{Text: added.reply.Text}
	switch added.reply.Code {
	case messages.Code_OK:
		reply.Node, reply.Config = added.reply.GetMeta().GetNode(), added.reply.GetMeta().GetConfig()
		reply.Text = ""
	case messages.Code_CONFLICT, messages.Code_INVALID:
	default: // the node asks again in any case
		reply.Text = "the cluster cannot admit a node now, since group 0 does not answer: " + added.reply.Text
	}
	a.reply(added.join, reply)
}

// refresh sends an AddNode of this node when the config describes it in another way than it is.
func (a *admission) refresh(config *messages.Config) {
	if a.announces || config == nil {
		return
	}
	info := a.node.nodeInfo()
	for _, n := range config.Nodes {
		if n.Id == uint64(a.node.identity().Node) && (differs(n, info) || unreported(config, info.ForcedQuorums)) {
			a.announces = true
			a.add(info, nil)
		}
	}
}

// unreported reports whether the config lacks a quorum that was forced on this node.
func unreported(config *messages.Config, forced []*messages.ForcedQuorum) bool {
	return slices.ContainsFunc(forced, func(f *messages.ForcedQuorum) bool {
		return !slices.ContainsFunc(config.ForcedQuorums, func(known *messages.ForcedQuorum) bool { return proto.Equal(known, f) })
	})
}
