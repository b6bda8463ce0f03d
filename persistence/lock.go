package persistence

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// DirLock is a data directory held by this process.
type DirLock struct{ file *os.File }

// LockDir makes the directory if needed and holds it until Unlock or the end of the process. A directory that
// holds only somebody else's files is refused and left as it is: who deletes those later would delete the data too.
func LockDir(dir string) (*DirLock, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("data directory: %w: choose one that this user may write", err)
	}
	if err := refuseForeign(dir); err != nil {
		return nil, err
	}
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

// refuseForeign refuses a directory that holds files and no sign of a node. The sign is LOCK, which stays for ever once a
// node has taken the directory, or the data itself, which somebody may have copied here without LOCK. What a new file
// system has of its own does not count as files.
func refuseForeign(dir string) error {
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

// Unlock gives the directory back.
func (l *DirLock) Unlock() error { return l.file.Close() }
