package raft

import (
	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/raftactor/raft/progress"
)

// Propose appends one entry to a leader's log, which keeps data. timeMs is its log time, unless the log is ahead of it. The next Ready sends and
// persists it. It fails with ErrNotLeader, ErrTransferring or ErrOverloaded.
func (c *Core) Propose(data messages.Block, timeMs uint64) (index, term uint64, err error) {
	if c.role != Leader {
		return 0, 0, ErrNotLeader
	}
	if c.transferee != 0 {
		return 0, 0, ErrTransferring
	}
	if c.uncommitted() >= c.cfg.MaxUncommittedBytes {
		return 0, 0, ErrOverloaded
	}
	c.Wake()
	e := &messages.Entry{Index: c.log.last() + 1, Term: c.term, TimeMs: max(timeMs, c.LogTime()), Data: data, Level: c.level}
	c.log.append([]*messages.Entry{e})
	return e.Index, e.Term, nil
}

// Level tells the core which feature level the cluster is known to have: entries that are proposed from now on carry it. The driver has
// checked that their commands need no more.
func (c *Core) Level(level uint32) { c.level = level }

// uncommitted is how many bytes entries behind the commit index take. There are few, since one carries many commands.
func (c *Core) uncommitted() int {
	size := 0
	for _, e := range c.log.slice(c.commit+1, c.log.last()) {
		size += entryBytes(e)
	}
	return size
}

// replicate sends every follower what its window allows, without waiting for this leader's own disk (thesis 10.2.1).
func (c *Core) replicate() {
	for _, p := range c.followers {
		for !p.Full(c.cfg.window()) && (p.Next <= c.log.last() || p.State == progress.Probe) {
			if !c.sendAppend(p) {
				break
			}
		}
	}
}

// sendAppend sends the entries from p.Next on. It reports whether an append went out.
func (c *Core) sendAppend(p *progress.Progress) bool {
	before, entries := c.log.term(p.Next-1), c.log.slice(p.Next, c.log.last())
	if p.Next <= c.log.dataOnDisk {
		if before, entries = c.fromDisk(p); entries == nil {
			return false
		}
	}
	entries, size := bounded(entries, c.cfg.MaxAppendBytes)
	m := c.message(messages.RaftKind_APPEND, p.ID, nil)
	m.Index, m.LogTerm = p.Next-1, before
	m.Commit, m.Entries, m.MemberSince = c.commit, entries, p.MemberSince
	c.out.sendNow(m)
	p.Sent(p.Next+uint64(len(entries))-1, size)
	return true
}

// heartbeat tells every follower that this leader lives, what is committed of what the follower has, and the newest round of ReadIndex.
func (c *Core) heartbeat() {
	for _, p := range c.followers {
		m := c.message(messages.RaftKind_HEARTBEAT, p.ID, nil)
		m.Commit, m.ReadSeq, m.Quiesce, m.MemberSince = min(p.Match, c.commit), c.reads.seq, c.quiesced, p.MemberSince
		c.askLease(m)
		c.out.sendNow(m)
	}
}

// onAppend is the consistency check of thesis 3.5. Its answer is sent when the entries are durable here.
func (c *Core) onAppend(m *messages.RaftMessage) error {
	reply := c.message(messages.RaftKind_APPEND_REPLY, m.From, nil)
	reply.Index, reply.MemberSince, reply.Recovering, reply.DiskStalled = m.Index, m.MemberSince, c.recoveringIfCrashed(), c.diskStalled
	switch {
	case m.Index < c.commit:
		reply.Index = c.commit // committed entries are the same in every log
	case !c.log.has(m.Index, m.LogTerm):
		reply.Reject = true
		reply.HintIndex = c.log.findConflictByTerm(min(m.Index, c.log.last()), m.LogTerm)
		reply.HintTerm = c.log.term(reply.HintIndex)
	default:
		last := m.Index + uint64(len(m.Entries))
		if err := c.accept(m); err != nil {
			return err
		}
		reply.Index = last
		c.commitTo(min(m.Commit, last))
	}
	c.out.sendWhenDurable(reply)
	return nil
}

