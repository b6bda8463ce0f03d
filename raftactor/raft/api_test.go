package raft

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/eraft-io/eraft/messages"
)

// What a script would say too clumsily: limits, refusals at the start, pure functions, broken invariants.

func testConfig(id uint64) Config {
	return Config{
		ID: id, Group: 1, ElectionTicks: 10, HeartbeatTicks: 2, MaxAppendBytes: 1000, MaxInflightMessages: 4,
		MaxInflightBytes: 1000, MaxUncommittedBytes: 1000, MaxApplyBytes: 1000, MaxLogBytes: 100_000, Rand: rand.New(rand.NewPCG(id, 1)),
	}
}

func entries(first uint64, terms ...uint64) (all []*messages.Entry) {
	for i, term := range terms {
		all = append(all, &messages.Entry{Index: first + uint64(i), Term: term, TimeMs: 10 * term})
	}
	return all
}

func birth(index, term uint64, voters ...uint64) *messages.SnapshotMeta {
	return &messages.SnapshotMeta{Index: index, Term: term, TimeMs: 5, Conf: &messages.ConfState{Voters: voters}}
}

func testCore(t *testing.T, boot Boot) *Core {
	t.Helper()
	c, err := New(testConfig(1), boot)
	require.NoError(t, err)
	return c
}

// settleAlone does at once whatever a group of one asks for.
func settleAlone(c *Core) {
	for {
		r, ok := c.Ready()
		if !ok {
			return
		}
		if r.Persist != nil {
			c.Persisted(r.Persist.Seq)
		}
		if n := len(r.Apply); n > 0 {
			c.Applied(r.Apply[n-1].Index)
		}
	}
}

func TestConfigIsChecked(t *testing.T) {
	require.NoError(t, testConfig(1).Validate())
	for name, spoil := range map[string]func(*Config){
		"no id":                    func(c *Config) { c.ID = 0 },
		"no randomness":            func(c *Config) { c.Rand = nil },
		"no heartbeats":            func(c *Config) { c.HeartbeatTicks = 0 },
		"heartbeats come too late": func(c *Config) { c.HeartbeatTicks = c.ElectionTicks },
		"nothing fits a message":   func(c *Config) { c.MaxAppendBytes = 0 },
		"nothing may be applied":   func(c *Config) { c.MaxApplyBytes = -1 },
	} {
		cfg := testConfig(1)
		spoil(&cfg)
		_, err := New(cfg, Boot{})
		require.Error(t, err, name)
	}
}

func TestNewRefusesWhatCannotBe(t *testing.T) {
	for name, boot := range map[string]Boot{
		"a gap":                        {Entries: entries(2, 1)},
		"terms go back":                {Entries: entries(1, 2, 1)},
		"an entry older than the base": {Snapshot: birth(1, 3, 1), Entries: entries(2, 2), Applied: 1},
		"data ahead of the log":        {Entries: entries(1, 1), Applied: 2},
		"data behind the log":          {Snapshot: birth(5, 1, 1), Applied: 4},
		"an unreadable change": {Applied: 1, Entries: []*messages.Entry{{
			Index: 1, Term: 1, Kind: messages.EntryKind_CONF_CHANGE, Data: []byte{0xff}}}},
	} {
		_, err := New(testConfig(1), boot)
		require.Error(t, err, name)
	}
}

// TestNewRemembers: what is on disk may be behind itself (the commit index) or, after a repair, ahead (the commit
// index); term and vote belong together.
func TestNewRemembers(t *testing.T) {
	c := testCore(t, Boot{
		HardState: &messages.HardState{Term: 3, Vote: 2, Commit: 9}, Snapshot: birth(1, 1, 1, 2), Entries: entries(2, 1, 3), Applied: 2,
	})
	s := c.Status()
	require.Equal(t, Soft{Role: Follower, Term: 3, First: 2}, c.Soft())
	require.Equal(t, []uint64{3, 2, 3, 3}, []uint64{s.Commit, s.Applied, s.Last, s.Durable}, "commit is clamped to the log")
	require.Equal(t, uint64(2), c.vote)

	c = testCore(t, Boot{HardState: &messages.HardState{Term: 3, Vote: 2}, Entries: entries(1, 5)})
	require.Equal(t, uint64(5), c.term, "the log proves that term 5 was entered")
	require.Zero(t, c.vote, "a vote of term 3 is none of term 5")

	c = testCore(t, Boot{})
	c.Campaign()
	require.Equal(t, Follower, c.role, "who is in no membership does not campaign")
	_, some := c.Ready()
	require.False(t, some)
}

