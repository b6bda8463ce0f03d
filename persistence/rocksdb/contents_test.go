package rocksdb_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/eraft-io/eraft/persistence"
	"github.com/eraft-io/eraft/persistence/rocksdb"
)

// A database whose table of contents is gone is refused, and its files stay: none is made anew over them.
func TestLostContents(t *testing.T) {
	for name, kind := range map[string]rocksdb.Kind{"log": rocksdb.Log, "state": rocksdb.State} {
		for _, c := range []struct{ loses, says string }{
			{"CURRENT", "CURRENT is missing"}, {"MANIFEST-*", "which is missing"},
		} {
			t.Run(name+" "+c.loses, func(t *testing.T) {
				d := &disk{dir: t.TempDir(), kind: kind}
				batch := new(persistence.Batch)
				batch.Put([]byte("k"), []byte("v"))
				require.NoError(t, d.Open(t).Write(batch, true))
				require.NoError(t, d.Reopen(t).Close()) // there are tables now
				require.NoError(t, d.now.Close())
				for _, lost := range []string{c.loses, "*.log"} {
					lost, err := filepath.Glob(filepath.Join(d.dir, lost))
					require.NoError(t, err)
					for _, name := range lost {
						require.NoError(t, os.Remove(name))
					}
				}
				before := listing(t, d.dir)
				require.Contains(t, before, ".sst")
				_, err := rocksdb.Open(d.dir, kind)
				corrupt := new(persistence.CorruptError)
				require.ErrorAs(t, err, &corrupt)
				require.ErrorContains(t, err, c.says)
				require.ErrorContains(t, err, "let it join again")
				require.Equal(t, before, listing(t, d.dir))
			})
		}
	}
}

// Starts leave no text logs and drafts of options behind.
func TestStartsLeaveNothingBehind(t *testing.T) {
	for name, kind := range map[string]rocksdb.Kind{"log": rocksdb.Log, "state": rocksdb.State} {
		t.Run(name, func(t *testing.T) {
			d := &disk{dir: t.TempDir(), kind: kind}
			d.Open(t)
			for range 4 {
				d.Reopen(t)
			}
			left, err := filepath.Glob(filepath.Join(d.dir, "[LO][OP][GT]*"))
			require.NoError(t, err)
			require.LessOrEqual(t, len(left), 6, "%v", left)
		})
	}
}
