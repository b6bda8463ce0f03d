package raft

import (
	"errors"
	"fmt"
	"math/rand/v2"

	"github.com/eraft-io/eraft/messages"
)

// Why an input was not taken. None of them has any effect.
var (
	ErrNotLeader    = errors.New("not the leader")
	ErrOverloaded   = errors.New("too many uncommitted bytes")
	ErrTransferring = errors.New("leadership is being handed over")
	ErrConfPending  = errors.New("another membership change is under way")
	ErrInvalidConf  = errors.New("membership change makes no sense")
	ErrStale        = errors.New("message of an older term")
	ErrSticky       = errors.New("vote ignored: the leader was heard of recently")
	ErrUnwanted     = errors.New("message does not fit this replica's role")
	ErrFormer       = errors.New("acknowledgement of what this replica was before it was removed")
	ErrNoAnswer     = errors.New("the leader did not answer")
	ErrFull         = errors.New("too much of the log is not applied")
	ErrObsolete     = errors.New("snapshot is older than what is committed here")
)

// Config of one replica. Ticks and bytes must be positive.
type Config struct {
	ID, Group           uint64
	ElectionTicks       int        // election timeouts are random in [ElectionTicks, 2*ElectionTicks)
	HeartbeatTicks      int        // below ElectionTicks
	RestTicks           int        // without anything to do until a group comes to rest; 0: never. Who sets it must call Lost
	Promise             Nanos      // how long a follower that hears its leader helps nobody to replace it; 0: leases are unknown
	Lease               Nanos      // how long a leader counts on that; below Promise by more than clocks may differ. 0: it asks a quorum for every read
	MaxAppendBytes      int        // entries of one append; one entry above it still travels
	MaxInflightMessages int        // appends on the way to one follower
	MaxInflightBytes    int        // likewise
	MaxUncommittedBytes int        // above it a leader refuses proposals: ErrOverloaded
	MaxApplyBytes       int        // committed entries handed out and not yet Applied
	MaxLogBytes         int        // of the log in memory; above, what is durable and committed is read from the disk again
	Rand                *rand.Rand // election jitter
}

// Validate refuses a Config that cannot work.
func (c Config) Validate() error {
	switch {
	case c.ID == 0:
		return errors.New("raft: ID is 0")
	case c.Rand == nil:
		return errors.New("raft: Rand is nil")
	case c.HeartbeatTicks <= 0 || c.ElectionTicks <= c.HeartbeatTicks:
		return fmt.Errorf("raft: need 0 < HeartbeatTicks (%d) < ElectionTicks (%d)", c.HeartbeatTicks, c.ElectionTicks)
	case c.Lease < 0 || c.Lease > 0 && c.Lease >= c.Promise:
		return fmt.Errorf("raft: need 0 <= Lease (%v) < Promise (%v)", c.Lease, c.Promise)
	case min(c.MaxAppendBytes, c.MaxInflightMessages, c.MaxInflightBytes, c.MaxUncommittedBytes, c.MaxApplyBytes, c.MaxLogBytes) <= 0:
		return errors.New("raft: every limit must be positive")
	}
	return nil
}

// Boot is what a replica remembers. Snapshot is the state before the first entry; Applied is what the data is at; Now
// is the time, as in At.
type Boot struct {
	HardState *messages.HardState
	Snapshot  *messages.SnapshotMeta
	Entries   []*messages.Entry
	Kept      uint64 // first entry on disk, if there are some before the log's start
	Applied   uint64
	Now       Nanos
}

// Role of a replica.
type Role int

const (
	Follower Role = iota
	PreCandidate
	Candidate
	Leader
)

func (r Role) String() string {
	return [...]string{"follower", "pre-candidate", "candidate", "leader"}[r]
}

// Core is one replica of one group. It is not safe for concurrent use: one actor owns it.
type Core struct {
	cfg  Config
	role Role
	term uint64
	vote uint64
	lead uint64

	log      log
	commit   uint64
	emitted  uint64 // handed out in Ready.Apply
	applied  uint64
	applying []flight // handed out and not yet applied, oldest first
	replay   replay
	replayed []*messages.Entry   // read from the disk, behind emitted
	conf     *messages.ConfState // at emitted
	confAt   uint64              // the index that made it so
	memberAt uint64              // the newest index as of which this term's leader says that this replica is a member
	floor    uint64              // below it this replica has forgotten what it once had; see Retired
	level    uint32              // of entries that are proposed here

	peers   []*progress // everybody in conf but this replica, by id; leaders only
	votes   []ballot
	elapsed int    // ticks since the leader was heard, or since the campaign began
	beat    int    // ticks since the last heartbeat round
	timeout int    // this time's random election timeout
	waited  int    // ticks that what this replica says in an election has waited for the disk
	backs   uint64 // whose campaign this replica gives time to
	failed  int    // candidacies that came to nothing since a leader was heard
	rested  int    // ticks since something was to be done
	quiet   bool

	now       Nanos // as last told
	bindsTo   Nanos // until then this replica helps nobody to replace a leader
	leaseOver bool  // leadership was offered to somebody in this term
	stalled   bool  // the disk does not answer
	yielded   bool  // and leadership was offered for that
	called    bool  // a leader has ordered this replica to campaign since the last tick

	transfer      uint64 // who is to lead, 0: nobody
	transferTicks int
	confPending   uint64 // no membership change before this index is emitted
	reads         reads
	questions     []question // that a follower has for its leader, oldest first

	out outputs
	err error
}

