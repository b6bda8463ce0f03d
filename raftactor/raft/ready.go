package raft

import (
	"github.com/eraft-io/eraft/messages"
)

// Ready is what the core wants done. The parts may be carried out at once, but for what is said at each.
type Ready struct {
	Leader    *LeaderChange
	Send      []*messages.RaftMessage // may leave now
	Persist   *Persist
	Restore   *messages.SnapshotMeta // when Persist is durable: replace the data by the staged snapshot, before Apply
	Apply     []*messages.Entry      // committed and durable here, in order, each once
	Reads     []ReadResult
	Snapshots []uint64 // followers that need a snapshot: each is named once until SnapshotDone
	Loads     []Load   // pieces of the log that only the disk has: each is asked for once until Loaded
}

// Persist is one step of the log's disk. Steps are made durable in order of Seq; Persisted(Seq) tells that all up
// to Seq are.
type Persist struct {
	Seq       uint64
	HardState *messages.HardState
	Snapshot  *messages.SnapshotMeta
	Truncate  uint64
	Entries   []*messages.Entry
	Compact   *messages.SnapshotMeta  // the log starts after it
	Keep      uint64                  // with Compact: entries before this one are deleted
	After     []*messages.RaftMessage // may leave when the step is durable: they promise what it holds
}

// LeaderChange is a new leader, term or role. Leader 0 is none.
type LeaderChange struct {
	Leader, Term uint64
	Role         Role
}

// outputs gathers what the next Ready will say.
type outputs struct {
	leader    *LeaderChange
	send      []*messages.RaftMessage
	after     []*messages.RaftMessage
	reads     []ReadResult
	snapshots []uint64
	loads     []Load

	saved     saved // of the hard state, as last handed out
	truncate  uint64
	restore   *messages.SnapshotMeta
	restoring bool // until the restored state is applied
	compact   *messages.SnapshotMeta
	ownVote   uint64 // term in which this replica votes for itself with the next step
	word      bool   // after has something that counts in an election
	seq       uint64
	flight    []step // not yet Persisted

	durableTerm, durableCommit uint64
}

type saved struct{ Term, Vote, Commit uint64 }

// step is what becomes true when a Persist is durable.
type step struct {
	seq     uint64
	last    uint64 // log durable up to here
	term    uint64
	commit  uint64
	ownVote uint64
	word    bool // it holds back something that counts in an election
}

func (o *outputs) now(m *messages.RaftMessage)   { o.send = append(o.send, m) }
func (o *outputs) later(m *messages.RaftMessage) { o.after = append(o.after, m) }

// truncated makes sure that no acknowledgement under way counts for entries that are replaced.
func (o *outputs) truncated(index uint64) {
	if o.truncate == 0 || index < o.truncate {
		o.truncate = index
	}
	for i := range o.flight {
		o.flight[i].last = min(o.flight[i].last, index-1)
	}
}

// Ready drains the core's outputs; false means there are none.
func (c *Core) Ready() (Ready, bool) {
	if c.role == Leader {
		c.leaveJoint()
		c.startReads()
		c.replicate()
	}
	apply := c.toApply()
	c.standIfCalled()
	r := Ready{Apply: apply, Restore: c.out.restore}
	r.Persist = c.persist()
	r.Leader, r.Send, r.Reads, r.Snapshots, r.Loads = c.out.leader, c.out.send, c.out.reads, c.out.snapshots, c.out.loads
	c.out.leader, c.out.send, c.out.reads, c.out.snapshots, c.out.loads, c.out.restore = nil, nil, nil, nil, nil, nil
	c.log.shed(min(c.commit, c.log.durable), c.cfg.MaxLogBytes)
	some := r.Leader != nil || r.Persist != nil || r.Restore != nil ||
		len(r.Send)+len(r.Apply)+len(r.Reads)+len(r.Snapshots)+len(r.Loads) > 0
	return r, some
}