// full tells whether the log must not grow now. Its memory is bounded, also when the data does not get any further for hours; and
// while a snapshot is being installed nothing can be applied, nor read from the disk again. The leader gets no answer and sends the
// entries again later, one append at a time.
func (c *Core) full() bool {
	if c.out.restoring {
		return c.log.bytes >= c.cfg.MaxUncommittedBytes
	}
	return c.applied < c.commit && c.log.bytes >= c.cfg.MaxLogBytes+c.cfg.MaxUncommittedBytes
}

// accept appends the entries of a message that are new. Entries that conflict with them are dropped, unless one is committed.
func (c *Core) accept(m *messages.RaftMessage) error {
	for i, e := range m.Entries {
		if e.Index != m.Index+1+uint64(i) || e.Term > m.Term {
			return ErrUnwanted // no leader sends such entries
		}
	}
	for i, e := range m.Entries {
		if c.log.has(e.Index, e.Term) {
			continue
		}
		if e.Index <= c.commit {
			c.broken("entry %d of term %d would replace a committed one of term %d", e.Index, e.Term, c.log.term(e.Index))
			return ErrUnwanted
		}
		if e.Index <= c.log.last() {
			c.log.truncate(e.Index)
			c.out.truncated(e.Index)
		} else if c.full() {
			return ErrFull
		}
		c.log.append(m.Entries[i:])
		return nil
	}
	return nil
}

func (c *Core) onHeartbeat(m *messages.RaftMessage) {
	if m.Commit > c.log.last() && !c.recoveringIfCrashed() { // a leader names no higher index than this replica has acknowledged
		c.broken("this replica has acknowledged entries up to %d to node %d, but its log ends at %d: its data directory is an older copy of "+
			"itself, or its disk has lost what it said it had; start the node with an empty directory, and it joins as a new one",
			m.Commit, m.From, c.log.last())
		return
	}
	c.commitTo(min(m.Commit, c.log.last()))
	c.quiesceWithLeader(m)
	reply := c.message(messages.RaftKind_HEARTBEAT_REPLY, m.From, nil)
	reply.ReadSeq, reply.MemberSince, reply.Recovering, reply.DiskStalled = m.ReadSeq, m.MemberSince, c.recoveringIfCrashed(), c.diskStalled
	c.grantLease(m, reply)
	c.out.sendNow(reply)
}

// commitTo moves the commit index forward, never back.
func (c *Core) commitTo(index uint64) {
	c.commit = max(c.commit, index)
}

// onReply takes a follower's answer to an append or a heartbeat of this term.
func (c *Core) onReply(m *messages.RaftMessage) error {
	p := c.follower(m.From)
	if c.role != Leader || p == nil {
		return ErrUnwanted
	}
	p.SilentTicks = 0
	if m.MemberSince != p.MemberSince {
		return ErrFormerMember
	}
	p.Recovering, p.DiskStalled = m.Recovering, m.DiskStalled
	if m.Kind == messages.RaftKind_HEARTBEAT_REPLY {
		c.onHeartbeatReply(p, m)
		return nil
	}
	if m.Reject {
		c.onReject(p, m)
		return nil
	}
	if m.Index > c.log.last() {
		// An earlier life of this leader has sent it those entries in the same term: no other replica can be at fault.
		c.broken("node %d has acknowledged entries up to %d of this term to this replica, but its log ends at %d: its data directory is an older copy of "+
			"itself, or its disk has lost what it said it had; start the node with an empty directory, and it joins as a new one",
			p.ID, m.Index, c.log.last())
		return ErrUnwanted
	}
	news := p.Acknowledged(m.Index)
	if p.State == progress.Probe && (news || m.Index+1 >= p.Next) || p.State == progress.Snapshot && p.Match >= min(c.log.firstOnDisk, c.log.start.Index) {
		p.BecomeReplicate()
	}
	if news {
		c.advance()
	}
	if c.transferee == p.ID {
		c.pushTransfer()
	}
	return nil
}

