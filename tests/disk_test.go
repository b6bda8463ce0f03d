package tests

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/eraft-io/eraft/client"
)

// A node whose file system fails for good, or is full, stops with a sentence about the disk while the others go on; it does not
// start on it, and says why. With the disk back it has all it had.
func TestDiskFailsForGood(t *testing.T) {
	for _, c := range []struct{ fault, says string }{
		{"ws 28", "is full: make room and start the node again"},
		{"wsro 5", "fails, or its file system has shut down"},
	} {
		t.Run(c.fault, func(t *testing.T) {
			library := faultsLibrary(t)
			p := startProcesses(t, 3)
			cl, err := client.Connect(t.Context(), client.Config{Seeds: p.seeds, Timeout: 25 * time.Second})
			require.NoError(t, err)
			defer func() { require.NoError(t, cl.Close()) }()
			put := func(i int) {
				_, err := cl.Put(t.Context(), fmt.Appendf(nil, "k%d", i), []byte("v"))
				require.NoError(t, err)
			}
			p.stop(2)
			faults := filepath.Join(p.dir, "faults")
			p.env = []string{"LD_PRELOAD=" + library, "FAULTS_IN=" + p.data(2), "FAULTS=" + faults}
			p.start(2)
			p.ready()
			put(0)
			require.NoError(t, os.WriteFile(faults, []byte(c.fault), 0o600))
			for i := range 20 { // the last node is in every group
				put(i)
			}
			require.Error(t, p.wait(2))
			require.Contains(t, p.log(2), "eraft: the node stopped:")
			require.Contains(t, p.log(2), c.says)
			p.start(2)
			require.Error(t, p.wait(2))
			require.NotContains(t, p.log(2), "SIGABRT")
			require.Contains(t, p.log(2), "eraft: the disk of")
			require.NoError(t, os.Remove(faults))
			p.start(2)
			p.ready()
			put(20)
		})
	}
}

// faultsLibrary makes the calls on files of a process fail, or slow, that is started with it as LD_PRELOAD.
func faultsLibrary(t *testing.T) string {
	library := filepath.Join(t.TempDir(), "faults.so")
	out, err := exec.Command("cc", "-shared", "-fPIC", "-O1", "-o", library, "../persistence/rocksdb/testdata/faults.c", "-ldl").CombinedOutput()
	require.NoError(t, err, "%s", out)
	return library
}

// Where each sync takes a second, of logs and state, another leader is found when one dies, and writes succeed within the time that
// a session asks for them.
func TestSlowSyncsFindALeader(t *testing.T) {
	library, p := faultsLibrary(t), startProcesses(t, 3)
	faults := filepath.Join(p.dir, "faults")
	p.env = []string{"LD_PRELOAD=" + library, "FAULTS_IN=" + p.dir, "FAULTS=" + faults}
	for i := range 3 {
		p.stop(i)
		p.start(i)
		p.ready()
	}
	cl, err := client.Connect(t.Context(), client.Config{Seeds: p.seeds, Timeout: 25 * time.Second})
	require.NoError(t, err)
	defer func() { require.NoError(t, cl.Close()) }()
	put := func(round int) {
		var all sync.WaitGroup
		problems := make([]error, 12) // every group is asked
		for i := range problems {
			all.Go(func() { _, problems[i] = cl.Put(t.Context(), fmt.Appendf(nil, "k%d", i), fmt.Append(nil, round)) })
		}
		all.Wait()
		require.NoError(t, errors.Join(problems...), "round %d", round)
	}
	require.NoError(t, os.WriteFile(faults, []byte("s 0 1000"), 0o600))
	put(0)
	for round := range 2 {
		p.kill(round)
		put(1 + 2*round)
		p.start(round)
		require.NoError(t, os.Remove(faults)) // a start makes hundreds of syncs
		p.ready()
		require.NoError(t, os.WriteFile(faults, []byte("s 0 1000"), 0o600))
		put(2 + 2*round)
	}
}
