package tests

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/eraft-io/eraft/client"
)

// unread is a pipe that is full, or whose reader is gone.
func unread(t *testing.T, gone bool) *os.File {
	var ends [2]int
	require.NoError(t, syscall.Pipe2(ends[:], syscall.O_CLOEXEC))
	if gone {
		require.NoError(t, syscall.Close(ends[0]))
	} else {
		t.Cleanup(func() { require.NoError(t, syscall.Close(ends[0])) })
		require.NoError(t, syscall.SetNonblock(ends[1], true))
		for err := error(nil); !errors.Is(err, syscall.EAGAIN); {
			_, err = syscall.Write(ends[1], make([]byte, 4096))
		}
		require.NoError(t, syscall.SetNonblock(ends[1], false))
	}
	w := os.NewFile(uintptr(ends[1]), "stderr")
	t.Cleanup(func() { require.NoError(t, w.Close()) })
	return w
}

// A node lives on, and serves and ends well, when nobody reads its log: the reader is gone, or does not read.
func TestNobodyReadsTheLog(t *testing.T) {
	p := startProcesses(t, 1)
	for _, gone := range []bool{true, false} {
		p.stop(0)
		p.err = unread(t, gone)
		p.start(0)
		p.ready()
		c, err := client.Connect(t.Context(), client.Config{Seeds: p.seeds})
		require.NoError(t, err)
		_, err = c.Put(t.Context(), []byte("k"), []byte("v"))
		require.NoError(t, err)
		require.NoError(t, c.Close())
	}
	p.stop(0)
}

// Nobody else may read what a node has made; a directory that was open before is told of, and stays as it is.
func TestDataIsPrivate(t *testing.T) {
	p := startProcesses(t, 1)
	files := 0
	require.NoError(t, filepath.WalkDir(p.data(0), func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		files++
		info, err := d.Info()
		require.NoError(t, err)
		require.Zero(t, info.Mode().Perm()&0o077, "%s is %v", path, info.Mode())
		return nil
	}))
	require.Greater(t, files, 5)
	require.NotContains(t, p.log(0), "open to others")
	p.stop(0)
	require.NoError(t, os.Chmod(p.data(0), 0o755))
	p.start(0)
	p.ready()
	require.Contains(t, p.log(0), `level=WARN msg="data directory is open to others"`)
	require.Contains(t, p.log(0), "chmod 700 "+p.data(0))
}

// A list with blanks is the list without them: a node that is given one finds its cluster.
func TestSeedsWithBlanks(t *testing.T) {
	p := startProcesses(t, 1)
	addresses := p.free(2)
	p.seeds, p.http, p.procs = append(p.seeds, addresses[0]), append(p.http, addresses[1]), append(p.procs, nil)
	p.knows = append(p.knows, " "+p.seeds[1]+", "+p.seeds[0])
	p.start(1)
	p.ready()
	text, code := p.run("status", "--seeds", p.knows[1])
	require.Zero(t, code, text)
}