// onReject moves back to where the two logs may agree, a whole term at a time (thesis 3.5).
func (c *Core) onReject(p *progress.Progress, m *messages.RaftMessage) {
	if p.State == progress.Snapshot || m.Index < p.Match || p.State == progress.Probe && m.Index != p.Next-1 {
		return // the answer to an append that no longer matters
	}
	next := c.log.findConflictByTerm(m.HintIndex, m.HintTerm) + 1
	if m.HintIndex < c.log.start.Index {
		next = m.HintIndex + 1
	}
	p.BecomeProbe(min(next, m.Index))
}

// onHeartbeatReply notes what a follower confirms, and finds appends that were lost.
func (c *Core) onHeartbeatReply(p *progress.Progress, m *messages.RaftMessage) {
	lost := p.HeartbeatAnswered()
	if m.LeaseAt <= uint64(c.now) {
		p.LeaseAt = max(p.LeaseAt, m.LeaseAt)
	}
	if lost || p.State == progress.Snapshot && !p.SnapshotRequested {
		p.BecomeProbe(p.Match + 1)
	}
	if m.ReadSeq > p.ReadSeq {
		p.ReadSeq = m.ReadSeq
		c.confirmReads()
	}
}

// The commit rule. A committed entry is never lost and never changes: from then on it may be applied, and its proposer answered.
//
//	durable(r)       up to which index replica r has this leader's log on its disk: a follower's newest acknowledgement in this
//	                 term; for the leader itself, what its own Writer has reported
//	quorum(members)  the highest index that a majority of members has durable; of a joint membership, the lower of both halves
//
//	advance():
//	    i = quorum(members)
//	    if the log has a membership change c that has not taken effect, and i is behind c:
//	        i = max(c, min(i, quorum(members after c)))
//	    if i > commit and term(i) == this leader's term:
//	        commit = i
//
// The term is compared because a majority alone is not enough for an entry of an older term. A leader of term 4 may bring an old
// entry of term 2 to a majority and crash; a replica with a newer last entry, of term 3, may still win, and replace it (figure 8 of the
// paper; scenario figure_8). Once an entry of term 4 is on a majority, no replica without it can win, and with it everything before it
// is safe. So a new leader appends an empty entry at once: see becomeLeader.
//
// The leader's own disk is one of the quorum and is not waited for: if the followers are faster, an entry is committed that the
// leader has only in memory. It is applied here when it is durable here as well: see toApply.
//
// A membership change counts in two ways. What is behind it in the log needs a quorum of the members after it as well, because a
// replica that the change removes may learn that the change is committed before this leader does, and delete its log.

// advance applies the commit rule. It is called when a follower has acknowledged, a write of the leader's own is durable, or the members change.
func (c *Core) advance() {
	if c.role != Leader {
		return
	}
	index := votersOf(c.conf).Value(c.durableAt)
	if c.confPending > c.emitted && index > c.confPending {
		index = max(c.confPending, min(index, votersOf(c.confAhead()).Value(c.durableAt)))
	}
	if index > c.commit && c.log.term(index) == c.term {
		c.commitTo(index)
		c.startReads()
	}
}

// Unreachable tells the core that messages to a replica were lost: it is probed again.
func (c *Core) Unreachable(to uint64) {
	if p := c.follower(to); p != nil && p.State == progress.Replicate {
		p.BecomeProbe(p.Match + 1)
		p.Paused = true
	}
}

// SnapshotDone tells the core that the transfer of a snapshot that Ready.Snapshots asked for has ended. After one that has failed the
// follower's next answer to a heartbeat starts another.
func (c *Core) SnapshotDone(to, index uint64, ok bool) {
	p := c.follower(to)
	if p == nil || p.State != progress.Snapshot {
		return
	}
	p.SnapshotRequested = false
	if ok {
		p.BecomeProbe(index + 1)
		p.Paused = true
	}
}
