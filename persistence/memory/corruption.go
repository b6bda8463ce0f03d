package memory

import (
	"fmt"
	"maps"
	"slices"
	"sync/atomic"

	"github.com/eraft-io/eraft/persistence"
)

// corruption is what of a disk is read wrong: by key, which bit is flipped, or unreadable. An engine shares it with its snapshots: a disk that
// is repaired is repaired for all of them. The map is never changed, only replaced.
type corruption struct {
	flipped atomic.Pointer[map[string]int]
}

// unreadable stands for the bit of a value whose block fails its checksum.
const unreadable = -1

// FlipBit damages a stored value, as a bad disk would: until it is written again, it is read with one bit flipped. It reports whether the key
// exists.
func (e *Engine) FlipBit(key []byte, bit int) bool { return e.corrupt(key, bit) }

// FailChecksum damages a stored value where every block has a checksum, as in RocksDB: until it is written again, reads of it and scans over
// it fail with a CorruptError. It reports whether the key exists.
func (e *Engine) FailChecksum(key []byte) bool { return e.corrupt(key, unreadable) }

func (e *Engine) corrupt(key []byte, bit int) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if value, found := e.data.Get(string(key)); !found || len(value) == 0 {
		return false
	}
	e.corruption.update(func(bits map[string]int) { bits[string(key)] = bit })
	return true
}

// Repair undoes what FlipBit and FailChecksum did. It reports whether anything was left of it.
func (e *Engine) Repair() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	corrupted := e.corruption.any()
	e.corruption.flipped.Store(nil)
	return corrupted
}

func (r *corruption) any() bool {
	bits := r.flipped.Load()
	return bits != nil && len(*bits) > 0
}

func (r *corruption) clone() *corruption {
	c := new(corruption)
	c.flipped.Store(r.flipped.Load())
	return c
}

// update is called by one engine at a time.
func (r *corruption) update(how func(bits map[string]int)) {
	next := map[string]int{}
	if bits := r.flipped.Load(); bits != nil {
		maps.Copy(next, *bits)
	}
	how(next)
	r.flipped.Store(&next)
}

// read returns a value as the disk returns it.
func (r *corruption) read(key string, value []byte) ([]byte, error) {
	bits := r.flipped.Load()
	if bits == nil {
		return value, nil
	}
	bit, ok := (*bits)[key]
	switch {
	case !ok:
		return value, nil
	case bit == unreadable:
		return nil, &persistence.CorruptError{
			Where: fmt.Sprintf("block with key %q", key),
			What:  "its checksum is wrong; remove this node from the cluster and let it join again with an empty data directory",
		}
	}
	value = slices.Clone(value)
	value[bit/8%len(value)] ^= 1 << (bit % 8)
	return value, nil
}

// repairing is a Visitor that repairs what a batch writes.
type repairing struct{ corruption *corruption }

func (r repairing) Put(key, _ []byte) { r.Delete(key) }
func (r repairing) Delete(key []byte) {
	r.corruption.update(func(bits map[string]int) { delete(bits, string(key)) })
}
func (r repairing) DeleteRange(low, high []byte) {
	r.corruption.update(func(bits map[string]int) {
		maps.DeleteFunc(bits, func(key string, _ int) bool { return key >= string(low) && key < string(high) })
	})
}
