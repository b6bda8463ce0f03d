package remoting

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

func TestBuffersFit(t *testing.T) {
	for _, size := range []int{0, 1, 1023, 1024, 1025, 2048, 2049, 80_000, 1 << 22, 1<<22 + 1} {
		b := buffers.Get(size)
		require.Len(t, *b, size)
		require.LessOrEqual(t, cap(*b), 2*size)
		buffers.Put(b)
	}
	short := make([]byte, 3000) // of no size that is kept
	buffers.Put(&short)
	require.Equal(t, 4096, cap(*buffers.Get(3000)))
}

// What was in a buffer before must not be seen in what is encoded into it later.
func TestCodecOverDirtyBuffers(t *testing.T) {
	for range 10 {
		dirty := buffers.Get(8000)
		copy(*dirty, bytes.Repeat([]byte{0xFF}, 8000))
		buffers.Put(dirty)
		for _, size := range []int{0, 10, 5000, 7000} {
			sent, received := wrapperspb.Bytes(bytes.Repeat([]byte{7}, size)), new(wrapperspb.BytesValue)
			encoded, err := codec{}.Marshal(sent)
			require.NoError(t, err)
			require.NoError(t, codec{}.Unmarshal(encoded, received))
			encoded.Free()
			require.Len(t, received.Value, size)
			require.True(t, bytes.Equal(sent.Value, received.Value))
		}
	}
	_, err := codec{}.Marshal(7)
	require.ErrorContains(t, err, "int is no protobuf message")
	require.Error(t, codec{}.Unmarshal(nil, "text"))
}
