package raft_test

import (
	"fmt"
	"math/rand/v2"

	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/raftactor/raft"
)

// Three replicas of a group in one function: replica 1 is elected, an entry is proposed to it, and all of them apply it. The disks of
// this example are durable at once, and its network loses nothing. A driver for production does the same with a disk and a network.
func Example() {
	voters := &messages.ConfState{Voters: []uint64{1, 2, 3}}
	cores := map[uint64]*raft.Core{}
	for id := uint64(1); id <= 3; id++ {
		core, err := raft.New(raft.Config{
			ID: id, Group: 1, ElectionTicks: 10, HeartbeatTicks: 2,
			MaxAppendBytes: 1 << 20, MaxInflightMessages: 16, MaxInflightBytes: 4 << 20,
			MaxUncommittedBytes: 16 << 20, MaxApplyBytes: 16 << 20, MaxLogBytes: 64 << 20,
			Rand: rand.New(rand.NewPCG(1, id)),
		}, raft.Boot{Snapshot: &messages.SnapshotMeta{Index: 1, Term: 1, Conf: voters}, Applied: 1})
		if err != nil {
			fmt.Println(err)
			return
		}
		cores[id] = core
	}

	// run repeats the loop of each driver until nobody has anything left to do.
	var network []*messages.RaftMessage
	run := func() {
		for busy := true; busy; {
			busy = len(network) > 0
			sent := network
			network = nil
			for _, m := range sent {
				_ = cores[m.To].Step(m) // the error only says why a message was dropped
			}
			for id := uint64(1); id <= 3; id++ {
				ready, some := cores[id].Ready()
				if !some {
					continue
				}
				busy = true
				if ready.Leader != nil && ready.Leader.Role == raft.Leader {
					fmt.Printf("replica %d leads term %d\n", id, ready.Leader.Term)
				}
				network = append(network, ready.Send...)
				if p := ready.Persist; p != nil { // written, and durable
					cores[id].Persisted(p.Seq)
					network = append(network, p.After...)
				}
				for _, entry := range ready.Apply {
					for _, command := range messages.Block(entry.Data).Commands() {
						fmt.Printf("replica %d applies %q\n", id, command)
					}
					cores[id].Applied(entry.Index)
				}
			}
		}
	}

	cores[1].Campaign()
	run()
	if _, _, err := cores[1].Propose(messages.BlockOf([]byte("x = 1")), 0); err != nil {
		fmt.Println(err)
	}
	run()
	for range 2 {
		cores[1].Tick() // the next heartbeat tells the followers what is committed
	}
	run()

	// Output:
	// replica 1 leads term 2
	// replica 1 applies "x = 1"
	// replica 2 applies "x = 1"
	// replica 3 applies "x = 1"
}