type ballot struct {
	id      uint64
	granted bool
}

// New brings a replica back from what it remembers.
func New(cfg Config, boot Boot) (*Core, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	c := &Core{cfg: cfg, now: boot.Now}
	if err := c.log.open(boot.Snapshot, boot.Entries); err != nil {
		return nil, err
	}
	if boot.Kept != 0 {
		c.log.kept = min(c.log.kept, boot.Kept)
	}
	if boot.Applied > c.log.last() {
		return nil, fmt.Errorf("raft: the data is at %d but the log ends at %d", boot.Applied, c.log.last())
	}
	if boot.Applied < c.log.start.Index {
		return nil, fmt.Errorf("raft: the data is at %d but the log starts after %d", boot.Applied, c.log.start.Index)
	}
	hard := boot.HardState
	c.floor = hard.GetFloor()
	c.term, c.vote = max(hard.GetTerm(), c.log.lastTerm()), hard.GetVote()
	if c.term > hard.GetTerm() {
		c.vote = 0 // that vote was for another term
	}
	c.commit = min(max(hard.GetCommit(), boot.Applied), c.log.last())
	c.applied, c.emitted = boot.Applied, boot.Applied
	c.conf, c.confAt = c.log.start.Conf, c.log.start.Index
	for _, entry := range c.log.slice(c.log.start.Index+1, boot.Applied) {
		conf, err := ApplyConfEntry(c.conf, entry)
		if err != nil {
			return nil, err
		}
		if conf != c.conf {
			c.conf, c.confAt = conf, entry.Index
		}
	}
	c.out.saved = saved{Term: hard.GetTerm(), Vote: hard.GetVote(), Commit: hard.GetCommit()}
	c.out.durableTerm, c.out.durableCommit = hard.GetTerm(), hard.GetCommit()
	c.log.shed(c.commit, cfg.MaxLogBytes)
	c.bindRestarted()
	c.become(Follower, c.term, 0)
	c.out.leader = nil
	return c, nil
}

// Err is the first broken invariant. After that nothing the core says may be trusted: the node must stop.
func (c *Core) Err() error { return c.err }

// broken records a broken invariant.
func (c *Core) broken(format string, args ...any) {
	if c.err == nil {
		c.err = fmt.Errorf("raft invariant broken: "+format, args...)
	}
}

// become is the only door between roles. Entering a term forgets the vote of the one before (thesis 3.4).
func (c *Core) become(role Role, term, lead uint64) {
	if term < c.term {
		c.broken("term goes back from %d to %d", c.term, term)
		return
	}
	was := LeaderChange{c.lead, c.term, c.role}
	if term > c.term {
		c.term, c.vote, c.memberAt = term, 0, 0
	}
	c.role, c.lead = role, lead
	c.elapsed, c.beat, c.transfer, c.leaseOver, c.yielded, c.called = 0, 0, 0, false, false, false
	c.waited, c.backs = 0, 0
	if lead != 0 {
		c.failed = 0
	}
	c.drawTimeout()
	c.votes = c.votes[:0]
	c.Stir()
	if role != Leader {
		c.peers = nil
		c.failReads()
	}
	c.dropQuestions()
	if now := (LeaderChange{lead, c.term, role}); now != was {
		c.out.leader = &now
	}
}

// Tick lets one tick of time pass.
func (c *Core) Tick() {
	if c.quiet {
		return
	}
	c.called = false
	if c.role != Leader {
		c.ageQuestions()
		c.tickElection()
		return
	}
	c.elapsed++
	for _, p := range c.peers {
		p.silent++
	}
	if !c.quorumActive() {
		// CheckQuorum (thesis 6.2): who cannot reach a quorum must not keep clients waiting, nor others from voting.
		c.become(Follower, c.term, 0)
		return
	}
	if c.transfer != 0 {
		if c.transferTicks++; c.transferTicks >= c.cfg.ElectionTicks {
			c.transfer = 0
		}
	}
	if c.yieldIfStalled(); c.role != Leader {
		return
	}
	c.rested++
	if c.beat++; c.beat >= c.cfg.HeartbeatTicks {
		c.beat = 0
		c.restIfSettled()
		c.heartbeat()
	}
}

