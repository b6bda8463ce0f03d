package rocksdb

import (
	"errors"
	"sync"

	"github.com/linxGnu/grocksdb"
)

// snapshot is a persistence.Snapshot. It should be closed before its engine; afterwards all its calls fail.
type snapshot struct {
	engine *Engine
	db     *grocksdb.DB
	at     *grocksdb.Snapshot
	read   *grocksdb.ReadOptions
	once   sync.Once
}

var errSnapshotClosed = errors.New("snapshot is closed")

func (s *snapshot) Get(key []byte) ([]byte, bool, error) {
	if err := s.engine.enter(); err != nil {
		return nil, false, err
	}
	defer s.engine.calls.leave()
	if s.at == nil {
		return nil, false, errSnapshotClosed
	}
	return s.engine.get(s.read, key)
}

func (s *snapshot) Scan(low, high []byte, visit func(key, value []byte) bool) error {
	if err := s.engine.enter(); err != nil {
		return err
	}
	defer s.engine.calls.leave()
	if s.at == nil {
		return errSnapshotClosed
	}
	return s.engine.scan(s.at, low, high, visit)
}

func (s *snapshot) Close() {
	s.once.Do(func() {
		if s.engine.enter() == nil {
			s.db.ReleaseSnapshot(s.at)
			s.engine.calls.leave()
		}
		s.read.Destroy()
		s.at = nil
	})
}
