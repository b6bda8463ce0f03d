package cluster

import (
	"slices"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/eraft-io/eraft/messages"
)

// statusExchange asks the other nodes for their statuses, records them on the status board, and answers with this node's own. The
// Member owns it.
type statusExchange struct {
	node   statusNode
	status *statusBoard
	epochs map[messages.NodeID]uint64 // boot epoch in which a node was heard last
}

// statusNode is what a statusExchange uses of its node.
type statusNode interface {
	sender
	level() messages.Level
	statusJSON(snapshot) []byte
}

func newStatusExchange(n statusNode, status *statusBoard) *statusExchange {
	return &statusExchange{node: n, status: status, epochs: map[messages.NodeID]uint64{}}
}

// lastEpoch returns the boot epoch in which a node was heard last, 0 if it was not.
func (x *statusExchange) lastEpoch(node messages.NodeID) uint64 { return x.epochs[node] }

// pull asks other nodes for their statuses.
func (x *statusExchange) pull(seq uint64, from []string) {
	for _, address := range from {
		x.node.send(actor.NewPID(address, memberPath), &messages.StatusPull{
			Seq: seq, ReplyAddress: x.node.address(), ReplyId: memberPath,
		})
	}
}

// onPull answers with this node's status; to a client with the JSON document as well.
func (x *statusExchange) onPull(p *messages.StatusPull) {
	status := x.own(p.Seq)
	if p.ReplyId != memberPath {
		status.Json = x.node.statusJSON(x.status.snapshot())
	}
	x.node.send(actor.NewPID(p.ReplyAddress, p.ReplyId), sendable(status))
}

// onSizesMeasured answers a pull that asked for the sizes of buckets.
func (x *statusExchange) onSizesMeasured(m sizesMeasured) {
	status := x.own(m.pull.Seq)
	status.Sizes = m.sizes
	x.node.send(actor.NewPID(m.pull.ReplyAddress, m.pull.ReplyId), status)
}

// own returns this node's status. seq is that of the pull that it answers, 0 if there was none.
func (x *statusExchange) own(seq uint64) *messages.NodeStatus {
	s := x.status.snapshot()
	status := &messages.NodeStatus{
		Seq: seq, Node: uint64(s.identity.Node), Epoch: uint64(s.identity.Epoch), Level: uint32(x.node.level()),
		CommittedLevel: uint32(s.identity.Level), LowDiskSpace: s.ownLowSpace,
	}
	for _, r := range s.replicas {
		status.Replicas = append(status.Replicas, r)
	}
	for _, l := range s.lags {
		status.LaggingGroups = append(status.LaggingGroups, uint64(l.group))
	}
	slices.SortFunc(status.Replicas, func(a, b *messages.ReplicaStatus) int { return int(a.Group) - int(b.Group) })
	if x.status.leads(messages.Meta) {
		status.Placement = s.plan
	}
	return status
}

// onStatus records another node's status. It reports false for this node's own, and for one of an earlier boot.
func (x *statusExchange) onStatus(s *messages.NodeStatus) bool {
	id := messages.NodeID(s.Node)
	if id == x.status.self() || s.Epoch < x.epochs[id] {
		return false
	}
	x.status.setOther(s)
	x.epochs[id] = s.Epoch
	return true
}
