// Package memory is an ordered in-memory engine that can crash: it knows what was synced and what was not, and can
// fail, fill up or stall like a disk. Tests and simulations run on it; nothing of it touches a disk.
package memory

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"

	"github.com/tidwall/btree"

	"github.com/eraft-io/eraft/persistence"
)

// Engine is a persistence.Engine in memory. The zero value is not usable; see New.
type Engine struct {
	mu         sync.RWMutex
	data       *tree
	synced     *tree                // what a power loss cannot take
	unsynced   []*persistence.Batch // since synced, in order
	faults     Faults
	corruption *corruption
	scans      *scanTracker
	bytes      int
	closed     bool
	broken     bool // a write has failed: nothing more may be written
}

type tree = btree.Map[string, []byte]

// Faults make an Engine behave like a failing disk. Fields may be combined.
type Faults struct {
	Write func(batch *persistence.Batch) error // called before each write; an error fails it without effect
	Sync  func() error                         // called in each synced write; an error fails it, its bytes may or may not last
	Limit int                                  // bytes of all writes after which the disk is full; 0: never
}

// ErrFull is the error of a full disk.
var ErrFull = errors.New("no space left on device")

// New makes an empty engine. It is safe for concurrent use.
func New() *Engine {
	return &Engine{data: new(tree), synced: new(tree), corruption: new(corruption), scans: new(scanTracker)}
}

// NewSingleThreaded makes an empty engine that refuses calls from within the callback of a scan, which no engine allows. It is for tests that
// make all calls on one thread.
func NewSingleThreaded() *Engine {
	e := New()
	e.scans.strict = true
	return e
}

// scanTracker counts the scans that run on an engine and its snapshots.
type scanTracker struct {
	strict  bool
	running int // if strict
}

func (s *scanTracker) begin() (end func()) {
	if !s.strict {
		return func() {}
	}
	s.running++
	return func() { s.running-- }
}

// refuse fails for a call that is made from within a scan.
func (s *scanTracker) refuse() error {
	if s.strict && s.running > 0 {
		return errors.New("an engine is called from within the callback of a scan: it may be closing by then")
	}
	return nil
}

// SetFaults sets how the engine fails from now on.
func (e *Engine) SetFaults(f Faults) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.faults = f
}

// Crash returns what a power loss leaves: everything that was synced, and of the rest a random prefix. The engine itself is closed.
func (e *Engine) Crash(rng *rand.Rand) *Engine {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.closed = true
	left := &Engine{data: e.synced.Copy(), corruption: e.corruption.clone(), scans: &scanTracker{strict: e.scans.strict}}
	for _, batch := range e.unsynced[:rng.IntN(len(e.unsynced)+1)] {
		apply(left.data, batch)
	}
	left.synced = left.data.Copy()
	return left
}

// Kill returns what the end of the process leaves: every accepted write. The engine itself is closed.
func (e *Engine) Kill() *Engine {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.closed = true
	return &Engine{data: e.data.Copy(), synced: e.synced.Copy(), unsynced: e.unsynced, corruption: e.corruption.clone(), scans: &scanTracker{strict: e.scans.strict}}
}

// Synced reads what is synced, which no power loss can lose. Values that Get returns must not be changed: they are not copied.
func (e *Engine) Synced() persistence.Reader { return synced{e} }

type synced struct{ e *Engine }

func (s synced) Get(key []byte) ([]byte, bool, error) {
	s.e.mu.RLock()
	defer s.e.mu.RUnlock()
	value, found := s.e.synced.Get(string(key))
	return value, found, nil
}

func (s synced) Scan(low, high []byte, visit func(key, value []byte) bool) error {
	s.e.mu.Lock()
	view := &snapshot{data: s.e.synced.Copy(), corruption: new(corruption), scans: new(scanTracker)}
	s.e.mu.Unlock()
	return view.Scan(low, high, visit)
}

// Get implements persistence.Reader.
func (e *Engine) Get(key []byte) ([]byte, bool, error) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	if e.closed {
		return nil, false, persistence.ErrClosed
	}
	if err := e.scans.refuse(); err != nil {
		return nil, false, err
	}
	return get(e.data, e.corruption, key)
}

