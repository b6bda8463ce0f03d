package raft

import (
	"github.com/eraft-io/eraft/messages"
)

// Propose appends one entry to a leader's log; it keeps data. It is sent and persisted by the next Ready.
func (c *Core) Propose(data messages.Block, timeMs uint64) (index, term uint64, err error) {
	if c.role != Leader {
		return 0, 0, ErrNotLeader
	}
	if c.transfer != 0 {
		return 0, 0, ErrTransferring
	}
	if c.uncommitted() >= c.cfg.MaxUncommittedBytes {
		return 0, 0, ErrOverloaded
	}
	c.Stir()
	e := &messages.Entry{Index: c.log.last() + 1, Term: c.term, TimeMs: max(timeMs, c.LogTime()), Data: data, Level: c.level}
	c.log.append([]*messages.Entry{e})
	return e.Index, e.Term, nil
}

// Level says which feature level the cluster is known to have: entries that are proposed from now on say so. The caller has
// checked that they need no more.
func (c *Core) Level(level uint32) { c.level = level }

// uncommitted is the bytes behind the commit index. There are few entries there, since one carries many commands.
func (c *Core) uncommitted() int {
	size := 0
	for _, e := range c.log.slice(c.commit+1, c.log.last()) {
		size += entryBytes(e)
	}
	return size
}

// replicate sends every follower what its window allows (thesis 10.2.1: without waiting for the own disk).
func (c *Core) replicate() {
	for _, p := range c.peers {
		for !p.full(&c.cfg) && (p.next <= c.log.last() || p.state == probing) {
			if !c.sendAppend(p) {
				break
			}
		}
	}
}

// sendAppend sends the entries from p.next on. It reports whether an append went out.
func (c *Core) sendAppend(p *progress) bool {
	before, entries := c.log.term(p.next-1), c.log.slice(p.next, c.log.last())
	if p.next <= c.log.hollow {
		if before, entries = c.fromDisk(p); entries == nil {
			return false
		}
	}
	entries, size := bounded(entries, c.cfg.MaxAppendBytes)
	m := c.message(messages.RaftKind_APPEND, p.id, nil)
	m.Index, m.LogTerm = p.next-1, before
	m.Commit, m.Entries, m.MemberAt = c.commit, entries, p.since
	c.out.now(m)
	if p.state == probing {
		p.paused = true
	} else {
		p.sent(p.next+uint64(len(entries))-1, size)
	}
	return true
}

// heartbeat tells every follower that this leader lives, what it may commit, and the newest read round.
func (c *Core) heartbeat() {
	for _, p := range c.peers {
		m := c.message(messages.RaftKind_HEARTBEAT, p.id, nil)
		m.Commit, m.ReadSeq, m.Quiet, m.MemberAt = min(p.match, c.commit), c.reads.seq, c.quiet, p.since
		c.askLease(m)
		c.out.now(m)
	}
}

// onAppend is the consistency check of thesis 3.5. The answer leaves when the entries are durable.
func (c *Core) onAppend(m *messages.RaftMessage) error {
	reply := c.message(messages.RaftKind_APPEND_REPLY, m.From, nil)
	reply.Index, reply.MemberAt, reply.Forgetful, reply.Stalled = m.Index, m.MemberAt, c.mayForget(), c.stalled
	switch {
	case m.Index < c.commit:
		reply.Index = c.commit // all of that is the same in every log
	case !c.log.has(m.Index, m.LogTerm):
		reply.Reject = true
		reply.HintIndex = c.log.before(min(m.Index, c.log.last()), m.LogTerm)
		reply.HintTerm = c.log.term(reply.HintIndex)
	default:
		last := m.Index + uint64(len(m.Entries))
		if err := c.accept(m); err != nil {
			return err
		}
		reply.Index = last
		c.commitTo(min(m.Commit, last))
	}
	c.out.later(reply)
	return nil
}

// full tells whether the log must not grow now. Its memory is bounded, also if the data does not get any further for hours; and
// while a snapshot is being installed nothing can be applied, or read from the disk again. A leader that gets no answer sends it
// again, a little at a time.
func (c *Core) full() bool {
	if c.out.restoring {
		return c.log.bytes >= c.cfg.MaxUncommittedBytes
	}
	return c.applied < c.commit && c.log.bytes >= c.cfg.MaxLogBytes+c.cfg.MaxUncommittedBytes
}