// Step takes one message. The error says why a message was dropped; it is for counting only.
func (c *Core) Step(m *messages.RaftMessage) error {
	if m.From == 0 || m.From == c.cfg.ID || m.To != c.cfg.ID {
		return ErrUnwanted
	}
	if stirring(m) {
		c.Stir()
	}
	if m.Term > c.term {
		if err := c.newer(m); err != nil {
			return err
		}
	} else if m.Term < c.term {
		return c.older(m)
	}
	switch m.Kind {
	case messages.RaftKind_PRE_VOTE, messages.RaftKind_VOTE:
		return c.onVote(m)
	case messages.RaftKind_PRE_VOTE_REPLY, messages.RaftKind_VOTE_REPLY:
		return c.onVoteReply(m)
	case messages.RaftKind_APPEND, messages.RaftKind_HEARTBEAT:
		if c.role == Leader {
			c.broken("two leaders in term %d: %d and %d", c.term, c.cfg.ID, m.From)
			return ErrUnwanted
		}
		if c.role != Follower || c.lead != m.From {
			c.become(Follower, m.Term, m.From)
		}
		c.elapsed = 0
		c.promise()
		c.memberAt = max(c.memberAt, m.MemberAt)
		if m.Kind == messages.RaftKind_APPEND {
			return c.onAppend(m)
		}
		c.onHeartbeat(m)
		return nil
	case messages.RaftKind_TIMEOUT_NOW:
		return c.onTimeoutNow()
	case messages.RaftKind_APPEND_REPLY, messages.RaftKind_HEARTBEAT_REPLY:
		return c.onReply(m)
	case messages.RaftKind_READ_INDEX:
		return c.onReadIndex(m)
	case messages.RaftKind_READ_INDEX_REPLY:
		return c.onReadIndexReply(m)
	}
	return ErrUnwanted // of a version yet to come
}

// newer deals with a message of a later term: it ends this replica's role, but for votes that must not disturb.
func (c *Core) newer(m *messages.RaftMessage) error {
	switch m.Kind {
	case messages.RaftKind_PRE_VOTE, messages.RaftKind_VOTE:
		// Leader stickiness (thesis 4.2.3): who hears a leader does not help to depose it.
		if !m.Transfer && c.hearsLeader() {
			return ErrSticky
		}
		if m.Kind == messages.RaftKind_VOTE {
			c.become(Follower, m.Term, 0)
		}
	case messages.RaftKind_PRE_VOTE_REPLY:
		if m.Reject {
			c.become(Follower, m.Term, 0)
		}
	case messages.RaftKind_APPEND, messages.RaftKind_HEARTBEAT:
		c.become(Follower, m.Term, m.From)
	default:
		c.become(Follower, m.Term, 0)
	}
	return nil
}

func (c *Core) hearsLeader() bool {
	return c.role == Leader || c.bound() || c.lead != 0 && c.elapsed < c.cfg.ElectionTicks
}

// older answers what an outdated replica must know: a leader of an older term that somebody newer exists, and a
// pre-candidate of an older term that its term is over. Without that a cluster can get stuck.
func (c *Core) older(m *messages.RaftMessage) error {
	switch m.Kind {
	case messages.RaftKind_APPEND, messages.RaftKind_HEARTBEAT:
		c.out.later(c.message(messages.RaftKind_APPEND_REPLY, m.From, func(r *messages.RaftMessage) { r.Reject = true }))
	case messages.RaftKind_PRE_VOTE_REPLY, messages.RaftKind_VOTE_REPLY:
		c.learnCommit(m)
	case messages.RaftKind_PRE_VOTE, messages.RaftKind_VOTE:
		c.learnCommit(m)
		kind := messages.RaftKind_PRE_VOTE_REPLY
		if m.Kind == messages.RaftKind_VOTE {
			kind = messages.RaftKind_VOTE_REPLY
		}
		c.out.later(c.message(kind, m.From, func(r *messages.RaftMessage) {
			r.Reject, r.Commit, r.HintTerm = true, c.commit, c.log.term(c.commit)
		}))
	}
	return ErrStale
}

// message starts a message of this replica's term.
func (c *Core) message(kind messages.RaftKind, to uint64, fill func(*messages.RaftMessage)) *messages.RaftMessage {
	m := &messages.RaftMessage{Kind: kind, Group: c.cfg.Group, From: c.cfg.ID, To: to, Term: c.term}
	if fill != nil {
		fill(m)
	}
	return m
}
