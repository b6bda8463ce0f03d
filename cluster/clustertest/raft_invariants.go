package clustertest

import (
	"cmp"
	"fmt"
	"hash/crc64"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/actors/actortest"
	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/persistence"
	"github.com/eraft-io/eraft/raftactor"
	"github.com/eraft-io/eraft/raftactor/raft"
)

// promises are what replicas have told each other. Each is held against the disks at the moment it is sent, so that a
// promise which a loss of power would take back is a violation whether or not power is lost.
type raftInvariants struct {
	byID       map[uint64]*SimNode               // who has a node id now
	wiped      map[uint64]bool                   // ids whose disk was wiped
	interim    map[uint64]*SimNode               // nodes that were admitted while the volumes of a node were not mounted
	roles      map[replicaID]roleInTerm          // as the replicas themselves last said
	groups     map[messages.GroupID]*commitState // of each group's log
	entries    map[entryID]entryPrefix           // of all logs: what an entry is, and what is before it
	readFloors map[requestID]uint64              // what was committed when a read was first asked
}

type (
	replicaID struct {
		member int
		group  messages.GroupID
	}
	roleInTerm struct {
		role string
		term uint64
	}
	entryID     struct{ group, index, term uint64 }
	entryPrefix struct{ previousTerm, sum uint64 }
	requestID   struct{ group, session, seq uint64 }
)

// proof is what is known to be committed in a group, and who decides there.
type commitState struct {
	index            uint64
	committedTerm    uint64              // the newest term that had a leader when that became known
	newestLeaderTerm uint64              // and that has had one by now
	terms            map[uint64]uint64   // index -> term of what was said to be committed
	members          *messages.ConfState // the membership
	membersAt        uint64              // at this index
}

// birth is where logs start: behind a state that no quorum has to write, since the config says it.
const initialIndex = 1

func newRaftInvariants() raftInvariants {
	return raftInvariants{
		byID: map[uint64]*SimNode{}, wiped: map[uint64]bool{}, interim: map[uint64]*SimNode{}, roles: map[replicaID]roleInTerm{}, groups: map[messages.GroupID]*commitState{},
		entries: map[entryID]entryPrefix{}, readFloors: map[requestID]uint64{},
	}
}

func (p *raftInvariants) group(id messages.GroupID) *commitState {
	if p.groups[id] == nil {
		p.groups[id] = &commitState{index: initialIndex, terms: map[uint64]uint64{initialIndex: 1}}
	}
	return p.groups[id]
}

// sent sees every message that leaves a node or a client.
func (o *Oracle) onSend(e actortest.Envelope) {
	o.checkSize(e)
	switch m := e.Message.(type) {
	case *messages.RaftMessages:
		for _, r := range m.Messages {
			if from := o.s.nodeAt(e.From); from != nil {
				if o.raft.wiped[r.From] {
					o.violated("A wiped identity sends nothing", "n%d says %v", from.number, r)
				}
				o.raft.byID[r.From] = from
				o.checkSent(from, r)
			}
		}
	case *messages.Requests:
		o.noteReads(m)
	}
}

func (s *Simulation) nodeAt(address string) *SimNode {
	for _, m := range s.Nodes {
		if m.machine.Address() == address {
			return m
		}
	}
	return nil
}

// promised holds a message against the disk of its sender, and what it calls committed against all disks.
func (o *Oracle) checkSent(m *SimNode, r *messages.RaftMessage) {
	group := messages.GroupID(r.Group)
	disk := persistence.RecordReader{Reader: m.disks[0].Synced(), Group: group}
	hard := disk.HardState()
	switch r.Kind {
	case messages.RaftKind_APPEND:
		o.checkLogMatching(r)
		if c, term := o.raft.group(group), entryTerm(r, r.Commit); r.Commit > c.index && term != 0 && term != r.Term {
			o.violated("Only entries of the current term are committed by counting", "n%d, which leads group %d in term %d, commits entry %d of term %d",
				m.number, group, r.Term, r.Commit, term) // thesis 3.6.2
		}
		o.checkCommitted(m, group, r.Commit, entryTerm(r, r.Commit))
	case messages.RaftKind_HEARTBEAT:
		o.checkCommitted(m, group, r.Commit, 0)
	case messages.RaftKind_APPEND_REPLY:
		if !r.Reject && hard.GetTerm() <= r.Term {
			o.checkAcknowledgement(m, disk, r)
		}
	case messages.RaftKind_VOTE:
		o.checkCandidacy(m, disk, r)
		o.checkCommitted(m, group, r.Commit, r.HintTerm)
		o.checkElectorate(m, group, r)
	case messages.RaftKind_VOTE_REPLY:
		if !r.Reject && (hard.GetTerm() < r.Term || hard.GetTerm() == r.Term && hard.GetVote() != r.To) {
			o.violated("Persisted before sent", "n%d votes for node %d in term %d of group %d, but its disk has %v", m.number, r.To, r.Term, group, hard)
		}
		o.checkCommitted(m, group, r.Commit, r.HintTerm)
	case messages.RaftKind_PRE_VOTE, messages.RaftKind_PRE_VOTE_REPLY, messages.RaftKind_READ_INDEX_REPLY:
		o.checkCommitted(m, group, r.Commit, r.HintTerm)
	}
}

