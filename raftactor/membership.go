package raftactor

import (
	"slices"

	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/raftactor/raft"
	"github.com/eraft-io/eraft/raftactor/raft/progress"
)

// Desire says where a group's replicas should be, the preferred leader first. The leader gets there by one
// membership change after the other; everybody else remembers it for the day it leads.
type ReplicaTarget struct {
	Nodes     []uint64
	Bootstrap bool // the group was just made: its preferred leader campaigns at once
	StepAside bool // this replica should not lead: it hands over as soon as the preferred leader is up to date

	FullNodes  []uint64 // nodes whose disks have no room for more data: they should not lead
	OutOfSpace bool     // this node's has none for more of the log either
}

type replicaTarget struct {
	nodes      []uint64
	bootstrap  bool
	stepAside  bool
	fullNodes  []uint64
	outOfSpace bool
	preference leaderPreference
}

func (d *replicaTarget) set(m ReplicaTarget) {
	if d.preferred() != preferredOf(m.Nodes) {
		d.preference = leaderPreference{}
	}
	d.nodes, d.bootstrap, d.stepAside, d.fullNodes, d.outOfSpace = m.Nodes, d.bootstrap || m.Bootstrap, m.StepAside, m.FullNodes, m.OutOfSpace
}

// preferred is who should lead, 0 if nobody in particular.
func (d *replicaTarget) preferred() uint64 { return preferredOf(d.nodes) }

func preferredOf(nodes []uint64) uint64 {
	if len(nodes) == 0 {
		return 0
	}
	return nodes[0]
}

// maintain does what a replica does between requests: membership changes, the preferred leader, compaction.
func (p *Peer) maintain() {
	if p.target.bootstrap && len(p.target.nodes) > 0 {
		p.target.bootstrap = false
		if p.target.nodes[0] == uint64(p.o.Node) && p.core.Soft().Term <= 1 {
			p.core.Campaign()
		}
	}
	if p.core.Soft().Role == raft.Leader && len(p.target.nodes) > 0 && !p.reconcile() {
		p.core.Wake()
	}
	p.compact()
	p.release()
}

// quiesce tells the Ticker when the group has quiesced, and when it has woken. A quiesced leader watches all other members, a follower
// its leader.
func (p *Peer) quiesce() {
	if p.core.Quiesced() == p.quiesced {
		return
	}
	p.report()
	if p.quiesced = p.core.Quiesced(); !p.quiesced {
		p.o.System.Root.Send(p.o.Ticker, Subscribe{p.self})
		return
	}
	status := p.core.Status()
	nodes := []uint64{status.Leader}
	if status.Role == raft.Leader {
		nodes = raft.Members(status.Conf)
	}
	rest := Quiesce{Peer: p.self}
	for _, node := range nodes {
		if node != status.ID {
			rest.Watch = append(rest.Watch, WatchedNode{messages.NodeID(node), p.o.Address(messages.NodeID(node))})
		}
	}
	p.o.System.Root.Send(p.o.Ticker, rest)
	p.compact() // no tick will: what it was woken up for may have made the log too long
}

// reconcile takes the next step to where the group should be. It reports whether there is none.
func (p *Peer) reconcile() bool {
	status := p.core.Status()
	if status.Transferring != 0 {
		return false
	}
	if to := chooseTransferee(status, p.target.nodes); to != 0 {
		p.onTransfer(TransferLeadership{To: messages.NodeID(to)})
		return false
	}
	if roomy := p.target.voterWithSpace(status); roomy != 0 {
		p.onTransfer(TransferLeadership{To: messages.NodeID(roomy)})
		return false
	}
	if change := NextChange(status, p.target.nodes); change != nil {
		if _, _, err := p.core.ProposeConf(change); err == nil {
			for _, c := range append(change.Changes, change) {
				if c.Kind != messages.ConfChange_JOINT {
					p.o.System.Events(MemberChanged{Group: p.o.Group, Node: messages.NodeID(c.Node), Change: c.Kind.String()})
				}
			}
		}
		return false
	}
	preferred := p.target.preferred()
	if preferred == status.ID || slices.Contains(p.target.fullNodes, preferred) {
		return true
	}
	ready := upToDate(status, preferred)
	if p.target.preference.due(p.o.System.Clock.Now(), ready) || ready && p.target.stepAside {
		p.onTransfer(TransferLeadership{To: messages.NodeID(preferred)})
	}
	return !ready
}

