package raftactor

import (
	"maps"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/raftactor/raft"
)

// fakeCore is a leader's core, or a follower's.
type fakeCore struct {
	role    raft.Role
	level   uint32
	entries []messages.Block // proposed
	writing int
}

func (c *fakeCore) Propose(data messages.Block, _ uint64) (uint64, uint64, error) {
	if c.role != raft.Leader {
		return 0, 0, raft.ErrNotLeader
	}
	c.entries = append(c.entries, data)
	c.writing++
	return uint64(len(c.entries)), 3, nil
}
func (c *fakeCore) Level(level uint32) { c.level = level }
func (c *fakeCore) Soft() raft.Soft    { return raft.Soft{Role: c.role, Term: 3} }
func (c *fakeCore) Writing() int       { return c.writing }
func (c *fakeCore) Uncommitted() bool  { return false }

// proposeWorld is a proposer of group 5 with a core and a clock in the test's hand.
type proposeWorld struct {
	*proposer
	core   fakeCore
	now    time.Duration
	waits  []time.Duration
	took   []time.Duration
	outbox *outbox
}

func newProposeWorld(t *testing.T, limits Limits) *proposeWorld {
	sys, _ := outside(t)
	w := &proposeWorld{core: fakeCore{role: raft.Leader}}
	o := &Options{System: sys, Group: 5, Node: 1, Limits: limits.WithDefaults(), OnCommit: func(took time.Duration) { w.took = append(w.took, took) }}
	w.outbox = newOutbox(o)
	w.proposer = newProposer(o, &w.core, w.outbox, proposerEnv{
		now: func() time.Duration { return w.now }, logTime: func() uint64 { return 1 }, level: func() uint32 { return 2 },
		refusal:    func(err error) *messages.Error { return messages.Errorf(messages.Code_NOT_LEADER, "%v", err) },
		startTimer: func(wait time.Duration) { w.waits = append(w.waits, wait) },
	})
	return w
}

// codes are the codes of the replies that a session has got.
func (w *proposeWorld) codes(session string) (codes []messages.Code) {
	if frame := w.outbox.index[recipient{"n1", session}]; frame != nil {
		for _, reply := range frame.replies {
			codes = append(codes, reply.Code)
		}
	}
	return codes
}

func commandOf(t *testing.T, session, seq uint64, size int) []byte {
	encoded, err := proto.Marshal(&messages.Command{Session: session, Seq: seq, Op: &messages.Command_Put{Put: &messages.Put{Key: []byte("k"), Value: make([]byte, size)}}})
	require.NoError(t, err)
	return encoded
}

// Commands that come while an entry is on its way become one entry after it, when its sessions have had time to send more.
func TestProposerGathers(t *testing.T) {
	w, to := newProposeWorld(t, Limits{}), recipient{"n1", "a"}
	w.propose()
	require.Empty(t, w.core.entries)
	w.add(to, commandOf(t, 1, 1, 10))
	w.propose()
	require.Len(t, w.core.entries, 1, "an idle group does not wait")
	require.EqualValues(t, 2, w.core.level)

	w.now = 2 * time.Millisecond
	w.add(to, commandOf(t, 1, 2, 10))
	w.propose()
	require.Len(t, w.core.entries, 1, "one entry is on its way")
	w.core.writing, w.now = 0, 4*time.Millisecond
	w.propose()
	w.propose()
	require.Equal(t, []time.Duration{2 * time.Millisecond}, w.waits, "one timer, for half the time that the entry took")
	require.Equal(t, []time.Duration{4 * time.Millisecond}, w.took)
	w.now, w.timerRunning = 6*time.Millisecond, false
	w.add(to, commandOf(t, 1, 3, 10))
	w.propose()
	require.Len(t, w.core.entries, 2)
	require.Len(t, maps.Collect(w.core.entries[1].Commands()), 2)
}

// A command that is sent again while it is pending is not proposed again; what is applied is pending no more.
func TestProposerKnowsWhatIsPending(t *testing.T) {
	w, to := newProposeWorld(t, Limits{PendingBytes: 100}), recipient{"n1", "a"}
	w.add(to, commandOf(t, 1, 1, 10))
	require.True(t, w.isPending(commandOf(t, 1, 1, 10)), "gathered")
	require.False(t, w.isPending(commandOf(t, 1, 2, 10)))
	w.propose()
	w.endDrain()
	require.True(t, w.isPending(commandOf(t, 1, 1, 10)), "proposed")
	w.core.writing = 0
	w.add(to, commandOf(t, 1, 2, 200))
	w.propose()
	w.add(to, commandOf(t, 1, 3, 10))
	require.Equal(t, []messages.Code{messages.Code_OVERLOADED}, w.codes("a"), "too much is pending")
	w.pending.applied(2)
	w.endDrain()
	require.False(t, w.isPending(commandOf(t, 1, 1, 10)), "applied")
	w.add(to, commandOf(t, 1, 4, 10))
	require.Len(t, w.codes("a"), 1)
}

// What is gathered when leadership is lost is refused at once.
func TestProposerOfAFollower(t *testing.T) {
	w := newProposeWorld(t, Limits{})
	w.add(recipient{"n1", "a"}, commandOf(t, 1, 1, 10))
	w.core.role, w.core.writing = raft.Follower, 1
	w.propose()
	require.Equal(t, []messages.Code{messages.Code_NOT_LEADER}, w.codes("a"))
	require.Nil(t, w.entry)
}

// What the Checker refuses, or what is too large for any entry, is not proposed.
func TestProposerChecks(t *testing.T) {
	w := newProposeWorld(t, Limits{})
	require.Nil(t, w.check(nil))
	require.NotNil(t, w.check(zeros[:messages.MaxCommandBytes+1]))
	w.checker = func(view any, _ []byte) *messages.Error { return messages.Errorf(messages.Code_CONFLICT, "%v", view) }
	w.view = "seen"
	require.Contains(t, w.check(nil).Text, "seen")
}
