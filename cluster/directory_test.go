package cluster_test

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/eraft-io/eraft/cluster"
)

// alone is a node that is a cluster of its own, at an address that stays the same.
func alone(t *testing.T) cluster.Config {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	return cluster.Config{Name: "n1", Dir: filepath.Join(t.TempDir(), "new", "n1"), Listen: l.Addr().String(), Buckets: 4, Groups: 1}
}

// lives lets a node live until use is done, which gets it when it can serve.
func lives(t *testing.T, c cluster.Config, use func(*cluster.Node)) {
	n, err := cluster.Start(t.Context(), c)
	require.NoError(t, err)
	require.Eventually(t, n.Ready, 30*time.Second, 5*time.Millisecond)
	use(n)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	require.NoError(t, n.Close(ctx))
}

// A node that has lost half of its directory does not start, and leaves what is left as it was: it is no newcomer, and founds
// no cluster over its old data. With both halves back it is who it was.
func TestHalfADirectory(t *testing.T) {
	c := alone(t)
	dir := c.Dir
	lives(t, c, func(n *cluster.Node) {
		_, err := n.Client().Put(t.Context(), []byte("k"), []byte("v"))
		require.NoError(t, err)
	})
	for _, half := range []string{"log", "state"} {
		lost, kept := filepath.Join(dir, half), filepath.Join(t.TempDir(), half)
		require.NoError(t, os.Rename(lost, kept))
		for range 2 {
			_, err := cluster.Start(t.Context(), c)
			require.ErrorContains(t, err, "is the volume of "+half+"/ mounted?")
			require.ErrorContains(t, cluster.ForceNewQuorum(dir, 1, nil), "is the volume of "+half+"/ mounted?")
		}
		require.NoError(t, os.RemoveAll(lost))
		require.NoError(t, os.Rename(kept, lost))
	}
	lives(t, c, func(n *cluster.Node) {
		v, _, err := n.Client().Get(t.Context(), []byte("k"))
		require.NoError(t, err)
		require.Equal(t, "v", string(v.Data))
	})
}

// A node does not start where that would fill the disk, says how much it needs, and starts when there is room.
func TestStartOnAFullDisk(t *testing.T) {
	c := alone(t)
	lives(t, c, func(n *cluster.Node) {
		_, err := n.Client().Put(t.Context(), []byte("k"), []byte("v"))
		require.NoError(t, err)
	})
	full := c
	full.Overrides.Free = func(dir string) (free, total uint64, err error) {
		require.Equal(t, c.Dir, dir)
		return 5 << 20, 1 << 30, nil
	}
	_, err := cluster.Start(t.Context(), full)
	require.ErrorContains(t, err, "has 5 MiB left, but a start may need")
	require.ErrorContains(t, err, "make room, and start the node again")
	lives(t, c, func(n *cluster.Node) {
		v, _, err := n.Client().Get(t.Context(), []byte("k"))
		require.NoError(t, err)
		require.Equal(t, "v", string(v.Data))
	})
}
