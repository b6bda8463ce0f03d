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
type promises struct {
	nodes     map[uint64]*Member          // who has a node id now
	gone      map[uint64]bool             // ids whose disk was wiped
	interim   map[uint64]*Member          // nodes that were admitted while the volumes of a node were not mounted
	roles     map[replicaOf]roleIn        // as the replicas themselves last said
	groups    map[messages.GroupID]*proof // of each group's log
	lines     map[lineAt]line             // of all logs: what an entry is, and what is before it
	questions map[question]uint64         // what was committed when a read was first asked
}

type (
	replicaOf struct {
		member int
		group  messages.GroupID
	}
	roleIn struct {
		role string
		term uint64
	}
	lineAt   struct{ group, index, term uint64 }
	line     struct{ before, sum uint64 }
	question struct{ group, session, seq uint64 }
)

// proof is what is known to be committed in a group, and who decides there.
type proof struct {
	index uint64
	in    uint64              // the newest term that had a leader when that became known
	led   uint64              // and that has had one by now
	terms map[uint64]uint64   // index -> term of what was said to be committed
	conf  *messages.ConfState // the membership
	upTo  uint64              // at this index
}

// birth is where logs start: behind a state that no quorum has to write, since the config says it.
const birth = 1

func newPromises() promises {
	return promises{
		nodes: map[uint64]*Member{}, gone: map[uint64]bool{}, interim: map[uint64]*Member{}, roles: map[replicaOf]roleIn{}, groups: map[messages.GroupID]*proof{},
		lines: map[lineAt]line{}, questions: map[question]uint64{},
	}
}

func (p *promises) group(id messages.GroupID) *proof {
	if p.groups[id] == nil {
		p.groups[id] = &proof{index: birth, terms: map[uint64]uint64{birth: 1}}
	}
	return p.groups[id]
}

// sent sees every message that leaves a node or a client.
func (o *Oracle) sent(e actortest.Envelope) {
	o.measured(e)
	switch m := e.Message.(type) {
	case *messages.RaftMessages:
		for _, r := range m.Messages {
			if from := o.s.memberAt(e.From); from != nil {
				if o.promises.gone[r.From] {
					o.violated("An id without its disk never speaks again", "n%d says %v", from.number, r)
				}
				o.promises.nodes[r.From] = from
				o.promised(from, r)
			}
		}
	case *messages.Requests:
		o.asked(m)
	}
}

func (s *Simulation) memberAt(address string) *Member {
	for _, m := range s.Members {
		if m.at.Address() == address {
			return m
		}
	}
	return nil
}

// promised holds a message against the disk of its sender, and what it calls committed against all disks.
func (o *Oracle) promised(m *Member, r *messages.RaftMessage) {
	group := messages.GroupID(r.Group)
	disk := persistence.RecordReader{Reader: m.disks[0].Synced(), Group: group}
	hard := disk.HardState()
	switch r.Kind {
	case messages.RaftKind_APPEND:
		o.lines(r)
		if c, term := o.promises.group(group), termIn(r, r.Commit); r.Commit > c.index && term != 0 && term != r.Term {
			o.violated("Only entries of the own term are committed by counting", "n%d, which leads group %d in term %d, commits entry %d of term %d",
				m.number, group, r.Term, r.Commit, term) // thesis 3.6.2
		}
		o.committed(m, group, r.Commit, termIn(r, r.Commit))
	case messages.RaftKind_HEARTBEAT:
		o.committed(m, group, r.Commit, 0)
	case messages.RaftKind_APPEND_REPLY:
		if !r.Reject && hard.GetTerm() <= r.Term {
			o.acknowledged(m, disk, r)
		}
	case messages.RaftKind_VOTE:
		o.candidacy(m, disk, r)
		o.committed(m, group, r.Commit, r.HintTerm)
		o.electorate(m, group, r)
	case messages.RaftKind_VOTE_REPLY:
		if !r.Reject && (hard.GetTerm() < r.Term || hard.GetTerm() == r.Term && hard.GetVote() != r.To) {
			o.violated("Promises are on disk", "n%d votes for node %d in term %d of group %d, but its disk has %v", m.number, r.To, r.Term, group, hard)
		}
		o.committed(m, group, r.Commit, r.HintTerm)
	case messages.RaftKind_PRE_VOTE, messages.RaftKind_PRE_VOTE_REPLY, messages.RaftKind_READ_INDEX_REPLY:
		o.committed(m, group, r.Commit, r.HintTerm)
	}
}

