// Package enginetest is the conformance suite of persistence.Engine: every engine passes it.
package enginetest

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/eraft-io/eraft/persistence"
)

// Disk is the storage of an engine: Open returns the engine that is open on it, Reopen closes that one and opens the same storage again.
type Disk interface {
	Open(t *testing.T) persistence.Engine
	Reopen(t *testing.T) persistence.Engine
}

// Run checks that an engine keeps its contract. fresh makes an empty Disk.
func Run(t *testing.T, fresh func(t *testing.T) Disk) {
	for _, c := range []struct {
		name string
		test func(*testing.T, Disk)
	}{
		{"absent keys are not errors", absent},
		{"keys and values are binary", binaryKeys},
		{"scan keeps order and bounds", scanBounds},
		{"a range delete deletes the range and nothing else", rangeDelete},
		{"a snapshot does not change", snapshotStays},
		{"what was written is there after reopening", reopen},
		{"sizes are about right", sizes},
		{"random batches equal a map", model},
		{"calls at once", concurrent},
		{"a closed engine answers with an error", closed},
		{"a call within a scan does not wait for Close", callWithinScan},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, fresh(t)) })
	}
}

func put(t *testing.T, e persistence.Engine, sync bool, pairs ...string) {
	t.Helper()
	batch := new(persistence.Batch)
	for i := 0; i < len(pairs); i += 2 {
		batch.Put([]byte(pairs[i]), []byte(pairs[i+1]))
	}
	require.NoError(t, e.Write(batch, sync))
}

func all(t *testing.T, r persistence.Reader, low, high string) []string {
	t.Helper()
	var got []string
	require.NoError(t, r.Scan([]byte(low), []byte(high), func(k, v []byte) bool {
		got = append(got, string(k)+"="+string(v))
		return true
	}))
	return got
}

func absent(t *testing.T, d Disk) {
	e := d.Open(t)
	_, found, err := e.Get([]byte("nothing"))
	require.NoError(t, err)
	require.False(t, found)
	put(t, e, false, "empty", "")
	value, found, err := e.Get([]byte("empty"))
	require.NoError(t, err)
	require.True(t, found)
	require.Empty(t, value)
	require.NoError(t, e.Write(new(persistence.Batch), true))
}

func binaryKeys(t *testing.T, d Disk) {
	e := d.Open(t)
	key, value := []byte{0, 255, '\n', 0}, bytes.Repeat([]byte{0, 1, 255}, 1<<18)
	batch := new(persistence.Batch)
	batch.Put(key, value)
	require.NoError(t, e.Write(batch, true))
	key[0] = 9 // the engine has its own copy
	got, found, err := e.Get([]byte{0, 255, '\n', 0})
	require.NoError(t, err)
	require.True(t, found)
	require.Equal(t, value, got)
}

func scanBounds(t *testing.T, d Disk) {
	e := d.Open(t)
	put(t, e, false, "b", "2", "a", "1", "d", "4", "c", "3")
	require.Equal(t, []string{"a=1", "b=2", "c=3", "d=4"}, all(t, e, "", ""))
	require.Equal(t, []string{"b=2", "c=3"}, all(t, e, "b", "d"))
	require.Equal(t, []string{"d=4"}, all(t, e, "cc", ""))
	require.Empty(t, all(t, e, "x", ""))
	var first string
	require.NoError(t, e.Scan(nil, nil, func(k, _ []byte) bool { first = string(k); return false }))
	require.Equal(t, "a", first)
	require.Equal(t, []string{"1=x"}, func() []string {
		put(t, e, false, "p/1", "x", "q", "y")
		return all(t, persistence.Scope(e, []byte("p/")), "", "")
	}())
}

func rangeDelete(t *testing.T, d Disk) {
	e := d.Open(t)
	put(t, e, true, "a1", "", "b1", "", "b2", "", "b\xff\xff", "", "c1", "")
	batch := new(persistence.Batch)
	batch.DeleteRange([]byte("b"), persistence.PrefixEnd([]byte("b")))
	batch.Put([]byte("b2"), []byte("again"))
	require.NoError(t, e.Write(batch, true))
	require.Equal(t, []string{"a1=", "b2=again", "c1="}, all(t, e, "", ""))
	batch.Reset()
	batch.DeleteRange([]byte("c"), []byte("a")) // backward: nothing
	batch.Delete([]byte("a1"))
	require.NoError(t, e.Write(batch, true))
	require.Equal(t, []string{"b2=again", "c1="}, all(t, e, "", ""))
}

func snapshotStays(t *testing.T, d Disk) {
	e := d.Open(t)
	put(t, e, false, "a", "1", "b", "2")
	view, err := e.Snapshot()
	require.NoError(t, err)
	defer view.Close()
	batch := new(persistence.Batch)
	batch.DeleteRange([]byte("a"), []byte("z"))
	batch.Put([]byte("c"), []byte("3"))
	require.NoError(t, e.Write(batch, false))
	require.Equal(t, []string{"a=1", "b=2"}, all(t, view, "", ""))
	value, found, err := view.Get([]byte("a"))
	require.NoError(t, err)
	require.True(t, found)
	require.Equal(t, "1", string(value))
	require.Equal(t, []string{"c=3"}, all(t, e, "", ""))
}

