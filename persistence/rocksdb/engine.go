// Package rocksdb is the engine on disk. It is the only package that needs cgo.
package rocksdb

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/linxGnu/grocksdb"

	"github.com/eraft-io/eraft/persistence"
)

// Engine is a persistence.Engine on RocksDB.
type Engine struct {
	dir     string
	kind    Kind
	options *options
	read    *grocksdb.ReadOptions
	writes  *grocksdb.WriteOptions

	db       *grocksdb.DB
	calls    *calls
	failed   atomic.Pointer[error] // the first
	closing  sync.Once
	syncMark *syncMark // of a log
}

// Limits bound what a database takes of its process. A zero field means its default.
type Limits struct {
	CacheBytes uint // of memory for blocks that are read often. Default 128 MiB for a State, 1 MiB for a Log
	Files      int  // table files that are kept open; RocksDB takes no fewer than 20. Default 512
}

// Open opens the database in dir, or makes it. It fails with a CorruptError if files are damaged or missing.
func Open(dir string, kind Kind, limits ...Limits) (*Engine, error) {
	return open(dir, kind, kind.limits(limits...))
}

func open(dir string, kind Kind, limits Limits) (*Engine, error) {
	if err := checkContents(dir); err != nil {
		return nil, err
	}
	if err := removeLeftovers(dir); err != nil {
		return nil, err
	}
	if kind == Log {
		if err := replay(dir, limits); err != nil {
			return nil, err
		}
	}
	o := kind.options(limits)
	db, err := grocksdb.OpenDb(o.db, dir)
	if err != nil {
		o.destroy()
		return nil, describeError(dir, err)
	}
	e := &Engine{
		dir: dir, kind: kind, options: o, db: db, calls: newCalls(),
		read: grocksdb.NewDefaultReadOptions(), writes: grocksdb.NewDefaultWriteOptions(),
	}
	e.read.SetVerifyChecksums(true)    // a bit that flipped on disk is an error, never an answer
	e.writes.DisableWAL(kind == State) // the Raft logs are its log
	e.writes.SetSync(kind == Log)
	if kind == Log {
		err = e.openSyncMark()
	}
	if err != nil {
		return nil, errors.Join(err, e.Close())
	}
	return e, nil
}

// openSyncMark checks that a log has all that was synced.
func (e *Engine) openSyncMark() (err error) {
	if e.syncMark, err = openSyncMark(e.dir); err != nil {
		return err
	}
	return e.syncMark.check(e.dir, e.db.GetLatestSequenceNumber())
}

// describeError turns RocksDB's error texts into errors that say what the operator should do.
func describeError(dir string, err error) error {
	text := err.Error()
	switch {
	case strings.HasPrefix(text, "Corruption:"):
		return &persistence.CorruptError{
			Where: dir,
			What:  text + "; " + persistence.ReplaceNode,
		}
	case strings.Contains(text, "lock hold by current process"), strings.Contains(text, "While lock file"):
		return fmt.Errorf("%s is in use by another process: %w", dir, err)
	case strings.Contains(text, "No space left on device"):
		return fmt.Errorf("the disk of %s is full: make room and start the node again; nothing acknowledged is lost: %w", dir, err)
	case strings.HasPrefix(text, "IO error"):
		return fmt.Errorf("the disk of %s fails, or its file system has shut down: repair it and start the node again; if it is lost, %s: %w",
			dir, persistence.ReplaceNode, err)
	}
	return fmt.Errorf("rocksdb in %s: %w", dir, err)
}

// removeLeftovers deletes the text logs, and the drafts of OPTIONS files, that earlier starts have left.
func removeLeftovers(dir string) error {
	files, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, file := range files {
		name := file.Name()
		if strings.HasPrefix(name, "LOG.old.") || strings.HasPrefix(name, "OPTIONS-") && strings.HasSuffix(name, ".dbtmp") {
			if err := os.Remove(filepath.Join(dir, name)); err != nil {
				return err
			}
		}
	}
	return nil
}

// enter begins a call, which must leave. It fails if RocksDB must not be called: the engine is closed, or an earlier call has failed. After
// an error of a disk RocksDB is in a state that its own assertions forbid, and the next call may abort the process.
func (e *Engine) enter() error {
	if !e.calls.enter() {
		return persistence.ErrClosed
	}
	if err := e.failed.Load(); err != nil {
		e.calls.leave()
		return *err
	}
	return nil
}

// fail describes an error, and has all further calls fail with it.
func (e *Engine) fail(err error) error {
	err = describeError(e.dir, err)
	e.failed.CompareAndSwap(nil, &err)
	return err
}

// readFailed is fail for calls that only read. A damaged block is an error of the call that reads it, and of no other.
func (e *Engine) readFailed(err error) error {
	if corrupt := new(persistence.CorruptError); errors.As(describeError(e.dir, err), &corrupt) {
		return corrupt
	}
	return e.fail(err)
}

