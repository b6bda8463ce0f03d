// Package persistence says what survives a crash: the Engine contract, the layout of Raft logs on an engine,
// the identity record of a data directory, and the Writer actor, which gives every group of a node one fsync.
package persistence

// Reader reads ordered bytes. Keys compare as bytes.
type Reader interface {
	// Get returns the value under key, owned by the caller. An absent key is not an error.
	Get(key []byte) (value []byte, found bool, err error)
	// Scan visits keys of [low, high) in ascending order until visit returns false; an empty high means no end.
	// The slices given to visit are valid only during the call. visit must not call the engine: it may be closing by then.
	Scan(low, high []byte, visit func(key, value []byte) bool) error
}

// Engine is an ordered, durable key-value store: RocksDB on disk, or the one in memory that tests can crash.
// It is safe for concurrent use. After a Write that fails nothing more may be written: the caller stops the node.
type Engine interface {
	Reader
	// Write applies all of the batch or nothing. Writes take effect in call order. With sync it returns only when this write and every
	// write before it survive a power loss; without sync, a prefix of the unsynced writes survives a power loss or the end of the
	// process. A batch may be empty: with sync that makes everything before it durable.
	Write(batch *Batch, sync bool) error
	// Snapshot is the engine as it is now, which later writes do not change. The caller must Close it.
	Snapshot() (Snapshot, error)
	// Size estimates, cheaply, how many bytes the keys of [low, high) take: recent writes may be missing, and recently deleted keys may
	// still count. high must not be empty.
	Size(low, high []byte) (uint64, error)
	// Close waits for running calls and closes the files. Nothing that Write has accepted is lost.
	Close() error
}

// Snapshot is an unchanging view of an Engine.
type Snapshot interface {
	Reader
	Close()
}

// Scope is a Reader of the keys with a prefix, which it takes off.
func Scope(r Reader, prefix []byte) Reader { return prefixReader{r, prefix} }

type prefixReader struct {
	reader Reader
	prefix []byte
}

func (s prefixReader) Get(key []byte) ([]byte, bool, error) { return s.reader.Get(s.key(key)) }

func (s prefixReader) Scan(low, high []byte, visit func(key, value []byte) bool) error {
	end := PrefixEnd(s.prefix)
	if len(high) > 0 {
		end = s.key(high)
	}
	return s.reader.Scan(s.key(low), end, func(key, value []byte) bool { return visit(key[len(s.prefix):], value) })
}

func (s prefixReader) key(key []byte) []byte {
	return append(append(make([]byte, 0, len(s.prefix)+len(key)), s.prefix...), key...)
}

// PrefixEnd is the first key behind all keys with a prefix; nil: there is none.
func PrefixEnd(prefix []byte) []byte {
	for i := len(prefix) - 1; i >= 0; i-- {
		if prefix[i] != 0xff {
			end := append([]byte(nil), prefix[:i+1]...)
			end[i]++
			return end
		}
	}
	return nil
}
