package raftactor

import (
	"slices"
	"time"

	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/raftactor/raft"
	"github.com/eraft-io/eraft/raftactor/raft/progress"
)

// ReplicaTarget says where a group's replicas should be. The node sends it to its own replica whenever the config changes. The leader
// gets the group there by one membership change after the other; the other replicas remember it for when they lead.
type ReplicaTarget struct {
	Nodes     []uint64 // ids of the nodes that should have a replica, the preferred leader first
	Bootstrap bool     // the group was just made: its preferred leader campaigns at once
	StepAside bool     // this replica should not lead: it transfers leadership as soon as the preferred leader is up to date

	FullNodes  []uint64 // nodes whose disks have no space for more data: they should not lead
	OutOfSpace bool     // this node's disk has no space for more of the log either: appends and snapshot chunks are dropped
}

// membership decides how a leader gets its group to its target: which membership change is next, and to which replica leadership is
// transferred, and when. It is pure.
type membership struct {
	target     ReplicaTarget
	preference leaderPreference
}

// set takes a new target. That the group was just made holds until the replica has acted on it.
func (m *membership) set(target ReplicaTarget) {
	if m.preferred() != preferredOf(target.Nodes) {
		m.preference = leaderPreference{}
	}
	target.Bootstrap = target.Bootstrap || m.target.Bootstrap
	m.target = target
}

// preferred is the preferred leader; 0: there is none.
func (m *membership) preferred() uint64 { return preferredOf(m.target.Nodes) }

func preferredOf(nodes []uint64) uint64 {
	if len(nodes) == 0 {
		return 0
	}
	return nodes[0]
}

// shouldCampaign tells, once, whether a replica of a group that was just made campaigns at once, in the term that it is in.
func (m *membership) shouldCampaign(self, term uint64) bool {
	if !m.target.Bootstrap || len(m.target.Nodes) == 0 {
		return false
	}
	m.target.Bootstrap = false
	return m.target.Nodes[0] == self && term <= 1
}

// membershipStep is what a leader does next on the way to its target. At most one of transferTo and change is set.
type membershipStep struct {
	transferTo uint64               // transfer leadership to this node; 0: to none
	change     *messages.ConfChange // propose this change; nil: none
	settled    bool                 // the group is where it should be: it may quiesce
}

// step is what a leader with this status does now.
func (m *membership) step(status raft.Status, now time.Duration) membershipStep {
	if status.Transferring != 0 {
		return membershipStep{}
	}
	if to := m.transferee(status); to != 0 {
		return membershipStep{transferTo: to}
	}
	if change := NextChange(status, m.target.Nodes); change != nil {
		return membershipStep{change: change}
	}
	preferred := m.preferred()
	if preferred == status.ID || slices.Contains(m.target.FullNodes, preferred) {
		return membershipStep{settled: true}
	}
	ready := upToDate(status, preferred)
	if m.preference.due(now, ready) || ready && m.target.StepAside {
		return membershipStep{transferTo: preferred, settled: !ready}
	}
	return membershipStep{settled: !ready}
}

// transferee is the voter to which a leader transfers leadership before it does anything else; 0: it goes on leading. A leader that is
// not wanted goes to the first wanted voter, since the replica that stays changes the membership. A leader whose own disk is full
// goes to a wanted voter whose disk is not; where there is none it stays, for reads and for what makes the data smaller.
func (m *membership) transferee(status raft.Status) uint64 {
	wanted, full := m.target.Nodes, m.target.FullNodes
	switch {
	case !slices.Contains(wanted, status.ID):
		return firstUpToDateVoter(status, wanted)
	case slices.Contains(full, status.ID):
		return firstUpToDateVoter(status, slices.DeleteFunc(slices.Clone(status.Conf.Voters), func(node uint64) bool {
			return slices.Contains(full, node) || !slices.Contains(wanted, node)
		}))
	}
	return 0
}

// firstUpToDateVoter is the first of candidates that is a voter and up to date; 0: none is.
func firstUpToDateVoter(status raft.Status, candidates []uint64) uint64 {
	for _, node := range candidates {
		if slices.Contains(status.Conf.Voters, node) && upToDate(status, node) {
			return node
		}
	}
	return 0
}

// short tells whether so many disks are full that a leader must not let the data grow: its own, or those of a majority of the voters.
func (m *membership) short(self uint64, voters []uint64) bool {
	full := 0
	for _, node := range voters {
		if slices.Contains(m.target.FullNodes, node) {
			full++
		}
	}
	return slices.Contains(m.target.FullNodes, self) || 2*full > len(voters)
}

// NextChange is the next step from a group's membership to the wanted one; nil: there is nothing to do now. Wanted replicas that are
// missing are added as learners, one by one. When learners have caught up they are promoted, and as many voters that are not wanted are
// removed, in one joint change (thesis 4.3), so that the group is never larger or smaller than it must be. Once all wanted replicas vote,
// the rest is removed, except this leader, which transfers its leadership first. Of the voters that are not wanted those go first that
// cannot vote, and none goes without which no majority of the voters could commit now.
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

// confChangeOf is one change that promotes learners and removes other replicas; nil: there are none.
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

// keepsQuorum tells whether a majority of the voters, without some of them, can commit now.
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

// replicating tells whether a voter is this leader, or a follower that answers and takes entries as they come.
func replicating(status raft.Status, node uint64) bool {
	return node == status.ID || slices.ContainsFunc(status.Followers, func(f raft.FollowerStatus) bool {
		return f.ID == node && f.Active && !f.Recovering && !f.Stalled && f.State == progress.Replicate
	})
}

// maxLagEntries is how many entries a follower may be behind and still count as up to date.
const maxLagEntries = 16

// upToDate tells whether a follower could take over now: it answers, its disks do too, and it has about the whole log.
func upToDate(status raft.Status, node uint64) bool {
	for _, f := range status.Followers {
		if f.ID == node {
			return f.Active && !f.Recovering && !f.Stalled && f.Match+maxLagEntries >= status.Last
		}
	}
	return false
}
