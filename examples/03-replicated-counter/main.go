// Command 03-replicated-counter replicates a state machine of its own, a counter, over three nodes in one process: TCP on loopback,
// RocksDB in a temporary directory. A leader stops in the middle of the work, and nothing is lost and nothing counted twice.
package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/eraft-io/eraft/messages"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "03-replicated-counter:", err)
		os.Exit(1)
	}
}

func run() (err error) {
	dir, err := os.MkdirTemp("", "eraft-counter")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	addresses, err := freeAddresses(3)
	if err != nil {
		return err
	}
	c := &cluster{dir: dir, addresses: addresses, nodes: map[messages.NodeID]*node{}}
	defer func() { err = errors.Join(err, c.stop()) }()
	for id := messages.NodeID(1); id <= 3; id++ {
		if err := c.start(id); err != nil {
			return err
		}
	}
	return c.story()
}

// cluster is the nodes that run.
type cluster struct {
	dir       string
	addresses []string
	nodes     map[messages.NodeID]*node
}

func (c *cluster) story() error {
	leader, err := c.leader()
	if err != nil {
		return err
	}
	fmt.Printf("node %d leads\n", leader)
	survivor := c.nodes[leader%3+1]
	client, err := survivor.system.Spawn("session/7", func() actor.Actor {
		return &session{system: survivor.system, addresses: c.addresses, id: 7}
	})
	if err != nil {
		return err
	}
	for i := int64(1); i <= 300; i++ {
		if i == 150 {
			if err := c.nodes[leader].stop(); err != nil {
				return err
			}
			delete(c.nodes, leader)
			fmt.Printf("node %d is gone\n", leader)
		}
		total, err := add(survivor.system, client, 1)
		if err != nil {
			return err
		}
		if total != i {
			return fmt.Errorf("the counter is at %d after %d additions", total, i)
		}
		if i%100 == 0 {
			fmt.Printf("after %d additions the counter is at %d\n", i, total)
		}
	}
	next, err := c.leader()
	if err != nil {
		return err
	}
	fmt.Printf("node %d leads; node %d starts again from its disk\n", next, leader)
	if err := c.start(leader); err != nil {
		return err
	}
	return c.compare()
}

// compare waits until all replicas have the same data.
func (c *cluster) compare() error {
	return within(30*time.Second, "the replicas are not equal", func() bool {
		index, sum := c.nodes[1].digest()
		for id := messages.NodeID(2); id <= 3; id++ {
			if i, s := c.nodes[id].digest(); i != index || s != sum {
				return false
			}
		}
		fmt.Printf("all three replicas have the same data at index %d of the log\n", index)
		return true
	})
}

// leader waits until the nodes that run agree on who leads.
func (c *cluster) leader() (leader messages.NodeID, err error) {
	err = within(30*time.Second, "nobody leads", func() bool {
		leaders := map[messages.NodeID]bool{}
		for _, n := range c.nodes {
			leader = messages.NodeID(n.status.Load().GetLeader())
			leaders[leader] = true
		}
		return len(leaders) == 1 && c.nodes[leader] != nil
	})
	return leader, err
}

func (c *cluster) start(id messages.NodeID) error {
	n, err := start(filepath.Join(c.dir, fmt.Sprintf("n%d", id)), id, c.addresses)
	if err == nil {
		c.nodes[id] = n
	}
	return err
}

func (c *cluster) stop() (err error) {
	for _, n := range c.nodes {
		err = errors.Join(err, n.stop())
		select {
		case failure := <-n.failed:
			err = errors.Join(err, failure)
		default:
		}
	}
	return err
}

// within asks until something holds.
func within(limit time.Duration, what string, holds func() bool) error {
	for deadline := time.After(limit); !holds(); {
		select {
		case <-deadline:
			return errors.New(what)
		case <-time.After(20 * time.Millisecond):
		}
	}
	return nil
}

// freeAddresses finds ports of loopback that nobody uses.
func freeAddresses(n int) (addresses []string, err error) {
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer func() { _ = l.Close() }() // it was only held so that the next one differs
		addresses = append(addresses, l.Addr().String())
	}
	return addresses, nil
}
