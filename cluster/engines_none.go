//go:build !cgo

package cluster

import (
	"errors"

	"github.com/eraft-io/eraft/persistence"
)

// errNoEngine is what a program without cgo says where it needs RocksDB.
var errNoEngine = errors.New("this program was built without cgo, and so without RocksDB: build it with CGO_ENABLED=1, or bring engines in Ground.Engines, as simulations do")

func openEngines(string, int64, fileLimits) (log, state persistence.Engine, err error) {
	return nil, nil, errNoEngine
}

// RocksDBVersion is that of the library which this program is linked with.
func RocksDBVersion() (string, error) { return "none (built without cgo)", nil }
