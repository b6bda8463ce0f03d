package raftactor

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A batch is small unless much is written; and replicas, which apply the same, do not all write at once.
func TestBatchPolicy(t *testing.T) {
	seen := map[int]bool{}
	for seed := range uint64(3) {
		p := batchPolicy{draw: rand.New(rand.NewPCG(seed, 1)).IntN}
		for range 100 {
			p.begin(time.Second)
			require.GreaterOrEqual(t, p.largeBytes, largeBatchBytes/2)
			require.LessOrEqual(t, p.largeBytes, largeBatchBytes)
			over := func(after time.Duration, bytes, again int) bool {
				return p.due(time.Second+after, &stateBatch{bytes: bytes, overwrites: again})
			}
			require.False(t, over(batchTime, largeBatchBytes/2-1, 1), "it is small")
			require.False(t, over(batchTime/2-1, largeBatchBytes, 1), "much is written, and often the same")
			require.False(t, over(batchTime/8-1, largeBatchBytes, 0), "much is written")
			require.True(t, over(batchTime/4, largeBatchBytes, 0), "and nothing twice")
			require.True(t, over(batchTime, largeBatchBytes, 1), "little is written")
			require.True(t, over(0, veryLargeBatches*largeBatchBytes, 1), "it is very large")
			seen[p.largeBytes] = true
		}
	}
	require.Greater(t, len(seen), 100)
}

// A longer batch writes less where records change again and again, and only there.
func TestOverwrites(t *testing.T) {
	batch := newStateBatch(nil)
	for i := range byte(8) {
		batch.Put([]byte{i}, []byte("v"))
	}
	require.False(t, batch.overwritesOften(), "all are new")
	batch.Put([]byte{0}, []byte("w"))
	batch.Delete([]byte{0})
	require.False(t, batch.overwritesOften(), "a quarter was written again, no more")
	batch.Put([]byte{1}, []byte("w"))
	require.True(t, batch.overwritesOften())
	batch.reset()
	batch.Put([]byte{0}, []byte("v"))
	require.False(t, batch.overwritesOften(), "it begins anew")
}

// An engine that takes little gets small batches, so a reply that waits for one does not wait long; one that is quick gets large ones.
func TestBatchPolicyFollowsTheEngine(t *testing.T) {
	p := batchPolicy{draw: func(int) int { return 0 }}
	now := time.Duration(0)
	write := func(bytes int, speed int) (full int) {
		p.begin(now)
		now += time.Duration(bytes) * time.Second / time.Duration(speed)
		p.written(now, bytes)
		return p.maxBytes()
	}
	require.Equal(t, fullBatchBytes, p.maxBytes(), "nothing is known yet")
	require.Equal(t, fullBatchBytes, write(1<<20, 200<<20))
	require.Less(t, write(fullBatchBytes, 4<<20), 5<<20/8, "8 MiB took two seconds: no more than 0.15 s of that")
	require.True(t, p.due(now, &stateBatch{bytes: 5 << 20 / 8}), "nor does a batch wait until it is larger")
	require.Equal(t, largeBatchBytes, write(1<<20, 1<<20), "there is a least")
	require.Equal(t, largeBatchBytes, write(1<<10, 1<<20), "a little that is written slowly says nothing")
	require.Equal(t, fullBatchBytes, write(largeBatchBytes, 200<<20), "and it is quick again")
	require.Equal(t, fullBatchBytes, write(1<<10, 1<<20), "as is a little that is written slowly for want of more")
}
