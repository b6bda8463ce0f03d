package raft

import (
	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/raftactor/raft/quorum"
)

// Ready is what the driver must do. It may do all of it at once, in any order, but for what is said at the fields.
type Ready struct {
	Leader    *LeaderChange           // for people and for routing; nil: nothing has changed
	Send      []*messages.RaftMessage // to be sent now
	Persist   *Persist                // to be written; nil: nothing
	Restore   *messages.SnapshotMeta  // when Persist is durable, and before Apply: replace the data by the staged snapshot
	Apply     []*messages.Entry       // committed and durable here, in order, each once
	Reads     []ReadResult
	Snapshots []uint64 // followers that need a snapshot: each is named once until SnapshotDone
	Loads     []Load   // entries to read from the disk: each is asked for once until Loaded
}

// Persist is one write of the log's disk. All of it becomes durable at once, and writes become durable in the order of Seq. The driver
// calls Persisted when they are. The parts are written in the order of the fields.
type Persist struct {
	Seq       uint64
	HardState *messages.HardState     // replaces the one before; nil: it has not changed
	Snapshot  *messages.SnapshotMeta  // replaces the log: it begins behind the snapshot, and is empty
	Truncate  uint64                  // entries from this index on are deleted; 0: none
	Entries   []*messages.Entry       // are appended
	Compact   *messages.SnapshotMeta  // the log begins behind it
	Keep      uint64                  // with Compact: entries before this index are deleted
	After     []*messages.RaftMessage // to be sent when the write is durable: they tell other replicas of what is in it
}

// LeaderChange is a new leader, term or role of this replica. Leader 0: none is known.
type LeaderChange struct {
	Leader, Term uint64
	Role         Role
}

// outputs gathers what the next Ready will hold, and remembers the writes that are under way.
type outputs struct {
	leader    *LeaderChange
	send      []*messages.RaftMessage
	after     []*messages.RaftMessage
	reads     []ReadResult
	snapshots []uint64
	loads     []Load

	saved     saved // the hard state as it was last handed out
	truncate  uint64
	restore   *messages.SnapshotMeta
	restoring bool // until the restored state is applied
	compact   *messages.SnapshotMeta
	ownVote   uint64 // term in which this replica votes for itself with the next step
	election  bool   // after holds a request for votes, or a vote
	seq       uint64
	writing   []step // handed out and not Persisted, oldest first

	durableTerm, durableCommit uint64
}

type saved struct{ Term, Vote, Commit uint64 }

// step is what becomes true when a Persist is durable.
type step struct {
	seq      uint64
	last     uint64 // index up to which the log is durable then
	term     uint64
	commit   uint64
	ownVote  uint64 // term in which this replica's vote for itself counts then; 0: none
	election bool   // a request for votes, or a vote, is sent then
}

func (o *outputs) sendNow(m *messages.RaftMessage)         { o.send = append(o.send, m) }
func (o *outputs) sendWhenDurable(m *messages.RaftMessage) { o.after = append(o.after, m) }

// truncated notes that entries from index on are replaced: no write that is under way makes those durable that replace them.
func (o *outputs) truncated(index uint64) {
	if o.truncate == 0 || index < o.truncate {
		o.truncate = index
	}
	for i := range o.writing {
		o.writing[i].last = min(o.writing[i].last, index-1)
	}
}

// Ready is what is to be done since the last call; false: nothing. The driver calls it after it has given the core inputs.
func (c *Core) Ready() (Ready, bool) {
	if c.role == Leader {
		c.leaveJoint()
		c.startReads()
		c.replicate()
	}
	apply := c.toApply()
	c.campaignIfOrdered()
	r := Ready{Apply: apply, Restore: c.out.restore}
	r.Persist = c.persist()
	r.Leader, r.Send, r.Reads, r.Snapshots, r.Loads = c.out.leader, c.out.send, c.out.reads, c.out.snapshots, c.out.loads
	c.out.leader, c.out.send, c.out.reads, c.out.snapshots, c.out.loads, c.out.restore = nil, nil, nil, nil, nil, nil
	c.log.dropData(min(c.commit, c.log.durable), c.cfg.MaxLogBytes)
	some := r.Leader != nil || r.Persist != nil || r.Restore != nil ||
		len(r.Send)+len(r.Apply)+len(r.Reads)+len(r.Snapshots)+len(r.Loads) > 0
	return r, some
}

