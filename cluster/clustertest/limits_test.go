package clustertest_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/cluster/clustertest"
	"github.com/eraft-io/eraft/messages"
)

func encode(t *testing.T, m proto.Message) []byte {
	encoded, err := proto.Marshal(m)
	require.NoError(t, err)
	return encoded
}

// A stranger who speaks to a leader directly, with a command that fits a message but makes an entry that does not, is
// refused, and the group goes on.
func TestRawCommandsMakeNoEntryThatCannotBeSent(t *testing.T) {
	s := startCluster(t, 700, clustertest.Options{Groups: 1})
	c := s.Client("c")
	_, err := c.Do(put("k", "v"))
	require.NoError(t, err)
	stranger := s.RawClient("s")
	ask := func(command *messages.Command) { stranger.Send(leader(t, s, 1), 1, encode(t, command)) }
	for i := range 4 {
		ask(&messages.Command{Session: 8, Seq: uint64(i + 1), Op: &messages.Command_Put{Put: put("k", string(make([]byte, 100<<10)))}})
	}
	ask(&messages.Command{Session: 7, Seq: 1, Op: &messages.Command_Cas{Cas: &messages.CompareAndSwap{
		Expect: &messages.Condition{Key: []byte("k"), Expect: &messages.Condition_Value{Value: make([]byte, 4<<20-200)}}, Value: []byte("x"),
	}}})
	s.RunUntil(func() bool { return false }, time.Second)
	_, err = c.Do(put("k", "w"))
	require.NoError(t, err)
	require.Empty(t, s.Oracle.Violations)
}
