package main

import (
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/raftactor"
)

// store is as much of a Machine's store as the counter uses.
type store struct {
	raftactor.Tx
	records map[string][]byte
}

func (s store) Get(key []byte) ([]byte, bool, error) {
	value, found := s.records[string(key)]
	return value, found, nil
}

func (s store) Put(key, value []byte) { s.records[string(key)] = value }

func command(t *testing.T, session, seq uint64, by int64) []byte {
	encoded, err := proto.Marshal(&messages.Command{
		Session: session, Seq: seq, Op: &messages.Command_Custom{Custom: binary.BigEndian.AppendUint64(nil, uint64(by))},
	})
	require.NoError(t, err)
	return encoded
}

// A log has a command twice when its sender heard no answer and asked again. It is applied once, and both get the same answer; also
// when a crash lies between them.
func TestACommandThatComesTwiceCountsOnce(t *testing.T) {
	s, c := store{records: map[string][]byte{}}, new(counter)
	for i, step := range []struct {
		session, seq uint64
		by           int64
		code         messages.Code
		total        int64
	}{
		{session: 1, seq: 1, by: 5, total: 5},
		{session: 1, seq: 1, by: 5, total: 5}, // again
		{session: 2, seq: 1, by: 1, total: 6}, // another session's
		{session: 1, seq: 1, by: 5, total: 5}, // again, with the answer of then
		{session: 1, seq: 2, by: -3, total: 3},
		{session: 1, seq: 1, by: 5, code: messages.Code_INVALID}, // a copy that was late
	} {
		if i%2 == 1 { // what is in memory is rebuilt from the store
			c = new(counter)
			require.NoError(t, c.Open(reader{s}))
		}
		r, err := c.Apply(s, raftactor.Position{}, command(t, step.session, step.seq, step.by))
		require.NoError(t, err)
		require.Equal(t, step.code, r.Code, "step %d", i)
		require.Equal(t, step.total, r.Number, "step %d", i)
		require.Equal(t, step.session, r.Session)
	}
	require.Equal(t, int64(3), c.total)
}

// reader is the store as Open sees it.
type reader struct{ store }
