package raftactor

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/actors"
	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/persistence"
)

// Records of any size travel in chunks that can be sent, also over losses and restarts: what is larger than a message goes
// in pieces. What fits goes as it always did.
func TestChunksCanBeSent(t *testing.T) {
	sizes := []int{0, 1, 490, 1 << 20, maxWholeValue - 1, maxWholeValue, maxWholeValue + 1, 10, 3*maxWholeValue + 17, 0, 2 * maxWholeValue}
	for seed := range uint64(4) {
		rng := rand.New(rand.NewPCG(seed, 3))
		w := newTransferWorld(t, 3)
		w.o.Limits.SnapshotRate, w.o.Limits.ChunkBytes = 1<<30, 1+rng.IntN(1<<20)
		batch, want := new(persistence.Batch), map[string][]byte{}
		for i := range 3 {
			want[fmt.Sprintf("key%03d", i)] = make([]byte, 490)
		}
		for i, size := range sizes {
			key, value := fmt.Sprintf("large%02d", i), bytes.Repeat([]byte{byte(i)}, size)
			batch.Put(append(w.from.dataPrefix(), key...), value)
			want[key] = value
		}
		require.NoError(t, w.from.engine.Write(batch, true))
		w.sender = &snapshotSender{o: w.o, store: w.from, node: 2, transfer: 78, limiter: actors.NewRateLimiter(1 << 30)}
		w.restart()
		w.sent.out = nil
		w.tell(w.sender, &w.sent, new(actor.Started))
		w.run(func(m any) bool {
			if chunk, ok := m.(*messages.SnapshotChunk); ok {
				require.LessOrEqual(t, proto.Size(chunk), messages.MaxMessageBytes)
				if rng.IntN(8) == 0 {
					w.restart()
				}
			}
			return rng.IntN(8) == 0
		})
		require.True(t, w.ended[0].ok)
		require.NoError(t, w.to.install(&messages.SnapshotMeta{Index: 10, Term: 1, Conf: &messages.ConfState{}}))
		require.NoError(t, w.to.data().Scan(nil, nil, func(key, value []byte) bool {
			require.True(t, bytes.Equal(want[string(key)], value), "%s", key)
			delete(want, string(key))
			return true
		}))
		require.Empty(t, want)
	}
}

// A follower that knows no pieces does not take one: it would take it for a whole record.
func TestPiecesAreNotTakenForRecords(t *testing.T) {
	chunk := &messages.SnapshotChunk{Pairs: []*messages.Pair{{Key: []byte("k"), Value: []byte("v")}}}
	whole := checksum(chunk)
	chunk.Offset = 7
	require.NotEqual(t, whole, checksum(chunk))
}
