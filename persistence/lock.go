package persistence

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// DirLock is the lock of a data directory, held by this process.
type DirLock struct{ file *os.File }

// LockDir makes the directory if needed, with log/ and state/ in it, and locks it until Unlock or the end of the process. It fails if
// another process has the lock. A directory with only files of another program is refused and left as it is: whoever deletes those later
// would delete the data too. When it returns, the directory itself survives a power loss.
func LockDir(dir string) (*DirLock, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	base := deepestExisting(dir)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("data directory: %w: choose one that this user may write", err)
	}
	if err := refuseForeignFiles(dir); err != nil {
		return nil, err
	}
	lock, err := flock(dir)
	if err != nil {
		return nil, err
	}
	for _, part := range []string{"log", "state"} {
		if err := os.MkdirAll(filepath.Join(dir, part), 0o700); err != nil {
			return nil, errors.Join(fmt.Errorf("data directory: %w", err), lock.Unlock())
		}
	}
	if err := syncDirs(dir, base, syncDir); err != nil {
		return nil, errors.Join(fmt.Errorf("data directory %s cannot be made durable: %w", dir, err), lock.Unlock())
	}
	return lock, nil
}

// AccessibleToOthers tells whether users other than its owner may read or write a data directory, and its permissions.
func AccessibleToOthers(dir string) (mode fs.FileMode, open bool) {
	info, err := os.Stat(dir)
	if err != nil {
		return 0, false
	}
	mode = info.Mode().Perm()
	return mode, mode&0o077 != 0
}

// deepestExisting is the deepest directory of a path that exists.
func deepestExisting(path string) string {
	for {
		if _, err := os.Stat(path); err == nil || path == filepath.Dir(path) {
			return path
		}
		path = filepath.Dir(path)
	}
}

// syncDirs makes the entries of a directory durable, and those of its parents, up to the parent of base, which existed before: it may have
// been made by a start that was interrupted.
func syncDirs(dir, base string, sync func(string) error) error {
	for {
		if err := sync(dir); err != nil {
			return err
		}
		if dir == filepath.Dir(base) || dir == filepath.Dir(dir) {
			return nil
		}
		dir = filepath.Dir(dir)
	}
}

// syncDir calls fsync on a directory. One that this user may not read was not made by it, and some file systems have no such call.
func syncDir(path string) error {
	d, err := os.Open(path)
	if errors.Is(err, fs.ErrPermission) {
		return nil
	}
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.Sync(); err != nil && !errors.Is(err, syscall.EINVAL) {
		return err
	}
	return nil
}

// flock locks a directory that exists.
func flock(dir string) (*DirLock, error) {
	path := filepath.Join(dir, "LOCK")
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("data directory %s cannot be written: %w", dir, err)
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		holder, readErr := os.ReadFile(path)
		who := "another process"
		if pid := strings.TrimSpace(string(holder)); readErr == nil && pid != "" {
			who = "process " + pid
		}
		return nil, errors.Join(fmt.Errorf("data directory %s is in use by %s: stop that one first, or choose another directory", dir, who), file.Close())
	}
	if err := errors.Join(file.Truncate(0), writePid(file)); err != nil {
		return nil, errors.Join(fmt.Errorf("data directory %s cannot be written: %w", dir, err), file.Close())
	}
	return &DirLock{file}, nil
}

// refuseForeignFiles fails for a directory that has files but no sign of a node. The sign is LOCK, which stays for ever once a node has
// locked the directory, or the data itself, which may have been copied here without LOCK. What a new file system has of its own does
// not count.
func refuseForeignFiles(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("data directory: %w: choose one that this user may read", err)
	}
	foreign := ""
	for _, e := range entries {
		switch e.Name() {
		case "LOCK", "log", "state":
			return nil
		case "lost+found":
		default:
			if foreign == "" {
				foreign = e.Name()
			}
		}
	}
	if foreign == "" {
		return nil
	}
	return fmt.Errorf("data directory %s holds %q, but nothing of eRaft's: choose an empty directory, or one that a node has used", dir, foreign)
}

func writePid(file *os.File) error {
	_, err := file.WriteAt([]byte(fmt.Sprintln(os.Getpid())), 0)
	return err
}

// Unlock releases the directory.
func (l *DirLock) Unlock() error { return l.file.Close() }