// persist makes the next step out of everything that is not handed out yet; nil if there is nothing.
func (c *Core) persist() *Persist {
	o := &c.out
	entries := c.log.slice(c.log.handed+1, c.log.last())
	// That a membership is committed goes to the disk at once: those whom it leaves out will not help to find it out again.
	// So does that an emptied replica has got back what it had: it will be counted on.
	hard := o.saved.Term != c.term || o.saved.Vote != c.vote || o.saved.Commit < c.confAt || o.saved.Commit < c.floor && !c.forgetful()
	content := hard || len(entries) > 0 || o.truncate != 0 || o.restore != nil
	if !content && o.compact == nil {
		if len(o.after) == 0 {
			return nil
		}
		if len(o.flight) == 0 { // everything they promise is durable
			o.send, o.after, o.word = append(o.send, o.after...), nil, false
			return nil
		}
	}
	o.seq++
	p := &Persist{
		Seq: o.seq, Snapshot: o.restore, Truncate: o.truncate, Entries: entries, Compact: o.compact,
		After: o.after,
	}
	if p.Compact != nil {
		p.Keep = c.log.kept
	}
	// The commit index goes with the entries. A membership change is proposed only when the one before is committed,
	// so whoever has the second on disk knows that the first is committed, and does not campaign before it applies.
	if hard || p.Snapshot != nil || p.Compact != nil || len(entries) > 0 && o.saved.Commit != c.commit {
		p.HardState = c.HardState()
		o.saved.Term, o.saved.Vote, o.saved.Commit = c.term, c.vote, c.commit
	}
	c.log.handed = c.log.last()
	o.flight = append(o.flight, step{o.seq, c.log.last(), o.saved.Term, o.saved.Commit, o.ownVote, o.word})
	o.after, o.truncate, o.compact, o.ownVote, o.word = nil, 0, nil, 0, false
	return p
}

// Persisted tells that all steps up to seq are durable.
func (c *Core) Persisted(seq uint64) {
	for len(c.out.flight) > 0 && c.out.flight[0].seq <= seq {
		s := c.out.flight[0]
		c.out.flight = c.out.flight[1:]
		c.out.durableTerm, c.out.durableCommit = s.term, s.commit
		c.log.durable = max(c.log.durable, min(s.last, c.log.last()))
		if s.ownVote != 0 && s.ownVote == c.term && c.role == Candidate && c.poll(c.cfg.ID, true) == won {
			c.takeOffice()
		}
	}
	c.advance()
}

// toApply hands out entries that are committed and durable here, within the budget of what is not applied yet.
func (c *Core) toApply() []*messages.Entry {
	to := min(c.commit, c.log.durable)
	budget := c.cfg.MaxApplyBytes
	for _, f := range c.applying {
		budget -= f.bytes
	}
	if c.out.restoring || to <= c.emitted || budget <= 0 {
		return nil
	}
	entries := c.log.slice(c.emitted+1, to)
	if c.emitted < c.log.hollow {
		entries = c.unapplied()
	}
	entries, _ = bounded(entries, budget)
	c.replayed = c.replayed[min(len(c.replayed), len(entries)):]
	for _, e := range entries {
		c.emitted = e.Index
		c.applying = append(c.applying, flight{e.Index, entryBytes(e)})
		if e.Kind == messages.EntryKind_CONF_CHANGE {
			c.changeConf(e)
		}
	}
	return entries
}

// Applied tells that the data is at index.
func (c *Core) Applied(index uint64) {
	if index > c.emitted {
		c.broken("applied %d, but only %d was handed out", index, c.emitted)
		return
	}
	c.applied = max(c.applied, index)
	for len(c.applying) > 0 && c.applying[0].last <= c.applied {
		c.applying = c.applying[1:]
	}
	if c.out.restoring && c.applied >= c.log.start.Index {
		c.out.restoring = false
	}
}

// Restore takes a snapshot whose bytes are staged and durable. If the log already agrees with it there is nothing
// to replace: it only proves that everything up to it is committed.
func (c *Core) Restore(meta *messages.SnapshotMeta) error {
	if meta.GetIndex() <= c.commit || c.role == Leader {
		return ErrObsolete
	}
	if c.log.has(meta.Index, meta.Term) {
		c.commitTo(meta.Index)
		return nil
	}
	// Somebody leads a later term: an answer in the old one would acknowledge what its leader lacks. And ballots for a log and a
	// membership that are replaced elect nobody: since they were given, the membership may have changed more than once.
	if meta.Term > c.term || c.role != Follower {
		c.become(Follower, max(c.term, meta.Term), 0)
	}
	c.log.restore(meta)
	c.out.truncated(meta.Index + 1)
	for i := range c.out.flight {
		c.out.flight[i].last = 0
	}
	c.out.truncate = 0
	c.commit, c.emitted, c.applying, c.replayed = meta.Index, meta.Index, nil, nil
	if c.replay == asked {
		c.replay = void
	}
	c.conf, c.confAt = meta.Conf, meta.Index
	c.out.restore, c.out.restoring = meta, true
	c.out.compact = nil // of the log that is replaced: the disk must not go back to its start
	if c.lead != 0 {
		reply := c.message(messages.RaftKind_APPEND_REPLY, c.lead, nil)
		reply.Index, reply.MemberAt, reply.Forgetful = meta.Index, c.memberAt, c.mayForget()
		c.out.later(reply)
	}
	return nil
}

// Compact drops entries up to index from the log; the data must have made them durable. Those from keep on stay on the disk:
// followers that are behind the start of the log are sent them from there.
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
