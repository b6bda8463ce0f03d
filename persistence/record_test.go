package persistence_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/persistence"
	"github.com/eraft-io/eraft/persistence/memory"
)

// A record is read as it was written, and no other: every flipped bit, and another key, is found.
func TestRecords(t *testing.T) {
	engine, meta := memory.New(), &messages.SnapshotMeta{Index: 7, Term: 3}
	key := []byte("k")
	for _, covered := range [][]byte{nil, key} {
		batch := new(persistence.Batch)
		require.NoError(t, persistence.PutRecord(batch, key, covered, meta))
		require.NoError(t, engine.Write(batch, true))
		value, _, err := engine.Get(key)
		require.NoError(t, err)
		read := new(messages.SnapshotMeta)
		require.NoError(t, persistence.DecodeRecord(value, covered, read))
		require.True(t, proto.Equal(meta, read))
		require.ErrorContains(t, persistence.DecodeRecord(value, []byte("other"), read), "checksum")
		for i := range 8 * len(value) {
			value[i/8] ^= 1 << (i % 8)
			require.ErrorContains(t, persistence.DecodeRecord(value, covered, read), "checksum", "bit %d", i)
			value[i/8] ^= 1 << (i % 8)
		}
		require.ErrorContains(t, persistence.DecodeRecord(value[:3], covered, read), "cut off")
	}
	require.Equal(t, persistence.CRC32C(0, []byte("ab"), []byte("c")), persistence.CRC32C(persistence.CRC32C(0, []byte("a")), []byte("bc")))
	require.EqualValues(t, 0xe3069283, persistence.CRC32C(0, []byte("123456789")), "the check value of CRC-32C")
}