// persist makes the next write out of everything that was not handed out before; nil: there is nothing.
func (c *Core) persist() *Persist {
	o := &c.out
	entries := c.log.slice(c.log.handedOut+1, c.log.last())
	// That a membership is committed is written at once: the replicas that it leaves out will not help to find it out again. So is
	// that a recovering replica has got back what it had: it will be counted on.
	hard := o.saved.Term != c.term || o.saved.Vote != c.vote || o.saved.Commit < c.confAt || o.saved.Commit < c.voteFloor && !c.recovering()
	content := hard || len(entries) > 0 || o.truncate != 0 || o.restore != nil
	if !content && o.compact == nil {
		if len(o.after) == 0 {
			return nil
		}
		if len(o.writing) == 0 { // what they tell of is durable
			o.send, o.after, o.election = append(o.send, o.after...), nil, false
			return nil
		}
	}
	o.seq++
	p := &Persist{
		Seq: o.seq, Snapshot: o.restore, Truncate: o.truncate, Entries: entries, Compact: o.compact,
		After: o.after,
	}
	if p.Compact != nil {
		p.Keep = c.log.firstOnDisk
	}
	// The commit index is written with entries. A membership change is proposed only when the one before is committed, so a replica
	// that has the second on its disk also has there that the first is committed, and does not campaign before it applies.
	if hard || p.Snapshot != nil || p.Compact != nil || len(entries) > 0 && o.saved.Commit != c.commit {
		p.HardState = c.HardState()
		o.saved.Term, o.saved.Vote, o.saved.Commit = c.term, c.vote, c.commit
	}
	c.log.handedOut = c.log.last()
	o.writing = append(o.writing, step{o.seq, c.log.last(), o.saved.Term, o.saved.Commit, o.ownVote, o.election})
	o.after, o.truncate, o.compact, o.ownVote, o.election = nil, 0, nil, 0, false
	return p
}

// Persisted tells the core that all writes up to seq are durable.
func (c *Core) Persisted(seq uint64) {
	for len(c.out.writing) > 0 && c.out.writing[0].seq <= seq {
		s := c.out.writing[0]
		c.out.writing = c.out.writing[1:]
		c.out.durableTerm, c.out.durableCommit = s.term, s.commit
		c.log.durable = max(c.log.durable, min(s.last, c.log.last()))
		if s.ownVote != 0 && s.ownVote == c.term && c.role == Candidate && c.poll(c.cfg.ID, true) == quorum.Won {
			c.becomeLeader()
		}
	}
	c.advance()
}

// toApply hands out entries that are committed and durable here, as long as those that are not applied take less than MaxApplyBytes.
func (c *Core) toApply() []*messages.Entry {
	to := min(c.commit, c.log.durable)
	budget := c.cfg.MaxApplyBytes
	for _, a := range c.applying {
		budget -= a.bytes
	}
	if c.out.restoring || to <= c.emitted || budget <= 0 {
		return nil
	}
	entries := c.log.slice(c.emitted+1, to)
	if c.emitted < c.log.dataOnDisk {
		entries = c.unapplied()
	}
	entries, _ = bounded(entries, budget)
	c.replayed = c.replayed[min(len(c.replayed), len(entries)):]
	for _, e := range entries {
		c.emitted = e.Index
		c.applying = append(c.applying, applying{e.Index, entryBytes(e)})
		if e.Kind == messages.EntryKind_CONF_CHANGE {
			c.changeConf(e)
		}
	}
	return entries
}

// Applied tells the core that the data has all entries up to index.
func (c *Core) Applied(index uint64) {
	if index > c.emitted {
		c.broken("applied %d, but only %d was handed out", index, c.emitted)
		return
	}
	c.applied = max(c.applied, index)
	for len(c.applying) > 0 && c.applying[0].index <= c.applied {
		c.applying = c.applying[1:]
	}
	if c.out.restoring && c.applied >= c.log.start.Index {
		c.out.restoring = false
	}
}

// Restore takes a snapshot whose bytes are staged and durable. If the log already has its last entry there is nothing to replace: the
// snapshot only proves that everything up to it is committed. It fails with ErrObsolete if the log is as far.
func (c *Core) Restore(meta *messages.SnapshotMeta) error {
	if meta.GetIndex() <= c.commit || c.role == Leader {
		return ErrObsolete
	}
	if c.log.has(meta.Index, meta.Term) {
		c.commitTo(meta.Index)
		return nil
	}
	// There is a leader of a later term: an answer in the old one would acknowledge what its leader lacks. And votes for a log and a
	// membership that are replaced elect nobody: since they were given, the membership may have changed more than once.
	if meta.Term > c.term || c.role != Follower {
		c.become(Follower, max(c.term, meta.Term), 0)
	}
	c.log.restore(meta)
	c.out.truncated(meta.Index + 1)
	for i := range c.out.writing {
		c.out.writing[i].last = 0
	}
	c.out.truncate = 0
	c.commit, c.emitted, c.applying, c.replayed = meta.Index, meta.Index, nil, nil
	if c.replay == asked {
		c.replay = void
	}
	c.conf, c.confAt = meta.Conf, meta.Index
	c.out.restore, c.out.restoring = meta, true
	c.out.compact = nil // it was of the log that is replaced
	if c.lead != 0 {
		reply := c.message(messages.RaftKind_APPEND_REPLY, c.lead, nil)
		reply.Index, reply.MemberSince, reply.Recovering = meta.Index, c.memberAt, c.recoveringIfCrashed()
		c.out.sendWhenDurable(reply)
	}
	return nil
}

// Compact drops the entries up to index from the log. The data must have them, durably. Those from keep on stay on the disk, where they
// are read for followers that are behind the start of the log. It fails with ErrObsolete if the log begins later or the index is not
// applied.
func (c *Core) Compact(index, keep uint64) error {
	if index <= c.log.start.Index || index > c.applied || index > c.log.durable {
		return ErrObsolete
	}
	conf := c.log.start.Conf
	for _, e := range c.log.slice(c.log.first(), index) {
		next, err := ApplyConfEntry(conf, e)
		if err != nil {
			return err
		}
		conf = next
	}
	c.out.compact = c.log.compact(index, keep, conf)
	return nil
}
