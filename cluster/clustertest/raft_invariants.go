package clustertest

import (
	"hash/crc64"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/actors/actortest"
	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/persistence"
	"github.com/eraft-io/eraft/raftactor/raft"
)

// raftInvariants checks each Raft message against the disks at the moment it is sent. A vote or an acknowledgement that a loss of power
// would take back is a violation whether or not power is lost.
type raftInvariants struct {
	byID       map[uint64]*SimNode               // node id -> the node whose disk has it
	wiped      map[uint64]bool                   // node ids whose disk was wiped
	interim    map[uint64]*SimNode               // node id that was admitted while the volumes of a node were not mounted -> that node
	roles      map[replicaID]roleInTerm          // last LeaderChanged event of each replica
	groups     map[messages.GroupID]*commitState // what is known to be committed
	entries    map[entryID]entryPrefix           // checksum of each entry, and the term of the entry before it
	readFloors map[requestID]uint64              // index that was known to be committed when a read was sent first
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

// commitState is what is known to be committed in a group, and its membership.
type commitState struct {
	index            uint64
	committedTerm    uint64              // the newest term that had a leader when that became known
	newestLeaderTerm uint64              // and that has had one by now
	terms            map[uint64]uint64   // index -> term of what was said to be committed
	members          *messages.ConfState // the membership
	membersAt        uint64              // at this index
}

// initialIndex is where logs start: behind a state that no quorum has to write, since the config says it.
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

// onSend is called with every message that leaves a node or a client.
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

// checkSent checks a Raft message against the disk of its sender, and its commit index against all disks.
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

// entryTerm returns the term of an entry if an append contains it; 0: it does not.
func entryTerm(r *messages.RaftMessage, index uint64) uint64 {
	switch {
	case index == r.Index:
		return r.LogTerm
	case index > r.Index && index <= r.Index+uint64(len(r.Entries)):
		return r.Entries[index-r.Index-1].Term
	}
	return 0
}

// checkAcknowledgement checks that a follower has durable what it acknowledges, and the term in which it does.
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

// entriesCompared is how many entries of a log are compared when the newest of them is acknowledged.
const entriesCompared = 4

// checkCandidacy checks that a candidate has durable its term, its own vote and the end of the log that it claims. A replica that has
// become a follower meanwhile is not checked: it cannot win any more.
func (o *Oracle) checkCandidacy(m *SimNode, disk persistence.RecordReader, r *messages.RaftMessage) {
	if now := o.raft.roles[replicaID{m.number, disk.Group}]; now.role != raft.Candidate.String() || now.term != r.Term {
		return
	}
	if hard := disk.HardState(); hard.GetTerm() < r.Term || hard.GetTerm() == r.Term && hard.GetVote() != r.From || !holds(disk, r.Index, r.LogTerm) {
		o.violated("Persisted before sent", "n%d asks for votes in term %d of group %d with entry %d of term %d, but its disk has %v and entry %v",
			m.number, r.Term, r.Group, r.Index, r.LogTerm, hard, disk.Entry(r.Index))
	}
}

// checkElectorate checks that a candidate asks the voters of the membership that is committed at its commit index.
func (o *Oracle) checkElectorate(m *SimNode, group messages.GroupID, r *messages.RaftMessage) {
	p := o.raft.group(group)
	if p.membersAt != r.Commit {
		return // a later membership is known
	}
	conf := p.members
	for _, id := range []uint64{r.From, r.To} {
		if !slices.Contains(conf.GetVoters(), id) && !slices.Contains(conf.GetOutgoing(), id) {
			o.violated("Candidates ask the committed voters", "n%d asks node %d for its vote in group %d, whose members at entry %d are %v", m.number, r.To, group, r.Commit, conf)
		}
	}
}

// checkLogMatching checks Log Matching (thesis 3.5): entries with the same index and term are equal, and so are all before them.
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

// noteReads notes the index that is known to be committed when a read leaves its client for the first time.
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

// onRead checks that a read sees all that was committed when it was sent (thesis 6.4).
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

// onWipe is called when a node loses its disks: its id must send nothing any more, and what it had acknowledged counts as held.
func (o *Oracle) onWipe(m *SimNode) {
	o.forgetsInterim(m)
	for id, who := range o.raft.byID {
		if who == m {
			o.raft.wiped[id] = true
		}
	}
}

// forgetsInterim is called when a node loses the disks that it had while its volumes were not mounted.
func (o *Oracle) forgetsInterim(m *SimNode) {
	for id, who := range o.raft.interim {
		if who == m {
			delete(o.raft.interim, id)
			o.raft.wiped[id] = true
		}
	}
}

// noteIdentity notes which node id is on a node's disk. A node that is admitted while its volumes are not mounted has a second id.
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