// Scan implements persistence.Reader. It sees the engine as it is when it begins.
func (e *Engine) Scan(low, high []byte, visit func(key, value []byte) bool) error {
	s, err := e.Snapshot()
	if err != nil {
		return err
	}
	defer s.Close()
	return s.Scan(low, high, visit)
}

// Snapshot implements persistence.Engine; it costs next to nothing.
func (e *Engine) Snapshot() (persistence.Snapshot, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil, persistence.ErrClosed
	}
	if err := e.scans.refuse(); err != nil {
		return nil, err
	}
	return &snapshot{data: e.data.Copy(), corruption: e.corruption, scans: e.scans}, nil
}

// Size implements persistence.Engine, exactly.
func (e *Engine) Size(low, high []byte) (size uint64, err error) {
	err = e.Scan(low, high, func(key, value []byte) bool {
		size += uint64(len(key) + len(value))
		return true
	})
	return size, err
}

// Write implements persistence.Engine.
func (e *Engine) Write(batch *persistence.Batch, sync bool) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return persistence.ErrClosed
	}
	if e.broken {
		return errors.New("an earlier write failed")
	}
	if err := e.scans.refuse(); err != nil {
		return err
	}
	if err := e.refuse(batch); err != nil {
		e.broken = true
		return err
	}
	kept := new(persistence.Batch)
	if err := batch.Each(kept); err != nil {
		e.broken = true
		return err
	}
	apply(e.data, kept)
	if e.corruption.any() {
		must(kept.Each(repairing{e.corruption}))
	}
	e.unsynced = append(e.unsynced, kept)
	e.bytes += kept.Bytes()
	if !sync {
		return nil
	}
	if e.faults.Sync != nil {
		if err := e.faults.Sync(); err != nil {
			e.broken = true
			return fmt.Errorf("sync: %w", err)
		}
	}
	e.synced, e.unsynced = e.data.Copy(), nil
	return nil
}

func (e *Engine) refuse(batch *persistence.Batch) error {
	if e.faults.Limit > 0 && e.bytes+batch.Bytes() > e.faults.Limit {
		return ErrFull
	}
	if e.faults.Write != nil {
		return e.faults.Write(batch)
	}
	return nil
}

// Close implements persistence.Engine. Kill and Crash may still be called.
func (e *Engine) Close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.closed = true
	return nil
}

type snapshot struct {
	mu         sync.Mutex
	data       *tree
	corruption *corruption
	scans      *scanTracker
}

func (s *snapshot) view() (*tree, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.data == nil {
		return nil, persistence.ErrClosed
	}
	return s.data, s.scans.refuse()
}

func (s *snapshot) Get(key []byte) ([]byte, bool, error) {
	data, err := s.view()
	if err != nil {
		return nil, false, err
	}
	return get(data, s.corruption, key)
}

func (s *snapshot) Scan(low, high []byte, visit func(key, value []byte) bool) error {
	data, err := s.view()
	if err != nil {
		return err
	}
	defer s.scans.begin()()
	data.Ascend(string(low), func(key string, value []byte) bool {
		if len(high) > 0 && key >= string(high) {
			return false
		}
		value, err = s.corruption.read(key, value)
		return err == nil && visit([]byte(key), value)
	})
	return err
}

func (s *snapshot) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.data = nil
}

func get(data *tree, damage *corruption, key []byte) ([]byte, bool, error) {
	value, found := data.Get(string(key))
	if !found {
		return nil, false, nil
	}
	value, err := damage.read(string(key), value)
	if err != nil {
		return nil, false, err
	}
	return append([]byte{}, value...), true, nil
}

// apply writes a batch that Each has already read without fault.
func apply(data *tree, batch *persistence.Batch) {
	must(batch.Each(applying{data}))
}

func must(err error) {
	if err != nil {
		panic(err) // a Batch that was built record by record cannot be damaged
	}
}

type applying struct{ data *tree }

func (a applying) Put(key, value []byte) { a.data.Set(string(key), append([]byte{}, value...)) }
func (a applying) Delete(key []byte)     { a.data.Delete(string(key)) }
func (a applying) DeleteRange(low, high []byte) {
	var doomed []string
	a.data.Ascend(string(low), func(key string, _ []byte) bool {
		if key >= string(high) {
			return false
		}
		doomed = append(doomed, key)
		return true
	})
	for _, key := range doomed {
		a.data.Delete(key)
	}
}
