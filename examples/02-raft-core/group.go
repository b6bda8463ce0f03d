package main

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/raftactor/raft"
)

// group is the driver of five cores. It plays their disks, which are durable at once, and their network, which may be cut. A driver
// for production, raftactor's Peer, does the same with a disk and a network, and waits for neither.
type group struct {
	cores   map[uint64]*raft.Core
	network []*messages.RaftMessage
	cut     map[uint64]bool // replicas on the other side of a partition: they reach one another only
	data    map[uint64][]string
}

func newGroup(replicas uint64) (*group, error) {
	g := &group{cores: map[uint64]*raft.Core{}, cut: map[uint64]bool{}, data: map[uint64][]string{}}
	start := &messages.SnapshotMeta{Index: 1, Term: 1, Conf: &messages.ConfState{}}
	for id := uint64(1); id <= replicas; id++ {
		start.Conf.Voters = append(start.Conf.Voters, id)
	}
	for id := uint64(1); id <= replicas; id++ {
		core, err := raft.New(raft.Config{
			ID: id, Group: 1, ElectionTicks: 10, HeartbeatTicks: 2,
			MaxAppendBytes: 1 << 20, MaxInflightMessages: 16, MaxInflightBytes: 4 << 20,
			MaxUncommittedBytes: 16 << 20, MaxApplyBytes: 16 << 20, MaxLogBytes: 64 << 20,
			Rand: rand.New(rand.NewPCG(1, id)), // election timeouts are drawn from it
		}, raft.Boot{Snapshot: start, Applied: 1})
		if err != nil {
			return nil, err
		}
		g.cores[id] = core
	}
	return g, nil
}

// ids are the replicas in order: a map's order would make each run another one.
func (g *group) ids() []uint64 {
	ids := make([]uint64, 0, len(g.cores))
	for id := range g.cores {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// tick lets time pass for all replicas, and settles after each tick.
func (g *group) tick(times int) {
	for range times {
		for _, id := range g.ids() {
			g.cores[id].Tick()
		}
		g.settle()
	}
}

// settle repeats the loop of each driver until no core has anything to do and no message is on its way.
func (g *group) settle() {
	for busy := true; busy; {
		busy = len(g.network) > 0
		sent := g.network
		g.network = nil
		for _, m := range sent {
			if g.cut[m.From] == g.cut[m.To] {
				_ = g.cores[m.To].Step(m) // the error only says why a message was dropped
			}
		}
		for _, id := range g.ids() {
			if ready, some := g.cores[id].Ready(); some {
				busy = true
				g.carryOut(id, ready)
			}
		}
	}
}

// carryOut does what a core asks for.
func (g *group) carryOut(id uint64, ready raft.Ready) {
	if l := ready.Leader; l != nil && l.Role == raft.Leader {
		fmt.Printf("   replica %d leads term %d\n", id, l.Term)
	}
	g.network = append(g.network, ready.Send...)
	if p := ready.Persist; p != nil { // written, and durable
		if p.Truncate > 0 {
			fmt.Printf("   replica %d deletes its entries from %d on: a newer leader has others there\n", id, p.Truncate)
		}
		g.cores[id].Persisted(p.Seq)
		g.network = append(g.network, p.After...) // votes and acknowledgements: not before
	}
	for _, entry := range ready.Apply {
		for _, command := range messages.Block(entry.Data).Commands() {
			g.data[id] = append(g.data[id], string(command))
		}
		g.cores[id].Applied(entry.Index)
	}
}

// leader is the replica of one side of the network that leads; 0: none.
func (g *group) leader(cut bool) uint64 {
	for _, id := range g.ids() {
		if g.cut[id] == cut && g.cores[id].Status().Role == raft.Leader {
			return id
		}
	}
	return 0
}

// propose gives a command to a replica. Whether it is ever committed is seen later.
func (g *group) propose(id uint64, command string) {
	index, term, err := g.cores[id].Propose(messages.BlockOf([]byte(command)), 0)
	if err != nil {
		fmt.Printf("   replica %d refuses %q: %v\n", id, command, err)
		return
	}
	fmt.Printf("   replica %d appends %q at index %d, term %d\n", id, command, index, term)
	g.settle()
}

// show prints the state of each replica.
func (g *group) show() {
	for _, id := range g.ids() {
		s := g.cores[id].Status()
		side := ""
		if g.cut[id] {
			side = "   (cut off)"
		}
		fmt.Printf("   replica %d: %-13v term %d, log to %d, committed to %d, data %q%s\n", id, s.Role, s.Term, s.Last, s.Commit, g.data[id], side)
	}
}
