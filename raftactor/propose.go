package raftactor

import (
	"errors"
	"slices"
	"time"

	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/raftactor/raft"
)

func (p *Peer) onRequests(m *messages.Requests) {
	status := p.core.Soft()
	for _, asker := range m.Sessions {
		p.onQueries(asker, asker.ReplicaQueries)
		if status.Role != raft.Leader {
			refuseAsker(p.replies, asker, p.notLeader(status.Leader))
			continue
		}
		p.onQueries(asker, asker.Queries)
		to := askerOf(asker)
		for _, command := range asker.Retries {
			if !p.pending(command) {
				p.onCommand(to, command)
			}
		}
		for _, command := range asker.Commands {
			p.onCommand(to, command)
		}
	}
}

// pending tells of a command that is asked again whether the leader has it already. Under load it would go through the
// log once more, which makes the load worse.
func (p *Peer) pending(command []byte) bool {
	if p.requestIDs == nil {
		p.requestIDs = p.proposals.requestIDs(p.entry)
	}
	session, seq := messages.RequestID(command)
	return session != 0 && p.requestIDs[requestID{session, seq}]
}

func (p *Peer) onCommand(to recipient, command []byte) {
	if why := p.check(command); why != nil {
		p.replies.refuse(to, command, why)
		return
	}
	if p.refuseExpired(to, command) {
		return
	}
	if why := p.checkSpace(command); why != nil {
		p.replies.refuse(to, command, why)
		return
	}
	if p.proposals.bytes >= p.o.Limits.PendingBytes {
		p.replies.refuse(to, command, messages.Errorf(messages.Code_OVERLOADED,
			"group %d has %d bytes waiting for the disk or a quorum", p.o.Group, p.proposals.bytes))
		return
	}
	if p.entry != nil && p.entry.bytes+messages.BlockSize(command) > p.o.Limits.EntryBytes {
		p.seal(p.o.System.Clock.Now())
	}
	if p.entry == nil {
		p.entry = &proposal{data: make(messages.Block, 0, p.entryBytes)}
	}
	p.entry.add(to, command)
	if p.entry.bytes >= p.o.Limits.EntryBytes {
		p.propose()
	}
}

// check refuses what may not enter the log, whoever sends it.
func (p *Peer) check(command []byte) *messages.Error {
	if why := messages.CheckSize(command); why != nil || p.o.Check == nil {
		return why
	}
	return p.o.Check(p.view, command)
}

// propose turns the commands gathered so far into one log entry, when it is time.
func (p *Peer) propose() {
	now, gathered := p.o.System.Clock.Now(), 0
	w := p.entry
	if w != nil {
		gathered = w.count
	}
	busy := p.core.Writing() > 0 || p.core.Uncommitted()
	if took, ok := p.batcher.took(now, busy); ok && p.o.OnCommit != nil && p.core.Soft().Role == raft.Leader {
		p.o.OnCommit(took)
	}
	p.batcher.observe(now, busy, gathered)
	if w == nil {
		return
	}
	if p.core.Soft().Role == raft.Leader && w.bytes < p.o.Limits.EntryBytes {
		if busy {
			return
		}
		if wait := p.batcher.wait(now, gathered); wait > 0 {
			p.startBatchTimer(wait)
			return
		}
	}
	p.seal(now)
}

// seal makes what is gathered the next entry. It is called before a command is added with which it would be larger than
// EntryBytes, so only an entry of a single command is.
func (p *Peer) seal(now time.Duration) {
	w := p.entry
	p.entry, p.entryBytes = nil, len(w.data)
	if cap(w.data) > 2*len(w.data) {
		w.data = slices.Clone(w.data) // the log keeps it
	}
	p.core.Level(p.level())
	index, term, err := p.core.Propose(w.data, p.logTime())
	if err != nil {
		w.refuse(p.replies, p.refusal(err))
		return
	}
	p.batcher.proposed(now, w.count)
	w.index, w.term = index, term
	p.proposals.push(w)
}

// level is what new entries say of the cluster; nothing while it has the first level, as nodes do that know none.
func (p *Peer) level() uint32 {
	if p.o.Cluster == nil || p.o.Cluster() <= messages.FirstLevel {
		return 0
	}
	return uint32(p.o.Cluster())
}

