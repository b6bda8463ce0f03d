// Package loopback runs real clusters in a test's process: TCP on loopback, RocksDB in temporary directories. Package clustertest
// simulates them, and needs neither cgo nor time.
package loopback

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"testing"
	"time"

	"github.com/eraft-io/eraft/client"
	"github.com/eraft-io/eraft/cluster"
)

// Cluster is a cluster of real nodes in the test's process: TCP on loopback, RocksDB in temporary directories.
type Cluster struct {
	Nodes []*cluster.Node
	Seeds []string
}

// startTime is how long a cluster may take to be ready on a machine that is busy.
const startTime = 30 * time.Second

// Start brings n nodes up and waits until each can serve. They stop with the test, which must not leave anything of
// them behind. configure, if given, changes a node's Config before it starts. Tests that do this may run in parallel.
func Start(t testing.TB, n int, configure ...func(node int, c *cluster.Config)) *Cluster {
	t.Helper()
	c := &Cluster{}
	held := make([]net.Listener, n)
	for i := range held {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatalf("find a free port: %v", err)
		}
		held[i] = l
		c.Seeds = append(c.Seeds, l.Addr().String())
	}
	dir := t.TempDir()
	t.Cleanup(func() { c.stop(t) })
	for i, l := range held {
		if err := l.Close(); err != nil {
			t.Fatalf("free a port: %v", err)
		}
		config := cluster.Config{
			Name: fmt.Sprintf("n%d", i+1), Dir: filepath.Join(dir, fmt.Sprintf("n%d", i+1)), Listen: c.Seeds[i],
			Seeds: c.Seeds, Expect: n, RESP: "127.0.0.1:0", HTTP: "127.0.0.1:0",
		}
		for _, change := range configure {
			change(i, &config)
		}
		node, err := cluster.Start(t.Context(), config)
		if err != nil {
			t.Fatalf("start n%d: %v", i+1, err)
		}
		c.Nodes = append(c.Nodes, node)
	}
	for i, node := range c.Nodes {
		for began := time.Now(); !node.Ready(); {
			if time.Since(began) > startTime {
				t.Fatalf("n%d is not ready: %v", i+1, node.Failing())
			}
			<-time.After(5 * time.Millisecond)
		}
	}
	return c
}

// Client is a Go client over the network; it ends with the test.
func (c *Cluster) Client(t testing.TB) *client.Client {
	t.Helper()
	cl, err := client.Connect(t.Context(), client.Config{Seeds: c.Seeds})
	if err != nil {
		t.Fatalf("connect: %v", err)
	}
	t.Cleanup(func() {
		if err := cl.Close(); err != nil {
			t.Errorf("close client: %v", err)
		}
	})
	return cl
}

func (c *Cluster) stop(t testing.TB) {
	ctx, cancel := context.WithTimeout(context.Background(), startTime)
	defer cancel()
	for i, node := range c.Nodes {
		if err := node.Close(ctx); err != nil {
			t.Errorf("close n%d: %v", i+1, err)
		}
	}
}
