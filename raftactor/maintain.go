package raftactor

import (
	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/raftactor/raft"
)

// TransferLeadership asks the leader to transfer leadership to another voter; 0: to the one with the longest log. It is an attempt: a
// replica that does not lead ignores it, and a transferee that does not answer leaves things as they are.
type TransferLeadership struct{ To messages.NodeID }

func (p *Peer) onReplicaTarget(m ReplicaTarget) {
	if m.OutOfSpace != p.membership.target.OutOfSpace {
		p.o.System.Root.Send(p.pids.receiver, outOfSpace{m.OutOfSpace})
	}
	p.membership.set(m)
	if p.core.Soft().Role == raft.Leader {
		p.core.Wake()
	}
}

// maintain does what a replica does between requests, at every tick: membership changes, the preferred leader, compaction.
func (p *Peer) maintain() {
	if p.membership.shouldCampaign(uint64(p.o.Node), p.core.Soft().Term) {
		p.core.Campaign()
	}
	if p.core.Soft().Role == raft.Leader && len(p.membership.target.Nodes) > 0 && !p.reconcile() {
		p.core.Wake()
	}
	p.compact()
	p.retention.release(p.core)
}

// reconcile takes the next step to where the group should be. It reports whether the group is there.
func (p *Peer) reconcile() bool {
	step := p.membership.step(p.core.Status(), p.o.System.Clock.Now())
	if step.transferTo != 0 {
		p.transfer(step.transferTo)
	}
	if step.change == nil {
		return step.settled
	}
	if _, _, err := p.core.ProposeConf(step.change); err == nil {
		for _, c := range append(step.change.Changes, step.change) {
			if c.Kind != messages.ConfChange_JOINT {
				p.o.System.Events(MemberChanged{Group: p.o.Group, Node: messages.NodeID(c.Node), Change: c.Kind.String()})
			}
		}
	}
	return step.settled
}

func (p *Peer) onTransferLeadership(m TransferLeadership) {
	to := uint64(m.To)
	if to == 0 {
		to = p.core.BestTransferee()
	}
	if to != 0 {
		p.transfer(to)
	}
}

func (p *Peer) transfer(to uint64) {
	if err := p.core.Transfer(to); err != nil {
		p.o.System.Events(MessageDropped{Group: p.o.Group, From: p.o.Node, Reason: err})
	}
}

// quiesce tells the Ticker when the group has quiesced, and when it has woken. The Ticker of a quiesced leader watches the nodes of all
// other members, that of a follower the node of its leader.
func (p *Peer) quiesce() {
	if p.core.Quiesced() == p.announced.quiesced {
		return
	}
	p.report()
	if p.announced.quiesced = p.core.Quiesced(); !p.announced.quiesced {
		p.o.System.Root.Send(p.o.Ticker, Subscribe{p.pids.peer})
		return
	}
	status := p.core.Status()
	nodes := []uint64{status.Leader}
	if status.Role == raft.Leader {
		nodes = raft.Members(status.Conf)
	}
	m := Quiesce{Peer: p.pids.peer}
	for _, node := range nodes {
		if node != status.ID {
			m.Watch = append(m.Watch, WatchedNode{messages.NodeID(node), p.o.Address(messages.NodeID(node))})
		}
	}
	p.o.System.Root.Send(p.o.Ticker, m)
	p.compact() // no tick will: what has woken the group may have made the log too long
}

// checkSpace refuses a command that would make the data larger where there is no space for it.
func (p *Peer) checkSpace(command []byte) *messages.Error {
	if len(p.membership.target.FullNodes) == 0 || p.o.Grows == nil ||
		!p.membership.short(uint64(p.o.Node), p.core.Status().Conf.GetVoters()) || !p.o.Grows(command) {
		return nil
	}
	return messages.Errorf(messages.Code_OVERLOADED,
		"the disks of nodes %v are full: group %d takes only deletes and reads until there is room", p.membership.target.FullNodes, p.o.Group)
}