// entryTerm is the term of an entry as far as an append tells it; 0: it does not.
func entryTerm(r *messages.RaftMessage, index uint64) uint64 {
	switch {
	case index == r.Index:
		return r.LogTerm
	case index > r.Index && index <= r.Index+uint64(len(r.Entries)):
		return r.Entries[index-r.Index-1].Term
	}
	return 0
}

// acknowledged checks that a follower has what it acknowledges, in the term in which it does.
func (o *Oracle) checkAcknowledgement(m *SimNode, disk persistence.RecordReader, r *messages.RaftMessage) {
	if disk.HardState().GetTerm() < r.Term || !holds(disk, r.Index, 0) {
		o.violated("Persisted before sent", "n%d acknowledges entry %d of group %d in term %d, but its disk does not have that", m.number, r.Index, r.Group, r.Term)
		return
	}
	for index := r.Index; index > r.Index-min(r.Index, entriesCompared); index-- {
		term, before := disk.Term(index), disk.Term(index-1)
		if term == 0 || before == 0 {
			return
		}
		if known, ok := o.raft.entries[entryID{r.Group, index, term}]; ok && known.previousTerm != before {
			o.violated("Log Matching", "n%d has entry %d of term %d in group %d behind one of term %d, others behind one of term %d",
				m.number, index, term, r.Group, before, known.previousTerm)
		}
	}
}

// entriesCompared is how many entries of a log are looked at when the newest of them is acknowledged.
const entriesCompared = 4

// holds tells whether a log has an entry, of a term unless that is 0, or has compacted it away.
func holds(disk persistence.RecordReader, index, term uint64) bool {
	if start := disk.Start(); start.GetIndex() > index || start.GetIndex() == index && (term == 0 || start.GetTerm() == term) {
		return true
	}
	has := disk.Term(index)
	return has != 0 && (term == 0 || has == term)
}

// candidacy checks that a candidate that asks for votes has its term, its own vote and the log that it boasts with on
// disk. One that has followed somebody else meanwhile can no longer win, whatever it says.
func (o *Oracle) checkCandidacy(m *SimNode, disk persistence.RecordReader, r *messages.RaftMessage) {
	if now := o.raft.roles[replicaID{m.number, disk.Group}]; now.role != raft.Candidate.String() || now.term != r.Term {
		return
	}
	if hard := disk.HardState(); hard.GetTerm() < r.Term || hard.GetTerm() == r.Term && hard.GetVote() != r.From || !holds(disk, r.Index, r.LogTerm) {
		o.violated("Persisted before sent", "n%d asks for votes in term %d of group %d with entry %d of term %d, but its disk has %v and entry %v",
			m.number, r.Term, r.Group, r.Index, r.LogTerm, hard, disk.Entry(r.Index))
	}
}

// electorate checks that a candidate asks those who vote as of what it knows to be committed.
func (o *Oracle) checkElectorate(m *SimNode, group messages.GroupID, r *messages.RaftMessage) {
	p := o.raft.group(group)
	if p.membersAt != r.Commit {
		return // others know of more
	}
	conf := p.members
	for _, id := range []uint64{r.From, r.To} {
		if !slices.Contains(conf.GetVoters(), id) && !slices.Contains(conf.GetOutgoing(), id) {
			o.violated("Candidates ask the committed voters", "n%d asks node %d for its vote in group %d, whose members at entry %d are %v", m.number, r.To, group, r.Commit, conf)
		}
	}
}

// whole tells whether every group has three voters or more, and none is on its way.
func (o *Oracle) fullyReplicated() bool {
	for _, g := range o.config.GetGroups() {
		conf := o.raft.group(messages.GroupID(g.Id)).members
		if !g.Left && (len(conf.GetVoters()) < 3 || len(conf.GetOutgoing())+len(conf.GetLearners()) > 0) {
			return false
		}
	}
	return true
}

// lines checks Log Matching (thesis 3.5): what has the same index and term is the same, and so is all before it.
func (o *Oracle) checkLogMatching(r *messages.RaftMessage) {
	before := r.LogTerm
	for _, e := range r.Entries {
		at, now := entryID{r.Group, e.Index, e.Term}, entryPrefix{before, crc64.Update(uint64(e.Kind), polynomial, e.Data)}
		if was, ok := o.raft.entries[at]; ok && was != now {
			o.violated("Log Matching", "entry %d of term %d in group %d is not the same everywhere, or not what is before it", e.Index, e.Term, r.Group)
		}
		o.raft.entries[at] = now
		before = e.Term
	}
}

