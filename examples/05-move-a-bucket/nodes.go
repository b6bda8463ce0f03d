package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"time"

	"github.com/eraft-io/eraft/cluster"
)

// start brings up three nodes in this process: TCP on loopback, RocksDB in a directory each. It gives those that run also when it fails.
func start(ctx context.Context, dir string) (nodes []*cluster.Node, err error) {
	seeds, err := freeAddresses(3)
	if err != nil {
		return nil, err
	}
	for i, address := range seeds {
		name := fmt.Sprintf("n%d", i+1)
		n, err := cluster.Start(ctx, cluster.Config{
			Name: name, Dir: filepath.Join(dir, name), Listen: address, Seeds: seeds, Expect: 3, Groups: 2, Buckets: 16,
			Migration: cluster.MigrationLimits{BytesPerSecond: 1 << 20, ChunkBytes: 128 << 10}, // slow, so that there is something to see
		})
		if err != nil {
			return nodes, err
		}
		nodes = append(nodes, n)
	}
	return nodes, until(ctx, func() bool {
		return !slices.ContainsFunc(nodes, func(n *cluster.Node) bool { return !n.Ready() || !n.Placed() })
	})
}

// watch prints what the two groups say about a bucket that moves, until the config chain says that the move is over.
func watch(ctx context.Context, nodes []*cluster.Node, bucket uint32) error {
	told := map[string]bool{}
	var problem error
	err := until(ctx, func() bool {
		for _, n := range nodes {
			for _, m := range n.Migrations() {
				text := fmt.Sprintf("   group %d: %s", m.Group, m.State)
				if copied := m.Bytes >> 19; copied > 0 { // the destination knows
					text += fmt.Sprintf(", %.1f MiB are here", float64(copied)/2)
				}
				if m.Bucket == bucket && !told[text] {
					told[text] = true
					fmt.Println(text)
				}
			}
		}
		config, err := nodes[0].Client().Config(ctx, 0)
		problem = err
		return err != nil || !slices.Contains(config.MovesPending, bucket)
	})
	return errors.Join(err, problem)
}

func stop(nodes []*cluster.Node) (err error) {
	for _, n := range nodes {
		err = errors.Join(err, n.Close(context.Background()))
	}
	return err
}

// until asks every few milliseconds until something holds.
func until(ctx context.Context, holds func() bool) error {
	for !holds() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(2 * time.Millisecond):
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