func TestLeaderChangeTellsRoleLeaderAndTerm(t *testing.T) {
	c := testCore(t, Boot{Snapshot: birth(1, 1, 1, 2, 3), Applied: 1})
	from := func(term uint64) *LeaderChange {
		require.NoError(t, c.Step(&messages.RaftMessage{Kind: messages.RaftKind_HEARTBEAT, From: 2, To: 1, Term: term}))
		r, _ := c.Ready()
		return r.Leader
	}
	require.Equal(t, &LeaderChange{2, 1, Follower}, from(1))
	require.Nil(t, from(1), "nothing new")
	require.Equal(t, &LeaderChange{2, 4, Follower}, from(4), "the same leader, of another term")
	for i, name := range []string{"follower", "pre-candidate", "candidate", "leader"} {
		require.Equal(t, name, Role(i).String())
	}
}

func TestStatusHelpers(t *testing.T) {
	c := testCore(t, Boot{Snapshot: birth(1, 1, 1), Applied: 1})
	require.Equal(t, uint64(5), c.LogTime(), "an empty log is as old as its start")
	require.Zero(t, c.LogBytes())
	require.Equal(t, uint64(1), c.TailStart(1000))
	c.Campaign()
	settleAlone(c)
	for _, stamp := range []uint64{70, 60} {
		_, _, err := c.Propose(make([]byte, 36), stamp)
		require.NoError(t, err)
	}
	require.Equal(t, uint64(70), c.LogTime(), "log time never goes back")
	require.True(t, c.Uncommitted())
	require.Zero(t, c.Writing())
	_, some := c.Ready()
	require.True(t, some)
	require.Equal(t, 1, c.Writing())
	c.Persisted(c.out.seq)
	settleAlone(c)
	require.False(t, c.Uncommitted())
	require.Equal(t, 64+100+100, c.LogBytes())
	for bytes, start := range map[int]uint64{0: 4, 99: 4, 100: 3, 199: 3, 200: 2, 263: 2, 264: 1, 9999: 1} {
		require.Equal(t, start, c.TailStart(bytes), "tail of %d bytes", bytes)
	}
	require.NoError(t, c.Compact(3, 4))
	require.Equal(t, 100, c.LogBytes())
	require.Equal(t, uint64(4), c.Soft().First)
	require.Equal(t, uint64(70), c.LogTime())
	require.ErrorIs(t, c.Compact(3, 4), ErrObsolete)
	require.Zero(t, c.log.term(2), "the log knows nothing of what it has dropped")
}

// TestBrokenInvariants: what cannot happen stops the core for good, with the first reason. Everything here is forged.
func TestBrokenInvariants(t *testing.T) {
	leader := func() *Core {
		c := testCore(t, Boot{Snapshot: birth(1, 1, 1, 2), Applied: 1})
		c.become(Leader, 2, 1)
		c.trackFollowers()
		return c
	}
	for reason, forge := range map[string]func(c *Core){
		"two leaders in term 2: 1 and 2": func(c *Core) {
			_ = c.Step(&messages.RaftMessage{Kind: messages.RaftKind_APPEND, From: 2, To: 1, Term: 2})
		},
		"node 2 has acknowledged entries up to 9 of this term to this replica, but its log ends at 1": func(c *Core) {
			_ = c.Step(&messages.RaftMessage{Kind: messages.RaftKind_APPEND_REPLY, From: 2, To: 1, Term: 2, Index: 9, MemberSince: 1})
		},
		"term goes back from 2 to 1":              func(c *Core) { c.become(Follower, 1, 0) },
		"applied 7, but only 1 was handed out":    func(c *Core) { c.Applied(7) },
		"entry 3 of term 4 would replace a comm":  func(c *Core) { conflict(c) },
		"entry 2 is a membership change that can": func(c *Core) { unreadable(c) },
	} {
		c := leader()
		require.NoError(t, c.Err())
		forge(c)
		require.ErrorContains(t, c.Err(), reason)
		c.broken("something else")
		require.ErrorContains(t, c.Err(), reason, "the first reason stays")
	}
}

// conflict lets a leader of term 4 contradict the committed entry 3.
func conflict(c *Core) {
	c.become(Follower, 3, 2)
	c.log.append(entries(2, 3, 3))
	c.commit = 3
	_ = c.Step(&messages.RaftMessage{
		Kind: messages.RaftKind_APPEND, From: 2, To: 1, Term: 4, Index: 3, LogTerm: 3, Entries: entries(4, 4),
	})
	c.accept(&messages.RaftMessage{Term: 4, Index: 2, LogTerm: 3, Entries: entries(3, 4)})
}

