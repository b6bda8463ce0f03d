package messages_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/messages"
)

// Values that CLUSTER KEYSLOT of Redis 7.0 gives.
func TestSlotsAreRedisSlots(t *testing.T) {
	for key, slot := range map[string]uint16{
		"": 0, "foo": 12182, "123456789": 12739, "{user1000}.following": 3443, "{user1000}.followers": 3443,
		"foo{}{bar}": 8363, "foo{{bar}}zap": 4015, "foo{bar}{zap}": 5061, "bar": 5061, "{bar": 4015,
	} {
		require.Equal(t, slot, messages.SlotOf([]byte(key)), "%q", key)
	}
}

func TestBucketsAreEqualRangesOfSlots(t *testing.T) {
	for _, buckets := range []int{1, 3, 256, messages.Slots} {
		seen := map[messages.BucketID]int{}
		for i := range 5000 {
			key := fmt.Appendf(nil, "key-%d", i)
			b := messages.BucketOf(key, buckets)
			require.Less(t, int(b), buckets)
			require.Equal(t, b, messages.BucketID(int(messages.SlotOf(key))*buckets/messages.Slots))
			seen[b]++
		}
		require.GreaterOrEqual(t, len(seen), min(buckets, 250))
	}
}

// The numbers of codes are on the wire for ever.
func TestCodesAreStable(t *testing.T) {
	var names []string
	for i := int32(0); messages.Code_name[i] != ""; i++ {
		names = append(names, messages.Code_name[i])
	}
	require.Equal(t, "OK NOT_LEADER WRONG_GROUP OVERLOADED UNAVAILABLE UNCERTAIN INVALID TOO_LARGE CONFLICT INTERNAL REPLY_DISCARDED EXPIRED", strings.Join(names, " "))
}

func TestErrors(t *testing.T) {
	err := fmt.Errorf("put: %w", messages.Errorf(messages.Code_CONFLICT, "version is %d", 3))
	require.EqualError(t, err, "put: CONFLICT: version is 3")
	require.ErrorIs(t, err, messages.Errorf(messages.Code_CONFLICT, ""))
	require.NotErrorIs(t, err, messages.Errorf(messages.Code_INVALID, ""))
	require.Equal(t, messages.Code_CONFLICT, messages.CodeOf(err))
	require.Equal(t, messages.Code_INTERNAL, messages.CodeOf(errors.New("foreign")))
	require.Equal(t, messages.Code_OK, messages.CodeOf(nil))
}

func TestIdent(t *testing.T) {
	encoded, err := proto.Marshal(&messages.Command{Session: 1 << 63, Seq: 9, Acked: 3, Op: &messages.Command_Put{Put: &messages.Put{Key: []byte("k")}}})
	require.NoError(t, err)
	session, seq := messages.RequestID(encoded)
	require.EqualValues(t, uint64(1)<<63, session)
	require.EqualValues(t, 9, seq)
	for cut := range len(encoded) {
		messages.RequestID(encoded[:cut]) // whatever comes, it does not panic
	}
}
