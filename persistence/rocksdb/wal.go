package rocksdb

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/bits"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/linxGnu/grocksdb"

	"github.com/eraft-io/eraft/persistence"
)

// replay moves what the write-ahead files of a log hold into tables, so that none is left when the log is opened for writing. RocksDB 7.8
// recycles files only in a mode that skips whatever it cannot read, and that does not find the end of a recycled file. So the files are
// read in a mode that stops at the first record that it cannot read, after checkFile has checked that no record follows that one.
func replay(dir string, limits Limits) error {
	files, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(files) == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	for _, file := range files {
		digits, found := strings.CutSuffix(file.Name(), ".log")
		number, err := strconv.ParseUint(digits, 10, 64)
		if !found || err != nil {
			continue // something else
		}
		if err := checkFile(filepath.Join(dir, file.Name()), uint32(number)); err != nil {
			return err
		}
	}
	o := Log.options(limits)
	defer o.destroy()
	o.db.SetRecycleLogFileNum(0)
	o.db.SetWALRecoveryMode(grocksdb.TolerateCorruptedTailRecordsRecovery)
	db, err := grocksdb.OpenDb(o.db, dir)
	if err != nil {
		return describeError(dir, err)
	}
	db.Close()
	return nil
}

// The format of a write-ahead file: blocks of 32 KiB, each full of fragments, a record's first, middle ones and last, or one
// that is the whole record. A fragment is a checksum, two bytes of length, one of type, and, in files that may be
// recycled, four of the file's number; then the content. A rest of a block too short for a header is zero.
const (
	walBlock  = 32 << 10
	walHeader = 7
	walNumber = 4 // more in a header of a recyclable type

	fragmentWhole, fragmentFirst, fragmentMiddle, fragmentLast = 1, 2, 3, 4
	fragmentRecyclable                                         = 4 // added to each
)

// walFile is a write-ahead file while it is read.
type walFile struct {
	number  uint32
	inside  bool  // within a record whose last fragment has not come
	from    int64 // offset at which the newest record begins
	end     int64 // offset of the first record that cannot be read; -1: none yet
	damaged bool  // a record of this file begins behind end
	old     bool  // a newer file was written over it, after its own content had been moved to tables
}

// checkFile refuses a file that is damaged. In a recycled file an older one's records follow the newest record, and where a
// write was torn some bytes are the older one's. So what cannot be read is the end of the file, unless another record of this file
// begins behind it: every write was synced before the next one began. A flipped bit in the very last record looks like
// a torn one.
func checkFile(name string, number uint32) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	w := &walFile{number: number, end: -1}
	block := make([]byte, walBlock)
	for at := int64(0); !w.damaged && !w.old && err == nil; at += walBlock {
		var n int
		n, err = io.ReadFull(f, block)
		w.block(at, block[:n])
	}
	switch {
	case w.old, errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return nil
	case w.damaged:
		return &persistence.CorruptError{
			Where: name, What: fmt.Sprintf("the record at byte %d cannot be read, though others follow it; %s", w.end, persistence.ReplaceNode),
		}
	}
	return err
}

func (w *walFile) block(at int64, b []byte) {
	for len(b) >= walHeader && !w.damaged {
		kind, size, number, intact := w.fragment(b)
		switch {
		case intact && number > w.number: // the file's new name was lost with the power
			w.old = true
			return
		case !intact || number != w.number:
			if w.inside || size > 0 || len(b) >= walHeader+walNumber { // else it is the rest of a block
				w.unreadable(at)
			}
		case kind == fragmentWhole || kind == fragmentFirst:
			if w.inside {
				w.unreadable(at)
			}
			w.damaged = w.end >= 0
			w.inside, w.from = kind == fragmentFirst, at
		case !w.inside:
			w.unreadable(at)
		case kind == fragmentLast:
			w.inside = false
		}
		if size == 0 || size > len(b) {
			return // nothing says where the next one begins
		}
		at, b = at+int64(size), b[size:]
	}
}

// unreadable notes the offset of the first record that cannot be read.
func (w *walFile) unreadable(at int64) {
	if w.inside {
		w.inside, at = false, w.from
	}
	if w.end < 0 {
		w.end = at
	}
}

// fragment reads the fragment at the start of b: what it is of a record, how long it says it is with its header (0: it
// does not say), of which file it is, and whether its checksum is right.
func (w *walFile) fragment(b []byte) (kind byte, size int, number uint32, intact bool) {
	kind, header, number := b[6], walHeader, w.number
	length := int(binary.LittleEndian.Uint16(b[4:]))
	if kind == 0 && length == 0 {
		return 0, 0, 0, false
	}
	if kind > fragmentLast {
		kind, header = kind-fragmentRecyclable, walHeader+walNumber
	}
	size = header + length
	if kind == 0 || kind > fragmentLast || size > len(b) {
		return kind, size, 0, false
	}
	if header > walHeader {
		number = binary.LittleEndian.Uint32(b[walHeader:])
	}
	sum := persistence.CRC32C(0, b[6:size]) // of type, number and content
	return kind, size, number, binary.LittleEndian.Uint32(b) == bits.RotateLeft32(sum, 17)+maskDelta
}

// maskDelta is added to a rotated checksum, so that checksums of data with checksums stay good ones.
const maskDelta = 0xa282ead8
