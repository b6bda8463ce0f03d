package raft

import (
	"fmt"

	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/raftactor/raft/progress"
	"github.com/eraft-io/eraft/raftactor/raft/quorum"
)

// Role of a replica in its term.
type Role int

// The roles. A PreCandidate asks whether it could win an election, before it raises its term for one (thesis 9.6).
const (
	Follower Role = iota
	PreCandidate
	Candidate
	Leader
)

// String is the name of the role in a status.
func (r Role) String() string {
	return [...]string{"follower", "pre-candidate", "candidate", "leader"}[r]
}

// Core is one replica of one group: the whole of Raft's state and rules. It is not safe for concurrent use: one owner calls its
// methods and carries out what Ready returns.
//
// Its state is in parts, each with the rules that change it in a file of its own.
type Core struct {
	cfg Config
	termState
	log log
	applyState
	membershipState
	level     uint32               // feature level of entries that are proposed here
	followers []*progress.Progress // of all members but this replica, by id; on a leader only
	electionState
	activityState
	leaseState
	transferState
	reads     reads
	forwarded []forwardedRead // that this follower has sent to its leader, oldest first
	out       outputs
	err       error // the first broken invariant; nil: none
}

// termState is a replica's part in its term. Only become changes it, except that a vote is given in campaign and onVote.
type termState struct {
	role Role
	term uint64
	vote uint64 // whom this replica has voted for in its term; 0: nobody
	lead uint64 // who leads its term, as far as it knows; 0: nobody
}

// applyState is how far the log is committed and applied. Invariant: applied <= emitted <= commit.
type applyState struct {
	commit   uint64     // index up to which entries are known to be committed
	emitted  uint64     // index up to which entries were handed out in Ready.Apply
	applied  uint64     // index up to which the data has them
	applying []applying // handed out and not applied, oldest first
	replay   replay
	replayed []*messages.Entry // read from the disk, to be handed out next
}

// membershipState is the membership in effect, and what this replica knows of its own.
type membershipState struct {
	conf        *messages.ConfState // the membership at emitted
	confAt      uint64              // index of the entry that made it
	confPending uint64              // index of the newest membership change in the log; no other is proposed before it has taken effect
	memberAt    uint64              // newest index as of which this term's leader has said that this replica is a member
	voteFloor   uint64              // commit index below which this replica is recovering, see recovering; 0: it has lost nothing
}

// electionState is when a replica campaigns, and how its campaign stands.
type electionState struct {
	votes             []quorum.Vote // that a candidate has got
	electionElapsed   int           // ticks since the leader was heard, or since the campaign began
	electionTimeout   int           // ticks after which this replica campaigns, drawn anew each time
	diskTicks         int           // ticks for which an election message of this replica has waited for its disk
	supported         uint64        // candidate that this replica gives time to; 0: none
	failedCandidacies int           // since a leader was heard
	campaignOrdered   bool          // a leader has ordered this replica to campaign since the last tick
}

// activityState is when a leader sends heartbeats, and whether the group is quiesced.
type activityState struct {
	heartbeatElapsed int // ticks since the last round of heartbeats
	idleTicks        int // ticks since something was to be done
	quiesced         bool
}

// leaseState is this replica's part in leases, by its own clock.
type leaseState struct {
	now              Nanos // as last told
	voteBlockedUntil Nanos // until then this replica helps nobody to replace a leader that it has heard
	leaseRevoked     bool  // this leader has offered its leadership to another replica in this term
}

// transferState is a leader's transfer of its leadership.
type transferState struct {
	transferee      uint64 // replica that leadership is being transferred to; 0: none
	transferTicks   int    // since the transfer began
	diskStalled     bool   // a disk of this replica does not answer; of a follower as well
	transferOffered bool   // leadership was offered for that reason
}

// applying is an entry that was handed out and is not applied.
type applying struct {
	index uint64
	bytes int
}

// New starts a replica from what it finds on its disks.
func New(cfg Config, boot Boot) (*Core, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	c := &Core{cfg: cfg, leaseState: leaseState{now: boot.Now}}
	if err := c.log.open(boot.Snapshot, boot.Entries); err != nil {
		return nil, err
	}
	if boot.FirstOnDisk != 0 {
		c.log.firstOnDisk = min(c.log.firstOnDisk, boot.FirstOnDisk)
	}
	if boot.Applied > c.log.last() {
		return nil, fmt.Errorf("raft: the data is at %d but the log ends at %d", boot.Applied, c.log.last())
	}
	if boot.Applied < c.log.start.Index {
		return nil, fmt.Errorf("raft: the data is at %d but the log starts after %d", boot.Applied, c.log.start.Index)
	}
	hard := boot.HardState
	c.voteFloor = hard.GetVoteFloor()
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
	c.log.dropData(c.commit, cfg.MaxLogBytes)
	c.blockVotesAfterRestart()
	c.become(Follower, c.term, 0)
	c.out.leader = nil
	return c, nil
}

// Err is the first broken invariant; nil: none. After one nothing that the core says may be trusted, and its node must stop.
func (c *Core) Err() error { return c.err }

