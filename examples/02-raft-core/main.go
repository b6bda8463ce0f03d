// Command 02-raft-core drives five replicas of the pure Raft core in one goroutine: an election, a write, a partition with a
// leader on its smaller side, and what becomes of that leader's entry when the partition ends.
package main

import (
	"fmt"
	"os"
	"slices"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "02-raft-core:", err)
		os.Exit(1)
	}
}

func run() error {
	g, err := newGroup(5)
	if err != nil {
		return err
	}
	fmt.Println("1. Time passes. The replica whose random election timeout is the shortest asks for votes and gets a majority:")
	g.tick(20)
	first := g.leader(false)
	if first == 0 {
		return fmt.Errorf("nobody was elected")
	}

	fmt.Println("2. A command is committed when a majority has it on disk. A heartbeat tells the followers:")
	g.propose(first, "x=1")
	g.tick(2)
	g.show()

	neighbour := first%5 + 1
	fmt.Printf("3. The network breaks: %d and %d on one side, three replicas on the other. The old leader takes a command, and cannot commit it:\n", first, neighbour)
	g.cut[first], g.cut[neighbour] = true, true
	g.propose(first, "x=2, in the minority")
	g.tick(1)
	g.show()

	fmt.Println("4. The majority hears no leader and elects one. The old leader hears no majority and steps down:")
	g.tick(30)
	second := g.leader(false)
	if second == 0 || g.leader(true) != 0 {
		return fmt.Errorf("the majority has leader %d, the minority %d", second, g.leader(true))
	}
	g.propose(second, "x=3")
	g.tick(2)
	g.show()
	g.propose(first, "x=4")

	fmt.Println("5. The network heals. The entry that no majority had is replaced; what was committed is everywhere:")
	clear(g.cut)
	g.tick(20)
	g.show()
	for _, id := range g.ids() {
		if !slices.Equal(g.data[id], []string{"x=1", "x=3"}) {
			return fmt.Errorf("replica %d has applied %q", id, g.data[id])
		}
	}
	fmt.Println("All five replicas applied the same commands in the same order.")
	return nil
}