// accept appends what is new of a message's entries; a conflict truncates, but never what is committed.
func (c *Core) accept(m *messages.RaftMessage) error {
	for i, e := range m.Entries {
		if e.Index != m.Index+1+uint64(i) || e.Term > m.Term {
			return ErrUnwanted // no leader sends that
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
	if m.Commit > c.log.last() && !c.mayForget() { // a leader says no more than what this replica has acknowledged to it
		c.broken("this replica has acknowledged entries up to %d to node %d, but its log ends at %d: its data directory is an older copy of "+
			"itself, or its disk has lost what it said it had; start the node with an empty directory, and it joins as a new one",
			m.Commit, m.From, c.log.last())
		return
	}
	c.commitTo(min(m.Commit, c.log.last()))
	c.followToRest(m)
	reply := c.message(messages.RaftKind_HEARTBEAT_REPLY, m.From, nil)
	reply.ReadSeq, reply.MemberAt, reply.Forgetful, reply.Stalled = m.ReadSeq, m.MemberAt, c.mayForget(), c.stalled
	c.grantLease(m, reply)
	c.out.now(reply)
}

func (c *Core) commitTo(index uint64) {
	c.commit = max(c.commit, index)
}

// onReply takes a follower's answer to an append or a heartbeat of this term.
func (c *Core) onReply(m *messages.RaftMessage) error {
	p := c.peer(m.From)
	if c.role != Leader || p == nil {
		return ErrUnwanted
	}
	p.silent = 0
	if m.MemberAt != p.since {
		return ErrFormer
	}
	p.forgetful, p.hung = m.Forgetful, m.Stalled
	if m.Kind == messages.RaftKind_HEARTBEAT_REPLY {
		c.onHeartbeatReply(p, m)
		return nil
	}
	if m.Reject {
		c.onReject(p, m)
		return nil
	}
	if m.Index > c.log.last() {
		// It has what an earlier life of this leader, in the same term, has sent it: no other replica can be at fault.
		c.broken("node %d has acknowledged entries up to %d of this term to this replica, but its log ends at %d: its data directory is an older copy of "+
			"itself, or its disk has lost what it said it had; start the node with an empty directory, and it joins as a new one",
			p.id, m.Index, c.log.last())
		return ErrUnwanted
	}
	news := p.acked(m.Index)
	if p.state == probing && (news || m.Index+1 >= p.next) || p.state == installing && p.match >= min(c.log.kept, c.log.start.Index) {
		p.probe(p.match + 1)
		p.state = replicating
	}
	if news {
		c.advance()
	}
	if c.transfer == p.id {
		c.pushTransfer()
	}
	return nil
}

// onReject moves back to where the logs may agree, a whole term at a time.
func (c *Core) onReject(p *progress, m *messages.RaftMessage) {
	if p.state == installing || m.Index < p.match || p.state == probing && m.Index != p.next-1 {
		return // of an append that no longer matters
	}
	next := c.log.before(m.HintIndex, m.HintTerm) + 1
	if m.HintIndex < c.log.start.Index {
		next = m.HintIndex + 1
	}
	p.probe(min(next, m.Index))
}

// stallBeats is after how many answered heartbeats without an acknowledgement appends count as lost.
const stallBeats = 4

func (c *Core) onHeartbeatReply(p *progress, m *messages.RaftMessage) {
	p.paused = false
	if m.LeaseAt <= uint64(c.now) {
		p.leaseAt = max(p.leaseAt, m.LeaseAt)
	}
	if p.state == replicating && len(p.flight) > 0 {
		if p.stalled++; p.stalled >= stallBeats {
			p.probe(p.match + 1)
		}
	}
	if p.state == installing && !p.asked {
		p.probe(p.match + 1)
	}
	if m.ReadSeq > p.readSeq {
		p.readSeq = m.ReadSeq
		c.confirmReads()
	}
}

// advance commits what a majority has durable, if it is of the leader's own term (thesis 3.6.2, figure 3.7). What comes
// behind membership changes that have not taken effect yet needs a majority of the membership after them as well (thesis
// 4.1): a replica that is removed may know it before this leader does, and end.
func (c *Core) advance() {
	if c.role != Leader {
		return
	}
	index := agreed(c.conf, c.durableAt)
	if c.confPending > c.emitted && index > c.confPending {
		index = max(c.confPending, min(index, agreed(c.confAhead(), c.durableAt)))
	}
	if index > c.commit && c.log.term(index) == c.term {
		c.commitTo(index)
		c.startReads()
	}
}

// durableAt is up to where a leader knows that a replica has its log on disk.
func (c *Core) durableAt(id uint64) uint64 {
	if id == c.cfg.ID {
		return c.log.durable
	}
	if p := c.peer(id); p != nil {
		return p.match
	}
	return 0
}

// Unreachable tells that messages to a replica were lost: it is probed again.
func (c *Core) Unreachable(to uint64) {
	if p := c.peer(to); p != nil && p.state == replicating {
		p.probe(p.match + 1)
		p.paused = true
	}
}

// SnapshotDone ends a transfer that Ready.Snapshots asked for. When it failed the follower's next heartbeat answer
// starts it again.
func (c *Core) SnapshotDone(to, index uint64, ok bool) {
	p := c.peer(to)
	if p == nil || p.state != installing {
		return
	}
	p.asked = false
	if ok {
		p.probe(index + 1)
		p.paused = true
	}
}
