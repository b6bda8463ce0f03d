package raft

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/messages"
)

// TestVoteRequestsWaitForTheDisk looks at every way in which an election can go on in a small world, with real cores, and
// shows why a vote request waits until term, vote and the log that it claims are durable: docs/adr/0015.
//
// The world: entry 2 is committed by replica 1, which is gone, and replica 2. Replica 3 has it in memory only. 2 and 3 may
// campaign; any message may arrive now, later, twice or never; disks finish one step at a time; either may lose power and
// come back with any of the steps under way. Whoever leads after that must have entry 2.
func TestVoteRequestsWaitForTheDisk(t *testing.T) {
	for _, c := range []struct {
		name  string
		leaks bool
		most  budget
	}{
		{"they wait", false, budget{campaigns: 2, crashes: 2, copies: 1}},
		{"they do not", true, budget{campaigns: 2, crashes: 1, copies: 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			states, wrong := explore(t, c.leaks, c.most)
			t.Logf("%d states", states)
			if !c.leaks {
				require.Empty(t, wrong)
				require.Greater(t, states, 10_000)
				return
			}
			require.NotEmpty(t, wrong, "the world is too small to show the rule's worth")
			t.Logf("\n%s", wrong)
		})
	}
}

// budget is how often something may still happen.
type budget struct{ campaigns, crashes, copies int }

// election is one state of the world.
type election struct {
	voters [2]*voter // replicas 2 and 3
	wire   []*messages.RaftMessage
	left   budget
	leaks  bool
	before *election
	did    string
}

type voter struct {
	core *Core
	disk disk
	todo []*Persist
}

var noJitter = rand.New(&steady{5, 10})

func wake(t *testing.T, id uint64, d disk) *voter {
	core, err := New(Config{
		ID: id, ElectionTicks: 10, HeartbeatTicks: 2, MaxAppendBytes: 1000, MaxInflightMessages: 8, MaxInflightBytes: 10000,
		MaxUncommittedBytes: 10000, MaxApplyBytes: 10000, MaxLogBytes: 100_000, Rand: noJitter,
	}, Boot{HardState: d.hard, Snapshot: d.start, Entries: d.entries})
	require.NoError(t, err)
	return &voter{core: core, disk: d}
}

// explore goes from state to state, nearest first. It gives the way to the first that must not be.
func explore(t *testing.T, leaks bool, most budget) (states int, wrong string) {
	entries := []*messages.Entry{{Index: 1, Term: 1}, {Index: 2, Term: 1}}
	old := disk{hard: &messages.HardState{Term: 1, Commit: 1}, start: &messages.SnapshotMeta{Conf: &messages.ConfState{Voters: []uint64{1, 2, 3}}}}
	old.entries = entries[:1]
	first := &election{left: most, leaks: leaks, voters: [2]*voter{wake(t, 2, old), wake(t, 3, old)}}
	for i, v := range first.voters {
		require.NoError(t, v.core.Step(&messages.RaftMessage{
			Kind: messages.RaftKind_APPEND, From: 1, To: v.core.cfg.ID, Term: 1, Index: 1, LogTerm: 1, Entries: entries[1:], Commit: 1,
		}))
		for range 10 {
			v.core.Tick() // replica 1 is gone: both may campaign
		}
		v.carry(first)
		if i == 0 {
			v.sync(first)
		}
	}
	first.wire = nil
	seen := map[string]bool{first.print(): true}
	for queue := []*election{first}; len(queue) > 0; queue = queue[1:] {
		for _, next := range queue[0].steps(t) {
			if how := next.broken(); how != "" {
				return len(seen), next.way() + how
			}
			if key := next.print(); !seen[key] {
				seen[key] = true
				queue = append(queue, next)
			}
		}
	}
	return len(seen), ""
}

// steps are all that can happen next.
func (e *election) steps(t *testing.T) (all []*election) {
	try := func(did string, do func(n *election)) {
		n := e.fork()
		n.did, n.before = did, e
		do(n)
		all = append(all, n)
	}
	if slices.ContainsFunc(e.voters[:], func(v *voter) bool { return v.core.role == Leader }) {
		return nil // the election is over
	}
	for i, m := range e.wire {
		arrive := func(n *election) {
			v := n.voters[m.To-2]
			_ = v.core.Step(proto.Clone(m).(*messages.RaftMessage))
			v.carry(n)
		}
		try(show(m), func(n *election) { n.wire = slices.Delete(n.wire, i, i+1); arrive(n) })
		if e.left.copies > 0 {
			try(show(m)+", and will come again", func(n *election) { n.left.copies--; arrive(n) })
		}
	}
	for i, v := range e.voters {
		id := v.core.cfg.ID
		if e.left.campaigns > 0 && v.core.role == Follower {
			try(fmt.Sprintf("%d campaigns", id), func(n *election) { n.left.campaigns--; n.voters[i].core.Campaign(); n.voters[i].carry(n) })
		}
		if len(v.todo) > 0 {
			try(fmt.Sprintf("%d's disk has done %s", id, showWrite(v.todo[0])), func(n *election) { n.voters[i].sync(n) })
		}
		for written := range len(v.todo) + 1 {
			if e.left.crashes == 0 {
				break
			}
			try(fmt.Sprintf("%d loses power, %d of %d steps are on its disk", id, written, len(v.todo)), func(n *election) {
				n.left.crashes--
				d := v.disk
				for _, p := range v.todo[:written] {
					d = d.after(p)
				}
				n.voters[i] = wake(t, id, d)
			})
		}
	}
	return all
}

