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

	mu sync.RWMutex // held for reading by every call, so that Close waits for them
	db *grocksdb.DB // nil when closed
}

// Open opens or makes a database in dir.
func Open(dir string, kind Kind) (*Engine, error) { return open(dir, kind, kind.cacheBytes()) }

func open(dir string, kind Kind, cacheBytes uint) (*Engine, error) {
	if err := checkContents(dir); err != nil {
		return nil, err
	}
	if kind == Log {
		if err := replay(dir); err != nil {
			return nil, err
		}
	}
	o := kind.options(cacheBytes)
	db, err := grocksdb.OpenDb(o.db, dir)
	if err != nil {
		o.destroy()
		return nil, explain(dir, err)
	}
	e := &Engine{
		dir: dir, kind: kind, options: o, db: db,
		read: grocksdb.NewDefaultReadOptions(), writes: grocksdb.NewDefaultWriteOptions(),
	}
	e.read.SetVerifyChecksums(true)    // a bit that flipped on disk is an error, never an answer
	e.writes.DisableWAL(kind == State) // the Raft logs are its log
	e.writes.SetSync(kind == Log)
	return e, nil
}

// explain turns RocksDB's texts into errors that say what to do.
func explain(dir string, err error) error {
	text := err.Error()
	switch {
	case strings.HasPrefix(text, "Corruption:"):
		return &persistence.CorruptError{
			Where: dir,
			What:  text + "; " + persistence.ReplaceNode,
		}
	case strings.Contains(text, "lock"):
		return fmt.Errorf("%s is in use by another process: %w", dir, err)
	}
	return fmt.Errorf("rocksdb in %s: %w", dir, err)
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
	e.mu.RLock()
	defer e.mu.RUnlock()
	if e.db == nil {
		return nil, false, persistence.ErrClosed
	}
	return e.get(e.read, key)
}

func (e *Engine) get(read *grocksdb.ReadOptions, key []byte) ([]byte, bool, error) {
	slice, err := e.db.Get(read, key)
	if err != nil {
		return nil, false, explain(e.dir, err)
	}
	defer slice.Free()
	if !slice.Exists() {
		return nil, false, nil
	}
	return append([]byte{}, slice.Data()...), true, nil
}

// Scan implements persistence.Reader. It sees the engine as it is when it begins.
func (e *Engine) Scan(low, high []byte, visit func(key, value []byte) bool) error {
	e.mu.RLock()
	defer e.mu.RUnlock()
	if e.db == nil {
		return persistence.ErrClosed
	}
	return e.scan(nil, low, high, visit)
}

// scan walks with options of its own: the upper bound lets RocksDB stop without looking at what lies behind, deleted
// ranges of an old log above all.
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
		return explain(e.dir, err)
	}
	return nil
}

// Write implements persistence.Engine. A log is always synced: so at most one record of its write-ahead file can be torn,
// which is how checkFile tells it from damage.
func (e *Engine) Write(batch *persistence.Batch, sync bool) error {
	e.mu.RLock()
	defer e.mu.RUnlock()
	if e.db == nil {
		return persistence.ErrClosed
	}
	if batch.Len() > 0 {
		if err := e.write(batch); err != nil {
			return explain(e.dir, err)
		}
	}
	if sync && e.kind == State {
		if err := e.flush(); err != nil {
			return explain(e.dir, err)
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
	e.mu.RLock()
	defer e.mu.RUnlock()
	if e.db == nil {
		return nil, persistence.ErrClosed
	}
	at := e.db.NewSnapshot()
	read := grocksdb.NewDefaultReadOptions()
	read.SetVerifyChecksums(true)
	read.SetSnapshot(at)
	return &snapshot{engine: e, db: e.db, at: at, read: read}, nil
}

// Size implements persistence.Engine: compressed bytes of table files. What is in memory yet, a few write buffers of the
// whole engine at most, is missing.
func (e *Engine) Size(low, high []byte) (uint64, error) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	if e.db == nil {
		return 0, persistence.ErrClosed
	}
	sizes, err := e.db.GetApproximateSizes([]grocksdb.Range{{Start: low, Limit: high}})
	if err != nil {
		return 0, explain(e.dir, err)
	}
	return sizes[0], nil
}

// Close implements persistence.Engine. It may be called twice.
func (e *Engine) Close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.db == nil {
		return nil
	}
	var err error
	if e.kind == State {
		err = e.flush()
	}
	e.db.Close()
	e.db = nil
	e.read.Destroy()
	e.writes.Destroy()
	e.options.destroy()
	if err != nil {
		return explain(e.dir, err)
	}
	return nil
}

// snapshot is a view. It must be closed before its engine, and is useless after it.
type snapshot struct {
	engine *Engine
	db     *grocksdb.DB
	at     *grocksdb.Snapshot
	read   *grocksdb.ReadOptions
	once   sync.Once
}

var errView = errors.New("view is closed")

func (s *snapshot) Get(key []byte) ([]byte, bool, error) {
	s.engine.mu.RLock()
	defer s.engine.mu.RUnlock()
	if s.engine.db == nil {
		return nil, false, persistence.ErrClosed
	}
	if s.at == nil {
		return nil, false, errView
	}
	return s.engine.get(s.read, key)
}

func (s *snapshot) Scan(low, high []byte, visit func(key, value []byte) bool) error {
	s.engine.mu.RLock()
	defer s.engine.mu.RUnlock()
	if s.engine.db == nil {
		return persistence.ErrClosed
	}
	if s.at == nil {
		return errView
	}
	return s.engine.scan(s.at, low, high, visit)
}

func (s *snapshot) Close() {
	s.once.Do(func() {
		s.engine.mu.RLock()
		defer s.engine.mu.RUnlock()
		s.read.Destroy()
		if s.engine.db != nil {
			s.db.ReleaseSnapshot(s.at)
		}
		s.at = nil
	})
}