// committed hears that m believes that a group has committed everything up to an index, whose term is known if it is
// not 0. It must be durable on a quorum, and stay what it is.
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

// holders are the disks that have an entry. If its term is not known, those with the newest come first: an older one at
// that index was replaced, and who has lost its disk cannot tell which it had.
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

// persisted checks that a replica applies only what its own disk has: what a loss of power takes from the log must not
// stay in the data. One that was retired has no log any more, and may still apply what it had been given before its data goes, too.
func (o *Oracle) checkAppliedDurable(m *SimNode, at raftactor.Position) {
	disk := persistence.RecordReader{Reader: m.disks[0].Synced(), Group: at.Group}
	if retired := disk.Start() == nil && disk.HardState().GetVoteFloor() >= at.Index; !retired && !holds(disk, at.Index, at.Term) {
		o.violated("Applied entries are durable locally", "n%d applies entry %d of term %d in group %d", m.number, at.Index, at.Term, at.Group)
	}
}

// disks says for people what each disk has of an entry.
func (o *Oracle) describeDisks(group messages.GroupID, index uint64) string {
	var text []string
	for _, m := range o.s.Nodes {
		disk := persistence.RecordReader{Reader: m.log(), Group: group}
		text = append(text, fmt.Sprintf("n%d: start %v, entry %v", m.number, disk.Start(), disk.Entry(index)))
	}
	return strings.Join(text, "; ")
}

// quorum tells whether a quorum has an entry on disk: of the members that there are by all that is before it in a log
// that has it as well, since the entry before that was known to be committed. A change of members may be held by a quorum of either
// side: it counts for what comes behind it. quorum also gives the members there are with the entry.
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

// changed is a membership after an entry, which may not be there.
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

// elected checks Leader Completeness (thesis 3.4): who leads has everything that is known to be committed in an older
// term. The votes for a leader that others have already succeeded may come late, to no avail.
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

// asked notes what is committed when a read leaves its client for the first time.
func (o *Oracle) noteReads(m *messages.Requests) {
	for _, asker := range m.Sessions {
		for _, query := range slices.Concat(asker.Queries, asker.ReplicaQueries) {
			session, seq := messages.RequestID(query)
			q := requestID{m.Group, session, seq}
			if _, again := o.raft.readFloors[q]; !again && session != 0 {
				o.raft.readFloors[q] = o.raft.group(messages.GroupID(m.Group)).index
			}
		}
	}
}

// read checks what makes reads linearizable: their data has all that was committed when they were asked (thesis 6.4).
func (o *Oracle) onRead(m *SimNode, group messages.GroupID, index uint64, query []byte, reply *messages.Reply) {
	session, seq := messages.RequestID(query)
	if floor := o.raft.readFloors[requestID{uint64(group), session, seq}]; index < floor {
		o.violated("Reads see committed writes", "n%d reads group %d at index %d, but %d was committed when it was asked", m.number, group, index, floor)
	}
	q := new(messages.Query)
	if reply.GetCode() != messages.Code_OK || proto.Unmarshal(query, q) != nil {
		return
	}
	switch op := q.Op.(type) {
	case *messages.Query_Get:
		o.ownership.onRead(o, group, index, uint32(messages.BucketOf(op.Get.Key, o.s.o.Buckets)))
	case *messages.Query_Scan:
		o.ownership.onRead(o, group, index, op.Scan.Bucket)
	}
}

// forgets hears that a node has lost its disks. Whoever it was is never heard of again, and what it had acknowledged
// cannot be held against it.
func (o *Oracle) onWipe(m *SimNode) {
	o.forgetsInterim(m)
	for id, who := range o.raft.byID {
		if who == m {
			o.raft.wiped[id] = true
		}
	}
}

// forgetsInterim hears that a node loses the disks that it had while its volumes were not mounted.
func (o *Oracle) forgetsInterim(m *SimNode) {
	for id, who := range o.raft.interim {
		if who == m {
			delete(o.raft.interim, id)
			o.raft.wiped[id] = true
		}
	}
}

// know says who has a node id: the one whose disk says so. A node that is admitted while its volumes are not mounted is a new one.
func (o *Oracle) noteIdentity(m *SimNode) {
	for id, who := range o.raft.byID {
		if who == m {
			delete(o.raft.byID, id)
		}
	}
	for group := range o.raft.groups {
		delete(o.raft.roles, replicaID{m.number, group})
	}
	if m.unmounted != nil {
		if id, found, err := persistence.LoadIdentity(m.disks[0].Synced()); err == nil && found && id.Node != 0 {
			o.raft.interim[uint64(id.Node)] = m
		}
	}
	if id, found, err := persistence.LoadIdentity(m.log()); err == nil && found && id.Node != 0 {
		o.raft.byID[uint64(id.Node)] = m
	}
}
