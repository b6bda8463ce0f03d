package shardkv

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/persistence/memory"
)

// A table alone, without a Machine: it counts what it keeps, writes only what is not acknowledged, and comes back as it was.
func TestSessionTable(t *testing.T) {
	tx := memoryTx{memory.New(), t}
	table := newSessions()
	reply := func(seq uint64) *savedReply {
		return newSavedReply(3, &messages.Reply{Session: 7, Seq: seq, Number: int64(seq)})
	}
	s := table.touch(7, 100, 500, 1<<orderShift)
	for seq := uint64(1); seq <= 5; seq++ {
		table.save(s, reply(seq))
	}
	table.save(s, reply(5)) // a copy
	require.Len(t, s.replies, 5)
	require.Equal(t, s.bytes, table.bytes)
	table.acknowledge(s, 3)
	table.acknowledge(s, 2) // late
	table.save(s, reply(2)) // acknowledged already
	require.NoError(t, table.flush(tx))

	again := newSessions()
	require.NoError(t, again.load(tx))
	require.Equal(t, table.bytes, again.bytes)
	known := again.all[7]
	require.EqualValues(t, 500, known.deadlineMs)
	for seq, code := range map[uint64]messages.Code{2: messages.Code_REPLY_DISCARDED, 3: messages.Code_OK, 5: messages.Code_OK} {
		saved, err := known.replyTo(3, seq)
		require.NoError(t, err)
		require.Equal(t, code, saved.GetCode(), seq)
	}
	for bucket, seq := range map[uint32]uint64{3: 6, 4: 5} { // a new command; the same seq in another bucket
		saved, err := known.replyTo(bucket, seq)
		require.NoError(t, err)
		require.Nil(t, saved)
	}

	again.clearBucket(3)
	require.Equal(t, sessionOverhead, again.bytes)
	require.Nil(t, again.admit(known, 500, 2))
	require.Contains(t, again.all, uint64(7), "a copy may still be applied")
	require.Nil(t, again.admit(known, 501, 2))
	require.Empty(t, again.all)
	require.Zero(t, again.bytes)
	require.NoError(t, again.flush(tx))
	_, found, err := tx.Get(sessionKey(7))
	require.NoError(t, err)
	require.False(t, found)
}