// broken records a broken invariant.
func (c *Core) broken(format string, args ...any) {
	if c.err == nil {
		c.err = fmt.Errorf("raft invariant broken: "+format, args...)
	}
}

// become is the only way from one role or term to another. A vote belongs to its term (thesis 3.4).
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
	c.electionElapsed, c.heartbeatElapsed, c.transferee, c.leaseRevoked, c.transferOffered, c.campaignOrdered = 0, 0, 0, false, false, false
	c.diskTicks, c.supported = 0, 0
	if lead != 0 {
		c.failedCandidacies = 0
	}
	c.resetElectionTimeout()
	c.votes = c.votes[:0]
	c.Wake()
	if role != Leader {
		c.followers = nil
		c.failReads()
	}
	c.failForwardedReads()
	if now := (LeaderChange{lead, c.term, role}); now != was {
		c.out.leader = &now
	}
}

// Tick lets one tick of time pass. The driver decides how long a tick is; a quiesced replica needs none.
func (c *Core) Tick() {
	if c.quiesced {
		return
	}
	c.campaignOrdered = false
	if c.role != Leader {
		c.tickForwardedReads()
		c.tickElection()
		return
	}
	c.electionElapsed++
	for _, p := range c.followers {
		p.SilentTicks++
	}
	if !c.quorumActive() {
		// CheckQuorum (thesis 6.2): a leader that cannot reach a quorum must not keep clients waiting, nor replicas from voting.
		c.become(Follower, c.term, 0)
		return
	}
	if c.transferee != 0 {
		if c.transferTicks++; c.transferTicks >= c.cfg.ElectionTicks {
			c.transferee = 0
		}
	}
	if c.stepDownIfStalled(); c.role != Leader {
		return
	}
	c.idleTicks++
	if c.heartbeatElapsed++; c.heartbeatElapsed >= c.cfg.HeartbeatTicks {
		c.heartbeatElapsed = 0
		c.quiesceIfIdle()
		c.heartbeat()
	}
}

// Step takes one message. The error says why the message was dropped; it is for counting only.
func (c *Core) Step(m *messages.RaftMessage) error {
	if m.From == 0 || m.From == c.cfg.ID || m.To != c.cfg.ID {
		return ErrUnwanted
	}
	if wakes(m) {
		c.Wake()
	}
	if m.Term > c.term {
		if err := c.onNewerTerm(m); err != nil {
			return err
		}
	} else if m.Term < c.term {
		return c.onOlderTerm(m)
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
		c.electionElapsed = 0
		c.blockVotes()
		c.memberAt = max(c.memberAt, m.MemberSince)
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
	return ErrUnwanted // a kind of a later version
}

// onNewerTerm takes the term of a message of a later term, which ends this replica's role, unless the message asks for a vote that
// must not disturb a leader.
func (c *Core) onNewerTerm(m *messages.RaftMessage) error {
	switch m.Kind {
	case messages.RaftKind_PRE_VOTE, messages.RaftKind_VOTE:
		// Leader stickiness (thesis 4.2.3): a replica that hears a leader does not help to depose it.
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

// hearsLeader tells whether there is a leader as far as this replica knows, or it has granted one a lease.
func (c *Core) hearsLeader() bool {
	return c.role == Leader || c.voteBlocked() || c.lead != 0 && c.electionElapsed < c.cfg.ElectionTicks
}

// onOlderTerm answers a replica that is behind: a leader learns that there is a later term, and a candidate that its term is over.
// Without that a group can get stuck, since a replica of a later term takes nothing from one of an older term.
func (c *Core) onOlderTerm(m *messages.RaftMessage) error {
	switch m.Kind {
	case messages.RaftKind_APPEND, messages.RaftKind_HEARTBEAT:
		c.out.sendWhenDurable(c.message(messages.RaftKind_APPEND_REPLY, m.From, func(r *messages.RaftMessage) { r.Reject = true }))
	case messages.RaftKind_PRE_VOTE_REPLY, messages.RaftKind_VOTE_REPLY:
		c.learnCommit(m)
	case messages.RaftKind_PRE_VOTE, messages.RaftKind_VOTE:
		c.learnCommit(m)
		kind := messages.RaftKind_PRE_VOTE_REPLY
		if m.Kind == messages.RaftKind_VOTE {
			kind = messages.RaftKind_VOTE_REPLY
		}
		c.out.sendWhenDurable(c.message(kind, m.From, func(r *messages.RaftMessage) {
			r.Reject, r.Commit, r.HintTerm = true, c.commit, c.log.term(c.commit)
		}))
	}
	return ErrStale
}

// message makes a message of this replica's term; fill sets what its kind needs.
func (c *Core) message(kind messages.RaftKind, to uint64, fill func(*messages.RaftMessage)) *messages.RaftMessage {
	m := &messages.RaftMessage{Kind: kind, Group: c.cfg.Group, From: c.cfg.ID, To: to, Term: c.term}
	if fill != nil {
		fill(m)
	}
	return m
}
