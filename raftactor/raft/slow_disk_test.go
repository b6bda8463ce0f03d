package raft

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/eraft-io/eraft/messages"
)

// slowGroup is a group on disks that take ticks for a write. What comes meanwhile is one more write, as with the Writer.
// Messages arrive at the end of the tick in which they leave, in any order.
type slowGroup struct {
	t     *testing.T
	rng   *rand.Rand
	disks []*slowDisk
	wire  []*messages.RaftMessage
	takes func() int // ticks for a write
}

type slowDisk struct {
	core    *Core // nil: the replica is gone
	queue   []*Persist
	writing []*Persist
	left    int
	idle    int // ticks without an answer
	longest int
}

func newSlowGroup(t *testing.T, n int, seed uint64, takes func(*rand.Rand) int) *slowGroup {
	g := &slowGroup{t: t, rng: rand.New(rand.NewPCG(seed, 99))}
	g.takes = func() int { return takes(g.rng) }
	var voters []uint64
	for id := 1; id <= n; id++ {
		voters = append(voters, uint64(id))
	}
	for _, id := range voters {
		cfg := testConfig(id)
		cfg.ElectionTicks, cfg.HeartbeatTicks, cfg.MaxUncommittedBytes, cfg.MaxApplyBytes = 8, 2, 1<<20, 1<<20
		cfg.MaxInflightMessages, cfg.MaxInflightBytes, cfg.MaxAppendBytes = 64, 1<<20, 1<<18
		cfg.Rand = rand.New(rand.NewPCG(seed, id))
		c, err := New(cfg, Boot{HardState: &messages.HardState{Term: 1, Commit: 1}, Snapshot: birth(1, 1, voters...), Applied: 1})
		require.NoError(t, err)
		g.disks = append(g.disks, &slowDisk{core: c})
	}
	return g
}

func (g *slowGroup) carry(d *slowDisk) {
	for {
		r, ok := d.core.Ready()
		require.NoError(g.t, d.core.Err())
		if !ok {
			return
		}
		g.wire = append(g.wire, r.Send...)
		if r.Persist != nil {
			d.queue = append(d.queue, r.Persist)
		}
		if k := len(r.Apply); k > 0 {
			d.core.Applied(r.Apply[k-1].Index)
		}
	}
}

func (g *slowGroup) finish(d *slowDisk) {
	done := d.writing
	d.writing, d.longest, d.idle = nil, max(d.longest-d.longest/8, d.idle), 0
	for _, p := range done {
		g.wire = append(g.wire, p.After...)
	}
	d.core.Persisted(done[len(done)-1].Seq)
	g.carry(d)
}

// tick lets a tick pass on every disk and every core, and all that is said meanwhile arrive.
func (g *slowGroup) tick() {
	for _, d := range g.disks {
		if d.core == nil {
			continue
		}
		if len(d.writing) > 0 {
			if d.left--; d.left <= 0 {
				g.finish(d)
			}
		}
		for len(d.writing) == 0 && len(d.queue) > 0 {
			d.writing, d.queue, d.left = d.queue, nil, g.takes()
			if d.left == 0 {
				g.finish(d)
			}
		}
		if d.idle++; len(d.writing) == 0 {
			d.idle = 0
		}
		d.core.Stalled(d.idle >= max(20, min(2*d.longest, 80))) // as the Peer finds it, see raftactor/stall.go
		d.core.Tick()
		g.carry(d)
	}
	for rounds := 0; len(g.wire) > 0 && rounds < 20; rounds++ {
		now := g.wire
		g.wire = nil
		g.rng.Shuffle(len(now), func(i, j int) {
			if now[i].From != now[j].From || now[i].To != now[j].To { // connections keep the order, all else is chance
				now[i], now[j] = now[j], now[i]
			}
		})
		for _, m := range now {
			if d := g.disks[m.To-1]; d.core != nil {
				_ = d.core.Step(m)
				g.carry(d)
			}
		}
	}
}

func (g *slowGroup) leader() *slowDisk {
	var newest *slowDisk
	for _, d := range g.disks {
		if d.core != nil && d.core.role == Leader && (newest == nil || d.core.term > newest.core.term) {
			newest = d
		}
	}
	return newest
}

// serves ticks until a leader has committed something that was proposed now, and tells after how many ticks; -1: none did.
func (g *slowGroup) serves(limit int) int {
	type at struct {
		d           *slowDisk
		index, term uint64
	}
	var asked []at
	for tick := range limit {
		if l := g.leader(); l != nil && !slices.ContainsFunc(asked, func(a at) bool { return a.d == l && a.term == l.core.term }) {
			if index, term, err := l.core.Propose(messages.Block("x"), 0); err == nil {
				asked = append(asked, at{l, index, term})
				g.carry(l)
			}
		}
		g.tick()
		for _, a := range asked {
			if a.d.core != nil && a.d.core.term == a.term && a.d.core.role == Leader && a.d.core.applied >= a.index {
				return tick
			}
		}
	}
	return -1
}

// busy lets clients put all the time.
func (g *slowGroup) busy(ticks int) (offices int) {
	var was *slowDisk
	for range ticks {
		if l := g.leader(); l != nil {
			if l != was {
				was, offices = l, offices+1
			}
			for range 3 {
				_, _, _ = l.core.Propose(messages.Block("y"), 0)
			}
			g.carry(l)
		}
		g.tick()
	}
	return offices
}

// TestElectionsOnSlowDisks: a group of any size gets a leader that commits, and keeps it while clients write, however long
// a write takes: on disks that all take as long, and on such that take now more and now less. When the leader is lost the others
// get another one. It takes a few writes: those under way, a candidate's vote, those of others, an entry here and there.
func TestElectionsOnSlowDisks(t *testing.T) {
	steadily := func(d int) func(*rand.Rand) int { return func(*rand.Rand) int { return d } }
	unevenly := func(d int) func(*rand.Rand) int { return func(rng *rand.Rand) int { return d/2 + rng.IntN(d+1) } }
	for _, n := range []int{1, 3, 5} {
		for _, d := range []int{0, 1, 4, 8, 11, 14, 20, 30, 40} {
			for kind, takes := range []func(*rand.Rand) int{steadily(d), unevenly(d)} {
				var born, bereft []int
				offices, writes := 0, func(k int) int { return 2*10*2 + k*d } // two seconds and so many writes
				const seeds = 10
				for seed := range uint64(seeds) {
					g := newSlowGroup(t, n, seed, takes)
					born = append(born, g.serves(writes(25)))
					offices += g.busy(200)
					if l := g.leader(); l != nil && n > 1 {
						l.core = nil
						bereft = append(bereft, g.serves(writes(25)))
					}
				}
				slices.Sort(born)
				slices.Sort(bereft)
				what := fmt.Sprintf("%d replicas, %d ms a write (%d): at birth %v, after a loss %v, %d offices", n, 50*d, kind, born, bereft, offices)
				t.Log(what)
				require.GreaterOrEqual(t, born[0], 0, what)
				require.LessOrEqual(t, born[seeds/2], writes(5), what)
				require.LessOrEqual(t, offices, seeds+seeds/5, what)
				if n > 1 {
					require.GreaterOrEqual(t, len(bereft), seeds*4/5, what)
					require.GreaterOrEqual(t, bereft[0], 0, what)
					require.LessOrEqual(t, bereft[len(bereft)/2], writes(9), what)
				}
			}
		}
	}
}