// startBatchTimer lets a turn come later, in which propose is asked again.
func (p *Peer) startBatchTimer(wait time.Duration) {
	if p.batchTimerRunning {
		return
	}
	p.batchTimerRunning = true
	self := p.self
	p.o.System.Clock.After(wait, func() { p.o.System.Root.Send(self, batchTimer{}) })
}

// onQueries gathers reads. Those that only a leader may answer are not given here on another replica.
func (p *Peer) onQueries(from *messages.SessionRequests, queries [][]byte) {
	if len(queries) == 0 {
		return
	}
	if p.waitingCount >= p.o.Limits.PendingReads || p.waitingBytes >= p.o.Limits.ReadBytes {
		why := messages.Errorf(messages.Code_OVERLOADED, "group %d has %d reads of %d bytes waiting for a quorum", p.o.Group, p.waitingCount, p.waitingBytes)
		for _, query := range queries {
			p.replies.refuse(askerOf(from), query, why)
		}
		return
	}
	queries = p.answerable(askerOf(from), queries)
	asker := &messages.SessionRequests{Address: from.Address, Id: from.Id, ReplyBudget: from.ReplyBudget, Queries: queries}
	p.reads = append(p.reads, asker)
	p.waitingCount, p.waitingBytes = p.waitingCount+len(queries), p.waitingBytes+queryBytes(asker)
}

// releaseRead waits for a quorum: these reads go on, or are refused.
func (p *Peer) releaseRead(asker *messages.SessionRequests) {
	p.waitingCount, p.waitingBytes = p.waitingCount-len(asker.Queries), p.waitingBytes-queryBytes(asker)
}

// answerable are the queries that are not refused as too large.
func (p *Peer) answerable(from recipient, queries [][]byte) [][]byte {
	if !slices.ContainsFunc(queries, func(query []byte) bool { return messages.CheckQuerySize(query) != nil }) {
		return queries
	}
	var kept [][]byte
	for _, query := range queries {
		if why := messages.CheckQuerySize(query); why != nil {
			p.replies.refuse(from, query, why)
		} else {
			kept = append(kept, query)
		}
	}
	return kept
}

// read asks the core for one index for all reads of the drain. No token is used again, not even by a later life of the
// replica: it begins somewhere else.
func (p *Peer) read() {
	if len(p.reads) == 0 {
		return
	}
	p.token++
	askers := p.reads
	p.reads = nil
	if err := p.core.ReadIndex(p.token); err != nil {
		p.refuseReads(askers, p.refusal(err))
		return
	}
	p.waitingReads[p.token] = askers
}

// answerSessions hands reads whose index is known to the Applier.
func (p *Peer) answerReads(results []raft.ReadResult) {
	for _, result := range results {
		askers := p.waitingReads[result.Token]
		delete(p.waitingReads, result.Token)
		if result.Err != nil {
			p.refuseReads(askers, p.refusal(result.Err))
			continue
		}
		for _, asker := range askers {
			p.releaseRead(asker)
		}
		p.o.System.Root.Send(p.applier, readRequest{result.Index, askers})
	}
}

func (p *Peer) refuseReads(askers []*messages.SessionRequests, why *messages.Error) {
	for _, asker := range askers {
		p.releaseRead(asker)
		for _, query := range asker.Queries {
			p.replies.refuse(askerOf(asker), query, why)
		}
	}
}

// refusal says to a client what the core said to us. In each case the command is not in the log.
func (p *Peer) refusal(err error) *messages.Error {
	switch {
	case errors.Is(err, raft.ErrNotLeader):
		return p.notLeader(p.core.Soft().Leader)
	case errors.Is(err, raft.ErrOverloaded):
		return messages.Errorf(messages.Code_OVERLOADED, "group %d has too much that is not committed", p.o.Group)
	default:
		return messages.Errorf(messages.Code_UNAVAILABLE, "group %d: %v", p.o.Group, err)
	}
}

func (p *Peer) notLeader(leader uint64) *messages.Error {
	why := messages.Errorf(messages.Code_NOT_LEADER, "node %d does not lead group %d", p.o.Node, p.o.Group)
	if leader != 0 && leader != uint64(p.o.Node) {
		why.Hint = &messages.Hint{Leader: leader}
	}
	return why
}