// carry does what a core asks for. Where vote requests leak they leave before the step that they should wait for.
func (v *voter) carry(e *election) {
	for {
		r, ok := v.core.Ready()
		if !ok {
			return
		}
		e.send(r.Send)
		if n := len(r.Apply); n > 0 {
			v.core.Applied(r.Apply[n-1].Index)
		}
		if r.Persist == nil {
			continue
		}
		if e.leaks {
			held := r.Persist.After
			r.Persist.After = slices.DeleteFunc(slices.Clone(held), asksForVotes)
			e.send(slices.DeleteFunc(slices.Clone(held), func(m *messages.RaftMessage) bool { return !asksForVotes(m) }))
		}
		v.todo = append(v.todo, r.Persist)
	}
}

func asksForVotes(m *messages.RaftMessage) bool {
	return m.Kind == messages.RaftKind_VOTE || m.Kind == messages.RaftKind_PRE_VOTE
}

func (v *voter) sync(e *election) {
	p := v.todo[0]
	v.todo = v.todo[1:]
	v.disk = v.disk.after(p)
	e.send(p.After)
	v.core.Persisted(p.Seq)
	v.carry(e)
}

// send keeps what matters: replica 1 is gone, and an election is over when somebody leads.
func (e *election) send(all []*messages.RaftMessage) {
	for _, m := range all {
		if m.To != 1 && m.Kind != messages.RaftKind_APPEND && m.Kind != messages.RaftKind_HEARTBEAT {
			e.wire = append(e.wire, m)
		}
	}
}

// broken tells what must not be: a leader without the committed entry, or two of one term.
func (e *election) broken() string {
	for _, v := range e.voters {
		if v.core.role == Leader && !v.core.log.has(2, 1) {
			return fmt.Sprintf("%d leads term %d without the committed entry 2/1: its log is %s", v.core.cfg.ID, v.core.term, showLog(v.core))
		}
		if v.core.err != nil {
			return v.core.err.Error()
		}
	}
	if a, b := e.voters[0].core, e.voters[1].core; a.role == Leader && b.role == Leader && a.term == b.term {
		return fmt.Sprintf("two leaders in term %d", a.term)
	}
	return ""
}

func (e *election) fork() *election {
	n := &election{wire: slices.Clone(e.wire), left: e.left, leaks: e.leaks}
	for i, v := range e.voters {
		c := *v.core
		c.log.entries = slices.Clone(c.log.entries)
		c.votes = slices.Clone(c.votes)
		c.followers = nil
		for _, p := range v.core.followers {
			c.followers = append(c.followers, p.Clone())
		}
		c.out.send, c.out.after, c.out.writing = slices.Clone(c.out.send), slices.Clone(c.out.after), slices.Clone(c.out.writing)
		n.voters[i] = &voter{core: &c, disk: v.disk, todo: slices.Clone(v.todo)}
	}
	return n
}

// print is equal for states with the same future.
func (e *election) print() string {
	var b strings.Builder
	for _, v := range e.voters {
		c := v.core
		fmt.Fprint(&b, c.role, c.term, c.vote, c.lead, c.commit, c.log.durable, showEntries(c.log.entries), c.votes, v.disk.hard.Term, v.disk.hard.Vote, showEntries(v.disk.entries), ";")
		for _, p := range v.todo {
			b.WriteString(showWrite(p)[2:])
			for _, m := range p.After {
				b.WriteString(show(m))
			}
		}
		for _, s := range c.out.writing {
			fmt.Fprint(&b, s.last, s.ownVote)
		}
	}
	var wire []string
	for _, m := range e.wire {
		wire = append(wire, show(m))
	}
	slices.Sort(wire)
	fmt.Fprint(&b, wire, e.left)
	return b.String()
}

func (e *election) way() string {
	if e.before == nil {
		return ""
	}
	return e.before.way() + e.did + "\n"
}