func unreadable(c *Core) {
	c.log.append([]*messages.Entry{{Index: 2, Term: 2, Kind: messages.EntryKind_CONF_CHANGE, Data: []byte{0xff}}})
	c.log.durable, c.commit = 2, 2
	c.toApply()
}

// TestCompactRefusesUnreadableChange: the membership at the new start of the log would be unknown.
func TestCompactRefusesUnreadableChange(t *testing.T) {
	c := testCore(t, Boot{Snapshot: birth(1, 1, 1), Applied: 1})
	c.log.append([]*messages.Entry{{Index: 2, Term: 2, Kind: messages.EntryKind_CONF_CHANGE, Data: []byte{0xff}}})
	c.log.durable, c.applied = 2, 2
	require.ErrorContains(t, c.Compact(2, 3), "cannot be read")
}

// TestApplyConfEntry: a change that makes no sense at its place in the log changes nothing, on every replica alike.
func TestApplyConfEntry(t *testing.T) {
	conf := &messages.ConfState{Voters: []uint64{1, 2}, Learners: []uint64{3}}
	for text, want := range map[string]string{
		"ADD_LEARNER 4": "[1 2] [3 4]", "ADD_LEARNER 1": "[1 2] [3]", "ADD_LEARNER 3": "[1 2] [3]", "ADD_LEARNER 0": "[1 2] [3]",
		"PROMOTE 3": "[1 2 3] []", "PROMOTE 2": "[1 2] [3]", "PROMOTE 9": "[1 2] [3]",
		"DEMOTE 2": "[1] [2 3]", "DEMOTE 3": "[1 2] [3]", "JOINT 3": "[1 2] [3]", "LEAVE 0": "[1 2] [3]",
		"REMOVE 3": "[1 2] []", "REMOVE 1": "[2] [3]", "REMOVE 9": "[1 2] [3]",
	} {
		var kind string
		var node uint64
		_, err := fmt.Sscan(text, &kind, &node)
		require.NoError(t, err)
		got, err := ApplyConfEntry(conf, confEntry(t, messages.ConfChange_Kind(messages.ConfChange_Kind_value[kind]), node))
		require.NoError(t, err)
		require.Equal(t, want, fmt.Sprint(got.Voters, got.Learners), text)
		require.Equal(t, "[1 2] [3]", fmt.Sprint(conf.Voters, conf.Learners), "the old membership is not touched")
	}
	got, err := ApplyConfEntry(conf, entries(1, 1)[0])
	require.NoError(t, err)
	require.Same(t, conf, got)
	_, err = ApplyConfEntry(conf, &messages.Entry{Kind: messages.EntryKind_CONF_CHANGE, Data: []byte{0xff}})
	require.Error(t, err)
}

// TestCandidateThatTakesASnapshotIsNoneAnyMore: its ballots were given for another log and by another membership, which may be
// two changes away from the one in the snapshot: two majorities of the same term could elect two leaders.
func TestCandidateThatTakesASnapshotIsNoneAnyMore(t *testing.T) {
	for _, role := range []Role{PreCandidate, Candidate} {
		c := testCore(t, Boot{HardState: &messages.HardState{Term: 1, Commit: 1}, Snapshot: birth(1, 1, 1, 2, 3, 4, 5), Applied: 1})
		c.Campaign()
		carryFast(c)
		kind, term := messages.RaftKind_PRE_VOTE_REPLY, uint64(2)
		if role == Candidate {
			for _, id := range []uint64{2, 3} {
				require.NoError(t, c.Step(&messages.RaftMessage{Kind: kind, From: id, To: 1, Term: term}))
			}
			carryFast(c)
			kind = messages.RaftKind_VOTE_REPLY
		}
		require.Equal(t, role, c.role)
		// 4 was elected in term 2 by 3, 4 and 5, and has committed the removals of 5 and of 3. Its snapshot reaches 1.
		require.NoError(t, c.Restore(birth(20, 2, 1, 2, 4)))
		carryFast(c)
		require.Equal(t, Follower, c.role)
		_ = c.Step(&messages.RaftMessage{Kind: kind, From: 2, To: 1, Term: term}) // given before 2 heard of 4
		carryFast(c)
		require.Equal(t, Follower, c.role)
		require.NoError(t, c.Step(&messages.RaftMessage{Kind: messages.RaftKind_HEARTBEAT, From: 4, To: 1, Term: 2, Commit: 20}))
		require.NoError(t, c.Err())
	}
}