// termIn is the term of an entry as far as an append tells it; 0: it does not.
func termIn(r *messages.RaftMessage, index uint64) uint64 {
	switch {
	case index == r.Index:
		return r.LogTerm
	case index > r.Index && index <= r.Index+uint64(len(r.Entries)):
		return r.Entries[index-r.Index-1].Term
	}
	return 0
}

// acknowledged checks that a follower has what it acknowledges, in the term in which it does.
func (o *Oracle) acknowledged(m *Member, disk persistence.RecordReader, r *messages.RaftMessage) {
	if disk.HardState().GetTerm() < r.Term || !holds(disk, r.Index, 0) {
		o.violated("Promises are on disk", "n%d acknowledges entry %d of group %d in term %d, but its disk does not have that", m.number, r.Index, r.Group, r.Term)
		return
	}
	for index := r.Index; index > r.Index-min(r.Index, lookedBack); index-- {
		term, before := disk.Term(index), disk.Term(index-1)
		if term == 0 || before == 0 {
			return
		}
		if known, ok := o.promises.lines[lineAt{r.Group, index, term}]; ok && known.before != before {
			o.violated("Log Matching", "n%d has entry %d of term %d in group %d behind one of term %d, others behind one of term %d",
				m.number, index, term, r.Group, before, known.before)
		}
	}
}

// lookedBack is how many entries of a log are looked at when the newest of them is acknowledged.
const lookedBack = 4

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
func (o *Oracle) candidacy(m *Member, disk persistence.RecordReader, r *messages.RaftMessage) {
	if now := o.promises.roles[replicaOf{m.number, disk.Group}]; now.role != raft.Candidate.String() || now.term != r.Term {
		return
	}
	if hard := disk.HardState(); hard.GetTerm() < r.Term || hard.GetTerm() == r.Term && hard.GetVote() != r.From || !holds(disk, r.Index, r.LogTerm) {
		o.violated("Promises are on disk", "n%d asks for votes in term %d of group %d with entry %d of term %d, but its disk has %v and entry %v",
			m.number, r.Term, r.Group, r.Index, r.LogTerm, hard, disk.Entry(r.Index))
	}
}

// electorate checks that a candidate asks those who vote as of what it knows to be committed.
func (o *Oracle) electorate(m *Member, group messages.GroupID, r *messages.RaftMessage) {
	p := o.promises.group(group)
	if p.upTo != r.Commit {
		return // others know of more
	}
	conf := p.conf
	for _, id := range []uint64{r.From, r.To} {
		if !slices.Contains(conf.GetVoters(), id) && !slices.Contains(conf.GetOutgoing(), id) {
			o.violated("Candidates know who votes", "n%d asks node %d for its vote in group %d, whose members at entry %d are %v", m.number, r.To, group, r.Commit, conf)
		}
	}
}

// whole tells whether every group has three voters or more, and none is on its way.
func (o *Oracle) whole() bool {
	for _, g := range o.config.GetGroups() {
		conf := o.promises.group(messages.GroupID(g.Id)).conf
		if !g.Left && (len(conf.GetVoters()) < 3 || len(conf.GetOutgoing())+len(conf.GetLearners()) > 0) {
			return false
		}
	}
	return true
}

// lines checks Log Matching (thesis 3.5): what has the same index and term is the same, and so is all before it.
func (o *Oracle) lines(r *messages.RaftMessage) {
	before := r.LogTerm
	for _, e := range r.Entries {
		at, now := lineAt{r.Group, e.Index, e.Term}, line{before, crc64.Update(uint64(e.Kind), polynomial, e.Data)}
		if was, ok := o.promises.lines[at]; ok && was != now {
			o.violated("Log Matching", "entry %d of term %d in group %d is not the same everywhere, or not what is before it", e.Index, e.Term, r.Group)
		}
		o.promises.lines[at] = now
		before = e.Term
	}
}

