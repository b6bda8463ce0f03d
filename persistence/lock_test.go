package persistence

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// What LockDir has made is synced, each directory in its parent, and what was there before in its own: a start that was cut off
// may have made it.
func TestDirectoriesAreSynced(t *testing.T) {
	top := t.TempDir()
	for _, c := range []struct {
		dir, base string
		synced    []string
	}{
		{"a", "", []string{"a", "", ".."}},
		{"a/b/c", "", []string{"a/b/c", "a/b", "a", "", ".."}},
		{"a/b/c", "a", []string{"a/b/c", "a/b", "a", ""}},
		{"a", "a", []string{"a", ""}},
	} {
		var synced, want []string
		require.NoError(t, syncDirs(filepath.Join(top, c.dir), filepath.Join(top, c.base), func(path string) error {
			synced = append(synced, path)
			return nil
		}))
		for _, path := range c.synced {
			want = append(want, filepath.Join(top, path))
		}
		require.Equal(t, want, synced, "%s, of which there was %s", c.dir, c.base)
	}
	require.Equal(t, top, deepestExisting(filepath.Join(top, "a/b")))
	require.NoError(t, os.Mkdir(filepath.Join(top, "a"), 0o700))
	require.Equal(t, filepath.Join(top, "a"), deepestExisting(filepath.Join(top, "a/b")))
	require.NoError(t, syncDirs("/", "/", func(string) error { return nil }))
}

func TestLockDir(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a/b")
	lock, err := LockDir(dir)
	require.NoError(t, err)
	for _, part := range []string{"log", "state"} {
		require.DirExists(t, filepath.Join(dir, part))
	}
	_, err = LockDir(dir)
	require.ErrorContains(t, err, "in use by process")
	require.NoError(t, lock.Unlock())
	require.ErrorIs(t, syncDir(filepath.Join(dir, "none")), os.ErrNotExist)
}
