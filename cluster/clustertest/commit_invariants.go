package clustertest

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/persistence"
	"github.com/eraft-io/eraft/raftactor"
	"github.com/eraft-io/eraft/raftactor/raft"
)

// holds reports whether a log has an entry, of the given term unless that is 0, or has compacted it.
func holds(disk persistence.RecordReader, index, term uint64) bool {
	if start := disk.Start(); start.GetIndex() > index || start.GetIndex() == index && (term == 0 || start.GetTerm() == term) {
		return true
	}
	has := disk.Term(index)
	return has != 0 && (term == 0 || has == term)
}

// fullyReplicated reports whether every group has at least three voters and no membership change in progress.
func (o *Oracle) fullyReplicated() bool {
	for _, g := range o.config.GetGroups() {
		conf := o.raft.group(messages.GroupID(g.Id)).members
		if !g.Left && (len(conf.GetVoters()) < 3 || len(conf.GetOutgoing())+len(conf.GetLearners()) > 0) {
			return false
		}
	}
	return true
}

// checkCommitted is called when node m takes everything up to an index of a group for committed; term is that of the entry, 0 if
// unknown. The entry must be durable on a quorum, and never change.
func (o *Oracle) checkCommitted(m *SimNode, group messages.GroupID, index, term uint64) {
	p := o.raft.group(group)
	if was := p.terms[index]; was != 0 && term != 0 && was != term {
		o.violated("Committed entries never change", "n%d calls entry %d of term %d in group %d committed, but that is of term %d", m.number, index, term, group, was)
	}
	if index <= p.index {
		return
	}
	for _, disk := range o.holders(group, index, term) {
		has := term
		if e := disk.Entry(index); has == 0 && e != nil {
			has = e.Term
		}
		if quorum, conf := o.durableOnQuorum(p, disk, index, has); quorum {
			p.index, p.members, p.membersAt, p.committedTerm = index, conf, index, p.newestLeaderTerm
			if has != 0 {
				p.terms[index] = has
			}
			return
		}
	}
	o.violated("Committed entries are durable on a quorum", "n%d calls entry %d of group %d committed; known is %d, with members %v; %s",
		m.number, index, group, p.index, p.members, o.describeDisks(group, index))
}

// holders returns the disks that have an entry. If its term is unknown, those with the newest term come first: an entry of an older
// term at that index was replaced.
func (o *Oracle) holders(group messages.GroupID, index, term uint64) []persistence.RecordReader {
	var all []persistence.RecordReader
	for _, m := range o.s.Nodes {
		if disk := (persistence.RecordReader{Reader: m.log(), Group: group}); holds(disk, index, term) {
			all = append(all, disk)
		}
	}
	slices.SortStableFunc(all, func(a, b persistence.RecordReader) int {
		return cmp.Compare(b.Term(index), a.Term(index))
	})
	return all
}

// checkAppliedDurable checks that a replica applies only entries that are durable in its own log: the data must not keep what a loss of
// power takes from the log. A destroyed replica has no log any more, and may still apply what it had been given.
func (o *Oracle) checkAppliedDurable(m *SimNode, at raftactor.Position) {
	disk := persistence.RecordReader{Reader: m.disks[0].Synced(), Group: at.Group}
	if retired := disk.Start() == nil && disk.HardState().GetVoteFloor() >= at.Index; !retired && !holds(disk, at.Index, at.Term) {
		o.violated("Applied entries are durable locally", "n%d applies entry %d of term %d in group %d", m.number, at.Index, at.Term, at.Group)
	}
}

// describeDisks says, for people, what each disk has of an entry.
func (o *Oracle) describeDisks(group messages.GroupID, index uint64) string {
	var text []string
	for _, m := range o.s.Nodes {
		disk := persistence.RecordReader{Reader: m.log(), Group: group}
		text = append(text, fmt.Sprintf("n%d: start %v, entry %v", m.number, disk.Start(), disk.Entry(index)))
	}
	return strings.Join(text, "; ")
}

// durableOnQuorum reports whether a quorum has an entry durable. The quorum is that of the membership at the entry: the last one known
// to be committed, and the changes after it in a log that has the entry. A membership change itself may be held by a quorum of either
// membership. conf is the membership with the entry.
func (o *Oracle) durableOnQuorum(p *commitState, disk persistence.RecordReader, index, term uint64) (durable bool, conf *messages.ConfState) {
	conf, from := p.members, p.membersAt
	if start := disk.Start(); start.GetIndex() > from {
		durable = start.Index >= index && o.heldBy(disk.Group, conf, index, term)
		conf, from = start.GetConf(), start.GetIndex()
	}
	for at := from + 1; at < index; at++ {
		conf = confAfter(conf, disk.Entry(at))
	}
	durable = durable || o.heldBy(disk.Group, conf, index, term)
	if next := confAfter(conf, disk.Entry(index)); next != conf && from < index {
		return durable || o.heldBy(disk.Group, next, index, term), next
	}
	return durable, conf
}

// confAfter returns the membership after an entry; nil is no entry.
func confAfter(conf *messages.ConfState, e *messages.Entry) *messages.ConfState {
	if e == nil {
		return conf
	}
	next, err := raft.ApplyConfEntry(conf, e)
	if err != nil {
		return conf
	}
	return next
}

func (o *Oracle) heldBy(group messages.GroupID, conf *messages.ConfState, index, term uint64) bool {
	has := func(voters []uint64) bool {
		n := 0
		for _, id := range voters {
			if o.raft.wiped[id] || o.holdsOn(id, group, index, term) {
				n++
			}
		}
		return n > len(voters)/2
	}
	return has(conf.GetVoters()) && (len(conf.GetOutgoing()) == 0 || has(conf.GetOutgoing()))
}

// holdsOn reports whether a node has an entry on its disk.
func (o *Oracle) holdsOn(id uint64, group messages.GroupID, index, term uint64) bool {
	if m := o.raft.interim[id]; m != nil {
		return holds(persistence.RecordReader{Reader: m.disks[0].Synced(), Group: group}, index, term)
	}
	m := o.raft.byID[id]
	return m != nil && holds(persistence.RecordReader{Reader: m.log(), Group: group}, index, term)
}

// checkLeaderCompleteness checks Leader Completeness (thesis 3.4): a new leader has everything that is known to be committed in an
// older term. A leader of a term that is over already is not checked.
func (o *Oracle) checkLeaderCompleteness(m *SimNode, group messages.GroupID, term uint64) {
	p := o.raft.group(group)
	if p.newestLeaderTerm = max(p.newestLeaderTerm, term); term <= p.committedTerm {
		return
	}
	disk := persistence.RecordReader{Reader: m.disks[0].Synced(), Group: group}
	if p.index > 0 && !holds(disk, p.index, p.terms[p.index]) {
		o.violated("Leader Completeness", "n%d leads group %d in term %d without entry %d, which is committed", m.number, group, term, p.index)
	}
}