// committed hears that m believes that a group has committed everything up to an index, whose term is known if it is
// not 0. It must be durable on a quorum, and stay what it is.
func (o *Oracle) committed(m *Member, group messages.GroupID, index, term uint64) {
	p := o.promises.group(group)
	if was := p.terms[index]; was != 0 && term != 0 && was != term {
		o.violated("What is committed never changes", "n%d calls entry %d of term %d in group %d committed, but that is of term %d", m.number, index, term, group, was)
	}
	if index <= p.index {
		return
	}
	for _, disk := range o.holders(group, index, term) {
		has := term
		if e := disk.Entry(index); has == 0 && e != nil {
			has = e.Term
		}
		if quorum, conf := o.quorum(p, disk, index, has); quorum {
			p.index, p.conf, p.upTo, p.in = index, conf, index, p.led
			if has != 0 {
				p.terms[index] = has
			}
			return
		}
	}
	o.violated("What is committed is durable on a quorum", "n%d calls entry %d of group %d committed; known is %d, with members %v; %s",
		m.number, index, group, p.index, p.conf, o.disks(group, index))
}

// holders are the disks that have an entry. If its term is not known, those with the newest come first: an older one at
// that index was replaced, and who has lost its disk cannot tell which it had.
func (o *Oracle) holders(group messages.GroupID, index, term uint64) []persistence.RecordReader {
	var all []persistence.RecordReader
	for _, m := range o.s.Members {
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
func (o *Oracle) persisted(m *Member, at raftactor.Position) {
	disk := persistence.RecordReader{Reader: m.disks[0].Synced(), Group: at.Group}
	if retired := disk.Start() == nil && disk.HardState().GetVoteFloor() >= at.Index; !retired && !holds(disk, at.Index, at.Term) {
		o.violated("Only what the own disk has is applied", "n%d applies entry %d of term %d in group %d", m.number, at.Index, at.Term, at.Group)
	}
}

// disks says for people what each disk has of an entry.
func (o *Oracle) disks(group messages.GroupID, index uint64) string {
	var text []string
	for _, m := range o.s.Members {
		disk := persistence.RecordReader{Reader: m.log(), Group: group}
		text = append(text, fmt.Sprintf("n%d: start %v, entry %v", m.number, disk.Start(), disk.Entry(index)))
	}
	return strings.Join(text, "; ")
}

// quorum tells whether a quorum has an entry on disk: of the members that there are by all that is before it in a log
// that has it as well, since the entry before that was known to be committed. A change of members may be held by a quorum of either
// side: it counts for what comes behind it. quorum also gives the members there are with the entry.
func (o *Oracle) quorum(p *proof, disk persistence.RecordReader, index, term uint64) (durable bool, conf *messages.ConfState) {
	conf, from := p.conf, p.upTo
	if start := disk.Start(); start.GetIndex() > from {
		durable = start.Index >= index && o.heldByQuorum(disk.Group, conf, index, term)
		conf, from = start.GetConf(), start.GetIndex()
	}
	for at := from + 1; at < index; at++ {
		conf = changed(conf, disk.Entry(at))
	}
	durable = durable || o.heldByQuorum(disk.Group, conf, index, term)
	if next := changed(conf, disk.Entry(index)); next != conf && from < index {
		return durable || o.heldByQuorum(disk.Group, next, index, term), next
	}
	return durable, conf
}

// changed is a membership after an entry, which may not be there.
func changed(conf *messages.ConfState, e *messages.Entry) *messages.ConfState {
	if e == nil {
		return conf
	}
	next, err := raft.ApplyConfEntry(conf, e)
	if err != nil {
		return conf
	}
	return next
}

func (o *Oracle) heldByQuorum(group messages.GroupID, conf *messages.ConfState, index, term uint64) bool {
	has := func(voters []uint64) bool {
		n := 0
		for _, id := range voters {
			if o.promises.gone[id] || o.holdsOn(id, group, index, term) {
				n++
			}
		}
		return n > len(voters)/2
	}
	return has(conf.GetVoters()) && (len(conf.GetOutgoing()) == 0 || has(conf.GetOutgoing()))
}

// holdsOn tells whether a node has an entry on its disk.
func (o *Oracle) holdsOn(id uint64, group messages.GroupID, index, term uint64) bool {
	if m := o.promises.interim[id]; m != nil {
		return holds(persistence.RecordReader{Reader: m.disks[0].Synced(), Group: group}, index, term)
	}
	m := o.promises.nodes[id]
	return m != nil && holds(persistence.RecordReader{Reader: m.log(), Group: group}, index, term)
}

// elected checks Leader Completeness (thesis 3.4): who leads has everything that is known to be committed in an older
// term. The votes for a leader that others have already succeeded may come late, to no avail.
func (o *Oracle) elected(m *Member, group messages.GroupID, term uint64) {
	p := o.promises.group(group)
	if p.led = max(p.led, term); term <= p.in {
		return
	}
	disk := persistence.RecordReader{Reader: m.disks[0].Synced(), Group: group}
	if p.index > 0 && !holds(disk, p.index, p.terms[p.index]) {
		o.violated("Leader Completeness", "n%d leads group %d in term %d without entry %d, which is committed", m.number, group, term, p.index)
	}
}

// asked notes what is committed when a read leaves its client for the first time.
func (o *Oracle) asked(m *messages.Requests) {
	for _, asker := range m.Sessions {
		for _, query := range slices.Concat(asker.Queries, asker.ReplicaQueries) {
			session, seq := messages.RequestID(query)
			q := question{m.Group, session, seq}
			if _, again := o.promises.questions[q]; !again && session != 0 {
				o.promises.questions[q] = o.promises.group(messages.GroupID(m.Group)).index
			}
		}
	}
}

// read checks what makes reads linearizable: their data has all that was committed when they were asked (thesis 6.4).
func (o *Oracle) read(m *Member, group messages.GroupID, index uint64, query []byte, reply *messages.Reply) {
	session, seq := messages.RequestID(query)
	if floor := o.promises.questions[question{uint64(group), session, seq}]; index < floor {
		o.violated("Reads see all that is committed", "n%d reads group %d at index %d, but %d was committed when it was asked", m.number, group, index, floor)
	}
	q := new(messages.Query)
	if reply.GetCode() != messages.Code_OK || proto.Unmarshal(query, q) != nil {
		return
	}
	switch op := q.Op.(type) {
	case *messages.Query_Get:
		o.custody.read(o, group, index, uint32(messages.BucketOf(op.Get.Key, o.s.o.Buckets)))
	case *messages.Query_Scan:
		o.custody.read(o, group, index, op.Scan.Bucket)
	}
}

// forgets hears that a node has lost its disks. Whoever it was is never heard of again, and what it had acknowledged
// cannot be held against it.
func (o *Oracle) forgets(m *Member) {
	o.forgetsInterim(m)
	for id, who := range o.promises.nodes {
		if who == m {
			o.promises.gone[id] = true
		}
	}
}

// forgetsInterim hears that a node loses the disks that it had while its volumes were not mounted.
func (o *Oracle) forgetsInterim(m *Member) {
	for id, who := range o.promises.interim {
		if who == m {
			delete(o.promises.interim, id)
			o.promises.gone[id] = true
		}
	}
}

// know says who has a node id: the one whose disk says so. A node that is admitted while its volumes are not mounted is a new one.
func (o *Oracle) know(m *Member) {
	for id, who := range o.promises.nodes {
		if who == m {
			delete(o.promises.nodes, id)
		}
	}
	for group := range o.promises.groups {
		delete(o.promises.roles, replicaOf{m.number, group})
	}
	if m.away != nil {
		if id, found, err := persistence.LoadIdentity(m.disks[0].Synced()); err == nil && found && id.Node != 0 {
			o.promises.interim[uint64(id.Node)] = m
		}
	}
	if id, found, err := persistence.LoadIdentity(m.log()); err == nil && found && id.Node != 0 {
		o.promises.nodes[uint64(id.Node)] = m
	}
}
