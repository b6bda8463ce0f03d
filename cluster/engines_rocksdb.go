//go:build cgo

package cluster

import (
	"errors"
	"path/filepath"

	"github.com/eraft-io/eraft/persistence"
	"github.com/eraft-io/eraft/persistence/rocksdb"
)

// openEngines opens the engines of the log and the state in a data directory.
func openEngines(dir string, cacheBytes int64, f fileLimits) (log, state persistence.Engine, err error) {
	l, err := rocksdb.Open(filepath.Join(dir, "log"), rocksdb.Log, rocksdb.Limits{Files: f.logTables})
	if err != nil {
		return nil, nil, err
	}
	s, err := rocksdb.Open(filepath.Join(dir, "state"), rocksdb.State, rocksdb.Limits{CacheBytes: uint(cacheBytes), Files: f.stateTables})
	if err != nil {
		return nil, nil, errors.Join(err, l.Close())
	}
	return l, s, nil
}

// RocksDBVersion is that of the library which this program is linked with.
func RocksDBVersion() (string, error) { return rocksdb.Version() }
