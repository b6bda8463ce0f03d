package raftactor

import (
	"bytes"
	"maps"
	"slices"
	"strings"

	"github.com/eraft-io/eraft/persistence"
)

// stateBatch is the Tx of an Applier: writes are gathered in memory, reads see them over base, and commit makes one batch of the engine of
// them. The base is the engine, or the state batch before this one while it is being written.
type stateBatch struct {
	base       persistence.Reader
	writes     map[string]*write
	prefixes   [][]byte // deleted before all of writes
	bytes      int      // about the size of the write to the engine: a key that is written again counts once
	overwrites int      // writes of a key that this batch had written before
}

type write struct {
	value   []byte
	deleted bool
}

func newStateBatch(store persistence.Reader) *stateBatch {
	return &stateBatch{base: store, writes: map[string]*write{}}
}

// reset empties the batch and keeps its memory for the next one, which will be about as large.
func (t *stateBatch) reset() {
	clear(t.writes)
	t.prefixes, t.bytes, t.overwrites = nil, 0, 0
}

func (t *stateBatch) Get(key []byte) ([]byte, bool, error) {
	if w, ok := t.writes[string(key)]; ok {
		return w.value, !w.deleted, nil
	}
	if t.covered(key) {
		return nil, false, nil
	}
	return t.base.Get(key)
}

// overwritesOften tells whether so many records have been written more than once that a larger batch would write less to the engine.
func (t *stateBatch) overwritesOften() bool { return 4*t.overwrites > len(t.writes) }

func (t *stateBatch) Put(key, value []byte) { t.write(key, write{value: value}) }

func (t *stateBatch) Delete(key []byte) { t.write(key, write{deleted: true}) }

func (t *stateBatch) write(key []byte, now write) {
	w := t.writes[string(key)]
	if w == nil {
		w = new(write)
		t.writes[string(key)] = w
		t.bytes += len(key)
	} else {
		t.overwrites++
	}
	t.bytes += len(now.value) - len(w.value)
	*w = now
}

func (t *stateBatch) DeletePrefix(prefix []byte) {
	t.bytes += len(prefix)
	for key, w := range t.writes {
		if strings.HasPrefix(key, string(prefix)) {
			delete(t.writes, key)
			t.bytes -= len(key) + len(w.value)
		}
	}
	t.prefixes = append(t.prefixes, prefix)
}

func (t *stateBatch) covered(key []byte) bool {
	for _, prefix := range t.prefixes {
		if bytes.HasPrefix(key, prefix) {
			return true
		}
	}
	return false
}

func (t *stateBatch) Scan(low, high []byte, visit func(key, value []byte) bool) error {
	pending := t.between(low, high)
	stopped := false
	emit := func(key string) bool {
		w := t.writes[key]
		stopped = !w.deleted && !visit([]byte(key), w.value)
		return !stopped
	}
	err := t.base.Scan(low, high, func(key, value []byte) bool {
		for len(pending) > 0 && pending[0] < string(key) {
			next := pending[0]
			pending = pending[1:]
			if !emit(next) {
				return false
			}
		}
		if len(pending) > 0 && pending[0] == string(key) {
			pending = pending[1:]
			return emit(string(key))
		}
		if t.covered(key) {
			return true
		}
		stopped = !visit(key, value)
		return !stopped
	})
	for err == nil && !stopped && len(pending) > 0 {
		if !emit(pending[0]) {
			break
		}
		pending = pending[1:]
	}
	return err
}

// between lists the batch's own keys of [low, high), sorted.
func (t *stateBatch) between(low, high []byte) []string {
	var keys []string
	for key := range t.writes {
		if key >= string(low) && (len(high) == 0 || key < string(high)) {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

// commit writes the state batch into batch under prefix, in key order, so that equal ones give equal bytes.
func (t *stateBatch) commit(batch *persistence.Batch, prefix []byte) {
	for _, deleted := range t.prefixes {
		low := append(prefix[:len(prefix):len(prefix)], deleted...)
		batch.DeleteRange(low, persistence.PrefixEnd(low))
	}
	keys := slices.Sorted(maps.Keys(t.writes))
	full := slices.Clone(prefix)
	for _, key := range keys {
		full = append(full[:len(prefix)], key...)
		if w := t.writes[key]; w.deleted {
			batch.Delete(full)
		} else {
			batch.Put(full, w.value)
		}
	}
}