// TestLogInMemoryIsBounded: a follower whose data does not get any further acknowledges what its disk has, and reads it back when the
// time comes; and when even that would be too much it takes no more.
func TestLogInMemoryIsBounded(t *testing.T) {
	cfg := testConfig(2)
	cfg.MaxLogBytes, cfg.MaxUncommittedBytes = 50_000, 10_000
	c, err := New(cfg, Boot{HardState: &messages.HardState{Term: 1, Commit: 1}, Snapshot: birth(1, 1, 1, 2, 3), Applied: 1})
	require.NoError(t, err)
	onDisk := entries(1, 1)
	var waiting []*messages.Entry // handed out
	carry := func() {
		for {
			r, some := c.Ready()
			if !some {
				return
			}
			if r.Persist != nil {
				onDisk = append(onDisk, r.Persist.Entries...)
				c.Persisted(r.Persist.Seq)
			}
			waiting = append(waiting, r.Apply...)
			for _, l := range r.Loads {
				require.Equal(t, uint64(2), l.For)
				c.Loaded(2, onDisk[l.From-1:min(l.To, l.From+3)])
			}
			require.NoError(t, c.Err())
		}
	}
	last := uint64(1)
	for ; last < 20_000; last++ {
		e := &messages.Entry{Index: last + 1, Term: 1, Data: fmt.Appendf(nil, "%d%0500d", last+1, 0)}
		err := c.Step(&messages.RaftMessage{
			Kind: messages.RaftKind_APPEND, From: 1, To: 2, Term: 1, Index: last, LogTerm: 1, Commit: last, Entries: []*messages.Entry{e},
		})
		carry()
		require.LessOrEqual(t, c.LogBytes(), cfg.MaxLogBytes+cfg.MaxUncommittedBytes+1000)
		if err != nil {
			require.ErrorIs(t, err, ErrFull)
			break
		}
	}
	require.Greater(t, last, uint64(600), "much more than memory should hold")
	require.Less(t, last, uint64(2000))

	next := uint64(2)
	for ; len(waiting) > 0; next++ {
		e := waiting[0]
		waiting = waiting[1:]
		require.Equal(t, next, e.Index)
		require.Equal(t, fmt.Sprintf("%d%0500d", next, 0), string(e.Data))
		c.Applied(next)
		carry()
	}
	require.Equal(t, last, next, "all that is known to be committed")
	require.NoError(t, c.Step(&messages.RaftMessage{Kind: messages.RaftKind_HEARTBEAT, From: 1, To: 2, Term: 1, Commit: last}))
	carry()
	c.Applied(last)
	require.NoError(t, c.Step(&messages.RaftMessage{
		Kind: messages.RaftKind_APPEND, From: 1, To: 2, Term: 1, Index: last, LogTerm: 1, Commit: last, Entries: entries(last+1, 1),
	}), "it takes more again")
}

// TestLogOnDiskMustBeThere: what is committed and durable cannot be gone. But an answer to a question that a snapshot has overtaken
// tells nothing.
func TestLogOnDiskMustBeThere(t *testing.T) {
	hungry := func() *Core {
		cfg := testConfig(2)
		cfg.MaxLogBytes = 100
		c, err := New(cfg, Boot{HardState: &messages.HardState{Term: 1, Commit: 1}, Snapshot: birth(1, 1, 1, 2, 3), Applied: 1})
		require.NoError(t, err)
		all := entries(2, 1, 1, 1)
		for _, e := range all {
			e.Data = make([]byte, 300)
		}
		require.NoError(t, c.Step(&messages.RaftMessage{
			Kind: messages.RaftKind_APPEND, From: 1, To: 2, Term: 1, Index: 1, LogTerm: 1, Commit: 4, Entries: all,
		}))
		for {
			r, some := c.Ready()
			require.True(t, some)
			if r.Persist != nil {
				c.Persisted(r.Persist.Seq)
			}
			if len(r.Loads) > 0 {
				return c
			}
			for _, e := range r.Apply {
				c.Applied(e.Index)
			}
		}
	}
	c := hungry()
	c.Loaded(2, nil)
	require.ErrorContains(t, c.Err(), "the disk does not have it")

	c = hungry()
	require.NoError(t, c.Restore(birth(9, 1, 1, 2, 3)))
	c.Loaded(2, nil)
	require.NoError(t, c.Err())
}
