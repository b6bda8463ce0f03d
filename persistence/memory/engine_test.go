package memory_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/eraft-io/eraft/persistence"
	"github.com/eraft-io/eraft/persistence/enginetest"
	"github.com/eraft-io/eraft/persistence/memory"
)

type disk struct{ now *memory.Engine }

func (d *disk) Open(*testing.T) persistence.Engine { return d.now }
func (d *disk) Reopen(*testing.T) persistence.Engine {
	d.now = d.now.Kill()
	return d.now
}

func TestConformance(t *testing.T) {
	enginetest.Run(t, func(*testing.T) enginetest.Disk { return &disk{memory.New()} })
}

func one(key string) *persistence.Batch {
	b := new(persistence.Batch)
	b.Put([]byte(key), []byte(key))
	return b
}

func TestCrashKeepsWhatWasSyncedAndAPrefixOfTheRest(t *testing.T) {
	lengths := map[int]bool{}
	for seed := range uint64(50) {
		e := memory.New()
		for i := range 10 {
			require.NoError(t, e.Write(one(fmt.Sprint(i)), i == 4))
		}
		after, n := e.Crash(rand.New(rand.NewPCG(seed, 0))), 0
		for ; n < 10; n++ {
			if _, found, err := after.Get([]byte(fmt.Sprint(n))); err != nil || !found {
				break
			}
		}
		for i := n; i < 10; i++ {
			_, found, err := after.Get([]byte(fmt.Sprint(i)))
			require.NoError(t, err)
			require.False(t, found, "key %d is there though key %d is not", i, n)
		}
		require.GreaterOrEqual(t, n, 5)
		lengths[n] = true
	}
	require.Greater(t, len(lengths), 3, "crashes must differ")
}

func TestFlippedBit(t *testing.T) {
	e := memory.New()
	require.False(t, e.FlipBit([]byte("a"), 3))
	require.NoError(t, e.Write(one("a"), true))
	require.True(t, e.FlipBit([]byte("a"), 3))
	for _, left := range []*memory.Engine{e.Kill(), e.Crash(rand.New(rand.NewPCG(1, 1)))} {
		v, _, err := left.Get([]byte("a"))
		require.NoError(t, err)
		require.Equal(t, "i", string(v))
		v, _, err = left.Synced().Get([]byte("a"))
		require.NoError(t, err)
		require.Equal(t, "a", string(v), "what was synced is still there, only read wrong")
		require.NoError(t, left.Write(one("a"), false))
		require.False(t, left.Repair(), "written anew")
		v, _, err = left.Get([]byte("a"))
		require.NoError(t, err)
		require.Equal(t, "a", string(v))
	}
}

// A lost block is an error for whoever reads it or walks over it, in every view and every life, and for nobody else.
func TestLostBlock(t *testing.T) {
	e := memory.New()
	require.False(t, e.FailChecksum([]byte("b")))
	for _, key := range []string{"a", "b", "c"} {
		require.NoError(t, e.Write(one(key), true))
	}
	view, err := e.Snapshot()
	require.NoError(t, err)
	defer view.Close()
	require.True(t, e.FailChecksum([]byte("b")))
	check := func(r persistence.Reader) {
		t.Helper()
		corrupt := new(persistence.CorruptError)
		_, _, err := r.Get([]byte("b"))
		require.ErrorAs(t, err, &corrupt)
		seen := ""
		require.ErrorAs(t, r.Scan(nil, nil, func(key, _ []byte) bool { seen += string(key); return true }), &corrupt)
		require.Equal(t, "a", seen)
		require.NoError(t, r.Scan([]byte("c"), nil, func(_, _ []byte) bool { return true }))
	}
	check(e)
	check(view)
	require.True(t, e.Repair())
	_, _, err = view.Get([]byte("b"))
	require.NoError(t, err, "the disk is whole again, whoever reads it")
	e.FailChecksum([]byte("b"))
	check(e.Kill())
	check(e.Crash(rand.New(rand.NewPCG(1, 1))))
}

func TestFaults(t *testing.T) {
	boom := errors.New("boom")
	e := memory.New()
	e.SetFaults(memory.Faults{Sync: func() error { return boom }})
	require.NoError(t, e.Write(one("a"), false))
	require.ErrorIs(t, e.Write(one("b"), true), boom)
	e.SetFaults(memory.Faults{})
	require.Error(t, e.Write(one("c"), false), "nothing may be written after a failed sync")

	e = memory.New()
	e.SetFaults(memory.Faults{Limit: 40})
	require.NoError(t, e.Write(one("a"), true))
	require.NoError(t, e.Write(one("b"), true))
	require.ErrorIs(t, e.Write(one("c"), true), memory.ErrFull)
}

// An engine on one thread tells of every call from within a scan, whatever it is scanned by.
func TestCallsWithinScans(t *testing.T) {
	e := memory.NewSingleThreaded()
	batch := new(persistence.Batch)
	batch.Put([]byte("k"), []byte("v"))
	require.NoError(t, e.Write(batch, true))
	e = e.Kill()
	view, err := e.Snapshot()
	require.NoError(t, err)
	for _, reader := range []persistence.Reader{e, view} {
		for name, call := range map[string]func() error{
			"get":      func() error { _, _, err := e.Get([]byte("k")); return err },
			"view get": func() error { _, _, err := view.Get([]byte("k")); return err },
			"scan":     func() error { return e.Scan(nil, nil, func(_, _ []byte) bool { return true }) },
			"write":    func() error { return e.Write(batch, true) },
			"snapshot": func() error { _, err := e.Snapshot(); return err },
			"size":     func() error { _, err := e.Size([]byte("a"), []byte("z")); return err },
		} {
			called := false
			require.NoError(t, reader.Scan(nil, nil, func(_, _ []byte) bool {
				called = true
				require.ErrorContains(t, call(), "from within the callback of a scan", name)
				return true
			}))
			require.True(t, called)
			require.NoError(t, call(), name)
		}
	}
}
