package rocksdb_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/eraft-io/eraft/persistence"
	"github.com/eraft-io/eraft/persistence/enginetest"
	"github.com/eraft-io/eraft/persistence/rocksdb"
)

type disk struct {
	dir  string
	kind rocksdb.Kind
	now  *rocksdb.Engine
}

func (d *disk) Open(t *testing.T) persistence.Engine {
	e, err := rocksdb.Open(d.dir, d.kind)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, e.Close()) })
	d.now = e
	return e
}

func (d *disk) Reopen(t *testing.T) persistence.Engine {
	require.NoError(t, d.now.Close())
	return d.Open(t)
}

func TestConformance(t *testing.T) {
	for name, kind := range map[string]rocksdb.Kind{"log": rocksdb.Log, "state": rocksdb.State} {
		t.Run(name, func(t *testing.T) {
			enginetest.Run(t, func(t *testing.T) enginetest.Disk { return &disk{dir: t.TempDir(), kind: kind} })
		})
	}
}

func TestInUse(t *testing.T) {
	d := &disk{dir: t.TempDir()}
	d.Open(t)
	_, err := rocksdb.Open(d.dir, rocksdb.Log)
	require.ErrorContains(t, err, "in use")
}

// A write-ahead log that is cut off at its end loses the torn record and nothing else; one that is damaged before
// its end is refused.
func TestTornTailAndDamage(t *testing.T) {
	for _, c := range []struct {
		name   string
		damage func([]byte) []byte
		refuse bool
	}{
		{"torn tail", func(b []byte) []byte { return b[:len(b)-3] }, false},
		{"bit flip", func(b []byte) []byte { b[len(b)/3] ^= 1; return b }, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := &disk{dir: t.TempDir()}
			e := d.Open(t)
			var mark []byte
			for i := range 100 {
				if i == 99 {
					var err error
					mark, err = os.ReadFile(filepath.Join(d.dir, "SYNCED"))
					require.NoError(t, err)
				}
				batch := new(persistence.Batch)
				batch.Put(fmt.Appendf(nil, "%03d", i), make([]byte, 500))
				require.NoError(t, e.Write(batch, true))
			}
			copied := t.TempDir() // of a running engine: as if it had been killed in its last write
			require.NoError(t, os.CopyFS(filepath.Join(copied, "db"), os.DirFS(d.dir)))
			require.NoError(t, os.WriteFile(filepath.Join(copied, "db", "SYNCED"), mark, 0o600))
			logs, err := filepath.Glob(filepath.Join(copied, "db", "*.log"))
			require.NoError(t, err)
			require.Len(t, logs, 1)
			bytes, err := os.ReadFile(logs[0])
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(logs[0], c.damage(bytes), 0o600))
			damaged, err := rocksdb.Open(filepath.Join(copied, "db"), rocksdb.Log)
			if c.refuse {
				var corrupt *persistence.CorruptError
				require.True(t, errors.As(err, &corrupt), "%v", err)
				return
			}
			require.NoError(t, err)
			defer func() { require.NoError(t, damaged.Close()) }()
			count := 0
			require.NoError(t, damaged.Scan(nil, nil, func(_, _ []byte) bool { count++; return true }))
			require.Equal(t, 99, count)
		})
	}
}

// A bit that flips in a table of the data is an error for whoever reads what is there, by key or by walking over it, and
// never another value.
func TestFlippedBitInATable(t *testing.T) {
	d := &disk{dir: t.TempDir(), kind: rocksdb.State}
	e := d.Open(t)
	batch := new(persistence.Batch)
	for i := range 1000 {
		batch.Put(fmt.Appendf(nil, "%04d", i), fmt.Appendf(nil, "value of %d", i))
	}
	require.NoError(t, e.Write(batch, true))
	require.NoError(t, e.Close())
	tables, err := filepath.Glob(filepath.Join(d.dir, "*.sst"))
	require.NoError(t, err)
	require.Len(t, tables, 1)
	bytes, err := os.ReadFile(tables[0])
	require.NoError(t, err)
	bytes[100] ^= 1 // in the first block of data
	require.NoError(t, os.WriteFile(tables[0], bytes, 0o600))

	damaged, err := rocksdb.Open(d.dir, rocksdb.State)
	require.NoError(t, err)
	defer func() { require.NoError(t, damaged.Close()) }()
	corrupt := new(persistence.CorruptError)
	_, _, err = damaged.Get([]byte("0001"))
	require.ErrorAs(t, err, &corrupt)
	require.ErrorAs(t, damaged.Scan(nil, nil, func(_, _ []byte) bool { return true }), &corrupt)
	value, found, err := damaged.Get([]byte("0999"))
	require.NoError(t, err, "what is elsewhere is still there")
	require.True(t, found)
	require.Equal(t, "value of 999", string(value))
}
