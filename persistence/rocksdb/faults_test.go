package rocksdb_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/eraft-io/eraft/persistence"
	"github.com/eraft-io/eraft/persistence/rocksdb"
)

// library is testdata/faults.c, compiled once.
var library = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "eraft-faults-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "faults.so")
	if out, err := exec.Command("cc", "-shared", "-fPIC", "-O1", "-o", path, "testdata/faults.c", "-ldl").CombinedOutput(); err != nil {
		return "", fmt.Errorf("cc: %w: %s", err, out)
	}
	return path, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if path, err := library(); err == nil {
		_ = os.RemoveAll(filepath.Dir(path))
	}
	os.Exit(code)
}

// faulty runs body in a process of its own, in which RocksDB's calls on files below dir can be made to fail. What it prints is
// given back; it must neither fail nor be aborted.
func faulty(t *testing.T, body func(dir string, faults func(kinds string, number syscall.Errno))) {
	if dir := os.Getenv("FAULTS_IN"); dir != "" {
		body(dir, func(kinds string, number syscall.Errno) {
			require.NoError(t, os.WriteFile(os.Getenv("FAULTS"), fmt.Appendf(nil, "%s %d", kinds, int(number)), 0o600))
		})
		return
	}
	preload, err := library()
	require.NoError(t, err)
	dir := t.TempDir()
	c := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v", "-test.count=1")
	c.Env = append(os.Environ(), "LD_PRELOAD="+preload, "FAULTS_IN="+filepath.Join(dir, "db"), "FAULTS="+filepath.Join(dir, "faults"))
	out, err := c.CombinedOutput()
	require.NoError(t, err, "%s", out[:min(len(out), 4000)])
}

// After the first error of a disk RocksDB is not called again, which may abort the process: everything says what is wrong, and
// with a disk that works again, what was acknowledged is there.
func TestPersistentDiskErrors(t *testing.T) {
	faulty(t, func(dir string, faults func(string, syscall.Errno)) {
		for name, kind := range map[string]rocksdb.Kind{"log": rocksdb.Log, "state": rocksdb.State} {
			for i, c := range []struct {
				kinds  string
				number syscall.Errno
				says   string
			}{
				{"w", syscall.EIO, "repair it and start the node again"},
				{"w", syscall.ENOSPC, "make room and start the node again"},
				{"s", syscall.EIO, "repair it and start the node again"},
				{"wsro", syscall.EIO, "repair it and start the node again"},
			} {
				dir := filepath.Join(dir, fmt.Sprint(name, i))
				require.NoError(t, os.MkdirAll(dir, 0o700))
				failing(t, dir, kind, func() { faults(c.kinds, c.number) }, func() { faults("-", 0) }, c.says)
			}
		}
	})
}

func failing(t *testing.T, dir string, kind rocksdb.Kind, begin, end func(), says string) {
	e, err := rocksdb.Open(dir, kind)
	require.NoError(t, err)
	write := func(key string, sync bool) error {
		batch := new(persistence.Batch)
		batch.Put([]byte(key), make([]byte, 1<<20))
		return e.Write(batch, sync)
	}
	const synced = 20
	for i := range synced {
		require.NoError(t, write(fmt.Sprint("synced", i), true))
	}
	view, err := e.Snapshot()
	require.NoError(t, err)
	begin()
	for i := 0; err == nil && i < 500; i++ { // the state notices with its first table
		err = write(fmt.Sprint("lost", i), kind == rocksdb.Log || i%50 == 49)
	}
	require.ErrorContains(t, err, says)
	require.ErrorContains(t, err, dir)
	for range 2 {
		for _, sync := range []bool{false, true} {
			require.ErrorContains(t, write("more", sync), says)
		}
		_, _, err = e.Get([]byte("synced1"))
		require.ErrorContains(t, err, says)
		require.ErrorContains(t, e.Scan(nil, nil, func(_, _ []byte) bool { return true }), says)
		_, err = e.Size([]byte("a"), []byte("b"))
		require.ErrorContains(t, err, says)
		_, _, err = view.Get([]byte("synced1"))
		require.ErrorContains(t, err, says)
		_, err = e.Snapshot()
		require.ErrorContains(t, err, says)
	}
	view.Close()
	require.NoError(t, e.Close())
	require.NoError(t, e.Close())
	end()

	copied := dir + "-copied" // the files of a process that has ended
	require.NoError(t, os.CopyFS(copied, os.DirFS(dir)))
	again, err := rocksdb.Open(copied, kind)
	require.NoError(t, err)
	for i := range synced {
		_, found, err := again.Get(fmt.Append(nil, "synced", i))
		require.NoError(t, err)
		require.True(t, found, "synced%d", i)
	}
	require.NoError(t, again.Close())
}

// A database that cannot be opened or written when it starts says so.
func TestFailingStart(t *testing.T) {
	faulty(t, func(dir string, faults func(string, syscall.Errno)) {
		for name, kind := range map[string]rocksdb.Kind{"log": rocksdb.Log, "state": rocksdb.State} {
			for i, c := range []struct {
				kinds  string
				number syscall.Errno
				says   string
			}{
				{"w", syscall.ENOSPC, "make room and start the node again"},
				{"ow", syscall.ENOSPC, "make room and start the node again"},
				{"r", syscall.EIO, "fails"},
				{"s", syscall.EIO, "fails"},
				{"wsro", syscall.EIO, "fails"},
			} {
				dir := filepath.Join(dir, fmt.Sprint(name, i))
				require.NoError(t, os.MkdirAll(dir, 0o700))
				e, err := rocksdb.Open(dir, kind)
				require.NoError(t, err)
				batch := new(persistence.Batch)
				batch.Put([]byte("k"), make([]byte, 1<<20))
				require.NoError(t, e.Write(batch, true))
				copied := dir + "-killed"
				require.NoError(t, os.CopyFS(copied, os.DirFS(dir)))
				faults(c.kinds, c.number)
				for range 2 {
					_, err = rocksdb.Open(copied, kind)
					require.ErrorContains(t, err, c.says, "%s %s %v", name, c.kinds, c.number)
				}
				faults("-", 0)
				again, err := rocksdb.Open(copied, kind)
				require.NoError(t, err)
				_, found, err := again.Get([]byte("k"))
				require.NoError(t, err)
				require.True(t, found)
				require.NoError(t, again.Close())
				require.NoError(t, e.Close())
			}
		}
	})
}
