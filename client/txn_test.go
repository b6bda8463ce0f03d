package client_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/eraft-io/eraft/client"
	"github.com/eraft-io/eraft/cluster"
)

// A transaction writes all or nothing, and gives its results, or the value that violated a condition.
func TestTransaction(t *testing.T) {
	c, ctx := connected(t, client.Config{}), t.Context()
	a, b, n := []byte("{t}a"), []byte("{t}b"), []byte("{t}n")
	done, err := c.Txn().If(client.Absent(a), client.Absent(b)).Put(a, []byte("1")).Append(b, []byte("two")).Incr(n, -5).Commit(ctx)
	require.NoError(t, err)
	require.Len(t, done.Writes, 3)
	require.False(t, done.Writes[0].Found)
	require.Equal(t, int64(3), done.Writes[1].Number)
	require.Equal(t, int64(-5), done.Writes[2].Number)

	version := done.Writes[0].Version
	_, err = c.Txn().If(client.Present(a), client.ValueIs(b, []byte("two")), client.VersionIs(a, version)).Delete(a).Commit(ctx)
	require.NoError(t, err)
	for name, condition := range map[string]*client.Transaction{
		"version": c.Txn().If(client.VersionIs(b, 1<<40)), "value": c.Txn().If(client.ValueIs(b, []byte("x"))), "absent": c.Txn().If(client.Absent(b)),
	} {
		done, err = condition.Put(a, []byte("not written")).Commit(ctx)
		require.ErrorIs(t, err, client.ErrConflict, name)
		require.Equal(t, "two", string(done.Current.Data), name)
		require.NotZero(t, done.Current.Version, name)
		require.Empty(t, done.Writes)
	}
	done, err = c.Txn().If(client.Present(a)).Put(b, []byte("not written")).Commit(ctx)
	require.ErrorIs(t, err, client.ErrConflict)
	require.Zero(t, done.Current.Version)
	_, found, err := c.Get(ctx, a)
	require.NoError(t, err)
	require.False(t, found, "it was deleted, and nothing was written since")

	_, err = c.Txn().Put([]byte("a"), nil).Put([]byte("b"), nil).Commit(ctx)
	require.ErrorIs(t, err, client.ErrInvalid)
	require.ErrorContains(t, err, "give them the same {tag}")
	_, err = c.Txn().Commit(ctx)
	require.ErrorIs(t, err, client.ErrInvalid)
	_, err = client.Txn().Put(a, nil).Commit(ctx)
	require.ErrorContains(t, err, "begin it with Client.Txn")
	r, err := c.Batch(ctx, client.Txn().Put(a, []byte("sent")).Message())
	require.NoError(t, err)
	require.Len(t, r.Parts, 1)
}

// Two accounts share a {tag}, so one transaction can change both.
func ExampleClient_Txn() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c, stop := exampleCluster(ctx)
	defer stop()
	from, to := []byte("{bank}alice"), []byte("{bank}bob")
	if _, err := c.Put(ctx, from, []byte("30")); err != nil {
		panic(err)
	}
	for range 2 {
		done, err := c.Txn().
			If(client.ValueIs(from, []byte("30"))).
			Incr(from, -10).
			Incr(to, +10).
			Commit(ctx)
		switch {
		case errors.Is(err, client.ErrConflict):
			fmt.Printf("nothing was changed: alice has %s\n", done.Current.Data)
		case err != nil:
			panic(err)
		default:
			fmt.Printf("alice has %d, bob has %d\n", done.Writes[0].Number, done.Writes[1].Number)
		}
	}
	// Output:
	// alice has 20, bob has 10
	// nothing was changed: alice has 20
}

// exampleCluster is a cluster of one node in this process, and a client of it.
func exampleCluster(ctx context.Context) (c *client.Client, stop func()) {
	must := func(err error) {
		if err != nil {
			panic(err)
		}
	}
	dir, err := os.MkdirTemp("", "eraft-example-")
	must(err)
	node, err := cluster.Start(ctx, cluster.Config{Name: "n1", Dir: dir, Listen: "127.0.0.1:0", Groups: 1})
	must(err)
	c, err = client.Connect(ctx, client.Config{Seeds: []string{node.Address()}})
	must(err)
	return c, func() {
		must(c.Close())
		must(node.Close(ctx))
		must(os.RemoveAll(dir))
	}
}