func reopen(t *testing.T, d Disk) {
	e := d.Open(t)
	put(t, e, false, "a", "1")
	put(t, e, true, "b", "2")
	put(t, e, false, "c", "3")
	for range 3 {
		e = d.Reopen(t)
		require.Equal(t, []string{"a=1", "b=2", "c=3"}, all(t, e, "", ""))
	}
}

func sizes(t *testing.T, d Disk) {
	e, rng := d.Open(t), rand.New(rand.NewPCG(3, 4))
	for i := range 200 {
		value := make([]byte, 10<<10)
		for j := range value {
			value[j] = byte(rng.Uint32()) // cannot be compressed
		}
		put(t, e, false, fmt.Sprintf("%c%03d", "bd"[i%2], i), string(value))
	}
	require.NoError(t, e.Write(new(persistence.Batch), true))
	e = d.Reopen(t) // an engine may need that to know
	for low, want := range map[string]float64{"a": 0, "b": 1 << 20, "c": 0, "d": 1 << 20, "e": 0} {
		size, err := e.Size([]byte(low), persistence.PrefixEnd([]byte(low)))
		require.NoError(t, err)
		require.InDelta(t, want, size, 100<<10, "of %s", low)
	}
}

func model(t *testing.T, d Disk) {
	rng, e, want := rand.New(rand.NewPCG(1, 2)), d.Open(t), map[string]string{}
	key := func() string { return fmt.Sprintf("%02d", rng.IntN(60)) }
	for round := range 200 {
		batch := new(persistence.Batch)
		for range rng.IntN(6) {
			switch k := key(); rng.IntN(4) {
			case 0:
				batch.Delete([]byte(k))
				delete(want, k)
			case 1:
				high := key()
				batch.DeleteRange([]byte(k), []byte(high))
				for name := range want {
					if name >= k && name < high {
						delete(want, name)
					}
				}
			default:
				v := fmt.Sprint(round)
				batch.Put([]byte(k), []byte(v))
				want[k] = v
			}
		}
		require.NoError(t, e.Write(batch, round%7 == 0))
		if round%50 == 49 {
			e = d.Reopen(t)
		}
	}
	var sorted []string
	for k, v := range want {
		sorted = append(sorted, k+"="+v)
	}
	slices.Sort(sorted)
	require.Equal(t, sorted, all(t, e, "", ""))
}

func concurrent(t *testing.T, d Disk) {
	e := d.Open(t)
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range 100 {
				batch := new(persistence.Batch)
				batch.Put(fmt.Appendf(nil, "%d/%d/a", w, i), []byte("x"))
				batch.Put(fmt.Appendf(nil, "%d/%d/b", w, i), []byte("x"))
				if err := e.Write(batch, i%20 == 0); err != nil {
					t.Error(err)
				}
				count := 0
				if err := e.Scan(nil, nil, func(_, _ []byte) bool { count++; return true }); err != nil || count%2 != 0 {
					t.Errorf("a scan saw half a batch: %d keys, %v", count, err)
				}
			}
		})
	}
	wg.Wait()
	require.Len(t, all(t, e, "", ""), 800)
}

func closed(t *testing.T, d Disk) {
	e := d.Open(t)
	put(t, e, true, "a", "1")
	view, err := e.Snapshot()
	require.NoError(t, err)
	view.Close()
	view.Close()
	require.NoError(t, e.Close())
	require.NoError(t, e.Close())
	_, _, err = e.Get([]byte("a"))
	require.ErrorIs(t, err, persistence.ErrClosed)
	require.ErrorIs(t, e.Write(new(persistence.Batch), true), persistence.ErrClosed)
	require.ErrorIs(t, e.Scan(nil, nil, func(_, _ []byte) bool { return true }), persistence.ErrClosed)
	_, err = e.Snapshot()
	require.ErrorIs(t, err, persistence.ErrClosed)
	_, err = e.Size([]byte("a"), []byte("b"))
	require.ErrorIs(t, err, persistence.ErrClosed)
}

// callWithinScan breaks the rule that a scan's callback leaves the engine alone, while another goroutine closes it: the call is
// refused, or done, but nobody waits for anybody for ever.
func callWithinScan(t *testing.T, d Disk) {
	e := d.Open(t)
	put(t, e, true, "a", "1", "b", "2")
	var closing sync.WaitGroup
	require.NoError(t, e.Scan(nil, nil, func(_, _ []byte) bool {
		closing.Go(func() {
			if err := e.Close(); err != nil {
				t.Error(err)
			}
		})
		for err := error(nil); err == nil; { // until Close has begun
			_, _, err = e.Get([]byte("a"))
		}
		batch := new(persistence.Batch)
		batch.Put([]byte("c"), nil)
		if err := e.Write(batch, true); err == nil {
			t.Error("a write after Close has begun")
		}
		return false
	}))
	closing.Wait()
}