// checkContents refuses a directory whose table of contents is missing: RocksDB would make a new database over the old files.
func checkContents(dir string) error {
	damaged := func(what string) error {
		return &persistence.CorruptError{Where: dir, What: what + "; " + persistence.ReplaceNode}
	}
	current, err := os.ReadFile(filepath.Join(dir, "CURRENT"))
	if errors.Is(err, fs.ErrNotExist) {
		files, err := os.ReadDir(dir)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		for _, file := range files {
			if ext := filepath.Ext(file.Name()); ext == ".sst" || ext == ".log" {
				return damaged("it has files of a database, but CURRENT is missing")
			}
		}
		return err
	}
	if err != nil {
		return err
	}
	manifest := strings.TrimSpace(string(current))
	if _, err := os.Stat(filepath.Join(dir, manifest)); errors.Is(err, fs.ErrNotExist) || manifest == "" {
		return damaged(fmt.Sprintf("CURRENT names %q as its table of contents, which is missing", manifest))
	}
	return nil
}

// Get implements persistence.Reader.
func (e *Engine) Get(key []byte) ([]byte, bool, error) {
	if err := e.enter(); err != nil {
		return nil, false, err
	}
	defer e.calls.leave()
	return e.get(e.read, key)
}

func (e *Engine) get(read *grocksdb.ReadOptions, key []byte) ([]byte, bool, error) {
	slice, err := e.db.Get(read, key)
	if err != nil {
		return nil, false, e.readFailed(err)
	}
	defer slice.Free()
	if !slice.Exists() {
		return nil, false, nil
	}
	return append([]byte{}, slice.Data()...), true, nil
}

// Scan implements persistence.Reader. It sees the engine as it is when it begins.
func (e *Engine) Scan(low, high []byte, visit func(key, value []byte) bool) error {
	if err := e.enter(); err != nil {
		return err
	}
	defer e.calls.leave()
	return e.scan(nil, low, high, visit)
}

// scan iterates with options of its own: the upper bound lets RocksDB stop without looking at what is behind it, above all at the deleted
// ranges of a log.
func (e *Engine) scan(at *grocksdb.Snapshot, low, high []byte, visit func(key, value []byte) bool) error {
	read := grocksdb.NewDefaultReadOptions()
	defer read.Destroy()
	read.SetVerifyChecksums(true)
	if at != nil {
		read.SetSnapshot(at)
	}
	if len(high) > 0 {
		read.SetIterateUpperBound(high)
	}
	it := e.db.NewIterator(read)
	defer it.Close()
	for it.Seek(low); it.Valid(); it.Next() {
		key, value := it.Key(), it.Value()
		goOn := visit(key.Data(), value.Data())
		key.Free()
		value.Free()
		if !goOn {
			return nil
		}
	}
	if err := it.Err(); err != nil {
		return e.readFailed(err)
	}
	return nil
}

// Write implements persistence.Engine. A log is always synced: so at most one record of its write-ahead file can be torn,
// which is how checkFile tells it from damage.
func (e *Engine) Write(batch *persistence.Batch, sync bool) error {
	if err := e.enter(); err != nil {
		return err
	}
	defer e.calls.leave()
	if batch.Len() > 0 {
		if err := e.write(batch); err != nil {
			return e.fail(err)
		}
	}
	if e.syncMark != nil {
		if err := e.syncMark.set(e.db.GetLatestSequenceNumber()); err != nil {
			return e.fail(err)
		}
	}
	if sync && e.kind == State {
		if err := e.flush(); err != nil {
			return e.fail(err)
		}
	}
	return nil
}

func (e *Engine) write(batch *persistence.Batch) error {
	wb := grocksdb.WriteBatchFrom(batch.Encoded())
	defer wb.Destroy()
	return e.db.Write(e.writes, wb)
}

// flush makes the state durable as it is now.
func (e *Engine) flush() error {
	o := grocksdb.NewDefaultFlushOptions()
	defer o.Destroy()
	o.SetWait(true)
	return e.db.Flush(o)
}

// Snapshot implements persistence.Engine.
func (e *Engine) Snapshot() (persistence.Snapshot, error) {
	if err := e.enter(); err != nil {
		return nil, err
	}
	defer e.calls.leave()
	at := e.db.NewSnapshot()
	read := grocksdb.NewDefaultReadOptions()
	read.SetVerifyChecksums(true)
	read.SetSnapshot(at)
	return &snapshot{engine: e, db: e.db, at: at, read: read}, nil
}

// Size implements persistence.Engine: compressed bytes of table files. What is in memory yet, a few write buffers of the
// whole engine at most, is missing.
func (e *Engine) Size(low, high []byte) (uint64, error) {
	if err := e.enter(); err != nil {
		return 0, err
	}
	defer e.calls.leave()
	sizes, err := e.db.GetApproximateSizes([]grocksdb.Range{{Start: low, Limit: high}})
	if err != nil {
		return 0, e.readFailed(err)
	}
	return sizes[0], nil
}

// Close implements persistence.Engine. It may be called twice. After a failure it does not close RocksDB, which would try to
// write once more: its files stay open, and the directory locked, until the process ends.
func (e *Engine) Close() (err error) {
	e.closing.Do(func() {
		e.calls.close()
		if e.failed.Load() == nil && e.kind == State {
			if err = e.flush(); err != nil {
				err = e.fail(err)
			}
		}
		if e.syncMark != nil {
			err = errors.Join(err, e.syncMark.close())
		}
		if e.failed.Load() == nil {
			e.db.Close()
			e.read.Destroy()
			e.writes.Destroy()
			e.options.destroy()
		}
	})
	return err
}
