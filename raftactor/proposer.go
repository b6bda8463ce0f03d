package raftactor

import (
	"slices"
	"time"

	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/raftactor/raft"
)

// proposer gathers the commands that come to a leader into log entries, proposes them, and remembers which sessions wait for the
// replies. It is pure but for what its env does.
type proposer struct {
	group        messages.GroupID
	entryBytes   int  // Limits.EntryBytes
	pendingBytes int  // Limits.PendingBytes
	core         core // the group's
	replies      *outbox
	env          proposerEnv
	onCommit     func(time.Duration) // Options.OnCommit; optional
	checker      Checker             // Options.Check; optional
	view         any                 // newest View of the Machine, which commands are checked against

	entry        *proposal          // gathered for the next entry; nil: no command
	lastBytes    int                // size of the entry before, which the next one will probably have as well
	requestIDs   map[requestID]bool // of commands gathered and pending, as of this drain; nil: not needed yet
	batcher      proposalBatcher
	timerRunning bool
	pending      proposals
}

// proposerEnv is what a proposer needs of its Peer.
type proposerEnv struct {
	now        func() time.Duration        // monotonic
	logTime    func() uint64               // log time of an entry that is proposed now, in ms
	level      func() uint32               // feature level of the cluster
	refusal    func(error) *messages.Error // reply to a client for an error of the core
	startTimer func(time.Duration)         // has propose called again after that time
}

// core is what a proposer needs of a raft.Core.
type core interface {
	Propose(data messages.Block, timeMs uint64) (index, term uint64, err error)
	Level(level uint32)
	Soft() raft.Soft
	Writing() int
	Uncommitted() bool
}

func newProposer(o *Options, c core, replies *outbox, env proposerEnv) *proposer {
	return &proposer{
		group: o.Group, entryBytes: o.Limits.EntryBytes, pendingBytes: o.Limits.PendingBytes, core: c, replies: replies,
		env: env, onCommit: o.OnCommit, checker: o.Check,
	}
}

// check refuses a command that may not enter the log, whoever sends it.
func (r *proposer) check(command []byte) *messages.Error {
	if why := messages.CheckSize(command); why != nil || r.checker == nil {
		return why
	}
	return r.checker(r.view, command)
}

// isPending tells whether the leader has a command already that a session sends again. Under load it would go through the log once
// more, which makes the load worse.
func (r *proposer) isPending(command []byte) bool {
	if r.requestIDs == nil {
		r.requestIDs = r.pending.requestIDs(r.entry)
	}
	session, seq := messages.RequestID(command)
	return session != 0 && r.requestIDs[requestID{session, seq}]
}

// add takes a command, or refuses it if too much is pending. An entry is closed before a command is added with which it would be larger
// than Limits.EntryBytes, so only an entry of a single command is.
func (r *proposer) add(to recipient, command []byte) {
	if r.pending.bytes >= r.pendingBytes {
		r.replies.refuse(to, command, messages.Errorf(messages.Code_OVERLOADED,
			"group %d has %d bytes waiting for the disk or a quorum", r.group, r.pending.bytes))
		return
	}
	if r.entry != nil && r.entry.bytes+messages.BlockSize(command) > r.entryBytes {
		r.seal()
	}
	if r.entry == nil {
		r.entry = &proposal{data: make(messages.Block, 0, r.lastBytes)}
	}
	r.entry.add(to, command)
	if r.entry.bytes >= r.entryBytes {
		r.propose()
	}
}

// propose turns the commands gathered so far into one log entry, when it is time.
func (r *proposer) propose() {
	now, gathered := r.env.now(), 0
	if r.entry != nil {
		gathered = r.entry.count
	}
	busy := r.core.Writing() > 0 || r.core.Uncommitted()
	if took, ok := r.batcher.took(now, busy); ok && r.onCommit != nil && r.core.Soft().Role == raft.Leader {
		r.onCommit(took)
	}
	r.batcher.observe(now, busy, gathered)
	if r.entry == nil {
		return
	}
	if r.core.Soft().Role == raft.Leader && r.entry.bytes < r.entryBytes {
		if busy {
			return
		}
		if wait := r.batcher.wait(now, gathered); wait > 0 {
			if !r.timerRunning {
				r.timerRunning = true
				r.env.startTimer(wait)
			}
			return
		}
	}
	r.seal()
}

// seal proposes what is gathered as the next entry.
func (r *proposer) seal() {
	entry := r.entry
	r.entry, r.lastBytes = nil, len(entry.data)
	if cap(entry.data) > 2*len(entry.data) {
		entry.data = slices.Clone(entry.data) // the log keeps it
	}
	r.core.Level(r.env.level())
	index, term, err := r.core.Propose(entry.data, r.env.logTime())
	if err != nil {
		entry.refuse(r.replies, r.env.refusal(err))
		return
	}
	r.batcher.proposed(r.env.now(), entry.count)
	entry.index, entry.term = index, term
	r.pending.push(entry)
}

// endDrain forgets what holds for one mailbox drain only.
func (r *proposer) endDrain() { r.requestIDs = nil }
