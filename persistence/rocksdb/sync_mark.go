package rocksdb

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	"github.com/eraft-io/eraft/persistence"
)

// syncMark is the file SYNCED of a log: up to which of RocksDB's sequence numbers writes were synced, and so may have been acknowledged. A
// write-ahead file that was cut off looks like one whose last write was interrupted by a crash; the mark tells the two apart. It is
// written after each sync and not synced itself, so it is never ahead, and costs no time. It always survives the end of the process; a
// power loss it survives as it was when the kernel last wrote it, some seconds before.
//
// The file has 12 bytes, which share a sector: the number, little endian, and a CRC-32C over it.
type syncMark struct {
	mu   sync.Mutex
	file *os.File
	at   uint64
}

const syncMarkFile = "SYNCED"

// openSyncMark opens the file, or makes it. A file that cannot be read counts as no mark: a power loss may leave an empty one.
func openSyncMark(dir string) (*syncMark, error) {
	file, err := os.OpenFile(filepath.Join(dir, syncMarkFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	m, content := &syncMark{file: file}, make([]byte, 12)
	if _, err := file.ReadAt(content, 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, errors.Join(err, file.Close())
	}
	if binary.LittleEndian.Uint32(content[8:]) == persistence.CRC32C(0, content[:8]) {
		m.at = binary.LittleEndian.Uint64(content)
	}
	return m, nil
}

// set records that everything up to a sequence number is synced.
func (m *syncMark) set(at uint64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if at <= m.at {
		return nil
	}
	m.at = at
	content := binary.LittleEndian.AppendUint64(nil, at)
	_, err := m.file.WriteAt(binary.LittleEndian.AppendUint32(content, persistence.CRC32C(0, content)), 0)
	return err
}

// check fails for a log that has less than was synced.
func (m *syncMark) check(dir string, last uint64) error {
	if last >= m.at {
		return nil
	}
	return &persistence.CorruptError{
		Where: dir,
		What: fmt.Sprintf("it ends at record %d, but up to record %d it was synced, and acknowledged: files were cut off, or the disk has lost "+
			"what it said it had; %s", last, m.at, persistence.ReplaceNode),
	}
}

// close makes the mark durable.
func (m *syncMark) close() error { return errors.Join(m.file.Sync(), m.file.Close()) }
