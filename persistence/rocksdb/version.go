package rocksdb

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/linxGnu/grocksdb"
)

// Version is the version of the RocksDB library that this program is linked with. The library tells it only in files that it writes.
func Version() (version string, err error) {
	dir, err := os.MkdirTemp("", "eraft-version-")
	if err != nil {
		return "", fmt.Errorf("version of rocksdb: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	o := grocksdb.NewDefaultOptions()
	defer o.Destroy()
	o.SetCreateIfMissing(true)
	db, err := grocksdb.OpenDb(o, dir)
	if err != nil {
		return "", fmt.Errorf("version of rocksdb: %w", err)
	}
	db.Close()
	written, err := filepath.Glob(filepath.Join(dir, "OPTIONS-*"))
	if err != nil || len(written) == 0 {
		return "", errors.Join(errors.New("version of rocksdb: it has written none"), err)
	}
	body, err := os.ReadFile(written[0])
	if err != nil {
		return "", fmt.Errorf("version of rocksdb: %w", err)
	}
	return versionIn(string(body))
}

func versionIn(options string) (string, error) {
	for line := range strings.Lines(options) {
		if version, found := strings.CutPrefix(strings.TrimSpace(line), "rocksdb_version="); found {
			return version, nil
		}
	}
	return "", errors.New("version of rocksdb: it has written none")
}