// heir is the wanted voter to which a leader that is not wanted hands over, before anything else: who stays changes
// the membership. 0: this leader is wanted, or nobody can take over yet.
func chooseTransferee(status raft.Status, wanted []uint64) uint64 {
	if slices.Contains(wanted, status.ID) {
		return 0
	}
	for _, node := range wanted {
		if slices.Contains(status.Conf.Voters, node) && upToDate(status, node) {
			return node
		}
	}
	return 0
}

// NextChange is the next step from a group's membership to the wanted one: first add who is wanted as learner, one by
// one, and when learners have caught up promote them and remove as many voters that are not wanted, in one joint change
// (thesis 4.3), so that the group is never larger or smaller than it must be. Once all who are wanted vote, the rest is
// removed, but for this leader: it hands over first. Of the voters that are not wanted those go first that cannot vote, and none
// goes without whom there would be no majority of such that can, now. nil: nothing to do now.
func NextChange(status raft.Status, wanted []uint64) *messages.ConfChange {
	conf := status.Conf
	if len(conf.Outgoing) > 0 {
		return nil // the leader leaves a joint membership by itself
	}
	var missing int
	var promoted, removed, learners []uint64
	for _, node := range wanted {
		switch {
		case slices.Contains(conf.Voters, node):
		case !slices.Contains(conf.Learners, node):
			return &messages.ConfChange{Kind: messages.ConfChange_ADD_LEARNER, Node: node}
		case upToDate(status, node):
			promoted = append(promoted, node)
		default:
			missing++
		}
	}
	for _, node := range conf.Voters {
		switch {
		case slices.Contains(wanted, node) || node == status.ID:
		case replicating(status, node):
			removed = append(removed, node)
		default:
			removed = slices.Insert(removed, 0, node)
		}
	}
	if missing > 0 {
		removed = removed[:min(len(removed), len(promoted))]
	} else {
		learners = slices.DeleteFunc(slices.Clone(conf.Learners), func(node uint64) bool { return slices.Contains(wanted, node) })
	}
	if !keepsQuorum(status, conf.Voters, nil) {
		return nil
	}
	for len(removed) > 0 && !keepsQuorum(status, slices.Concat(conf.Voters, promoted), removed) {
		removed = removed[:len(removed)-1]
	}
	return confChangeOf(promoted, slices.Concat(removed, learners))
}

// confChangeOf is one change that makes learners voters and removes others; nil: nobody.
func confChangeOf(promoted, removed []uint64) *messages.ConfChange {
	var changes []*messages.ConfChange
	for _, node := range promoted {
		changes = append(changes, &messages.ConfChange{Kind: messages.ConfChange_PROMOTE, Node: node})
	}
	for _, node := range removed {
		changes = append(changes, &messages.ConfChange{Kind: messages.ConfChange_REMOVE, Node: node})
	}
	switch len(changes) {
	case 0:
		return nil
	case 1:
		return changes[0]
	}
	return &messages.ConfChange{Kind: messages.ConfChange_JOINT, Changes: changes}
}

// keepsQuorum tells whether the voters that are left without some are a majority that can commit now.
func keepsQuorum(status raft.Status, voters, without []uint64) bool {
	left := slices.DeleteFunc(slices.Clone(voters), func(node uint64) bool { return slices.Contains(without, node) })
	can := 0
	for _, node := range left {
		if replicating(status, node) {
			can++
		}
	}
	return can > len(left)/2
}

// able tells whether a voter is this leader, or one that is there and takes entries as they come.
func replicating(status raft.Status, node uint64) bool {
	return node == status.ID || slices.ContainsFunc(status.Followers, func(f raft.FollowerStatus) bool {
		return f.ID == node && f.Active && !f.Recovering && !f.Stalled && f.State == progress.Replicate
	})
}

// maxLagEntries is how far behind a follower may be and still count as up to date.
const maxLagEntries = 16

func upToDate(status raft.Status, node uint64) bool {
	for _, f := range status.Followers {
		if f.ID == node {
			return f.Active && !f.Recovering && !f.Stalled && f.Match+maxLagEntries >= status.Last
		}
	}
	return false
}

// successor is the voter that has most of the log, 0 if there is none but this one.
func mostUpToDateVoter(status raft.Status) uint64 {
	var best, match uint64
	for _, f := range status.Followers {
		if f.Active && !f.Stalled && slices.Contains(status.Conf.Voters, f.ID) && f.ID != status.ID && f.Match > match {
			best, match = f.ID, f.Match
		}
	}
	return best
}
