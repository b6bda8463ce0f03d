package rocksdb

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/linxGnu/grocksdb"
	"github.com/stretchr/testify/require"

	"github.com/eraft-io/eraft/persistence"
)

// Small values that compress come by the million into one table. A get reads blocks of it that are a few KiB, and keeps
// the indexes and filters that all gets need in the cache: it does not read and decompress a large one each time.
func TestGetsOfManyKeysReadLittle(t *testing.T) {
	const keys, cache = 500_000, 4 << 20 // a filter of all takes 600 KiB
	e, err := Open(t.TempDir(), State, Limits{CacheBytes: cache})
	require.NoError(t, err)
	defer func() { require.NoError(t, e.Close()) }()
	key := func(n int) []byte { return fmt.Appendf(nil, "k%015d", n) }
	value := make([]byte, 64)
	for half := range 2 { // two tables that overlap: one would be moved as it is
		for n := half; n < keys; {
			batch := new(persistence.Batch)
			for end := n + 20_000; n < end; n += 2 {
				batch.Put(key(n), value)
			}
			require.NoError(t, e.Write(batch, false))
		}
		require.NoError(t, e.Write(new(persistence.Batch), true))
	}
	e.db.CompactRange(grocksdb.Range{}) // what tables of level 0 have beside the data is kept in memory anyway

	rng := rand.New(rand.NewPCG(1, 1))
	get := func(times int) {
		for range times {
			_, found, err := e.Get(key(rng.IntN(keys)))
			require.NoError(t, err)
			require.True(t, found)
		}
	}
	get(10_000)
	before := bytesRead(t)
	const gets = 2_000
	get(gets)
	require.Less(t, (bytesRead(t)-before)/gets, 16<<10, "bytes read for a get")
}

// bytesRead is what this process has read from files, cached by the kernel or not.
func bytesRead(t *testing.T) int {
	stat, err := os.ReadFile("/proc/self/io")
	require.NoError(t, err)
	_, rest, found := strings.Cut(string(stat), "rchar: ")
	require.True(t, found)
	line, _, _ := strings.Cut(rest, "\n")
	n, err := strconv.Atoi(line)
	require.NoError(t, err)
	return n
}
