package messages

import (
	"bytes"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func collect(t require.TestingT, b Block) (all [][]byte) {
	for i, command := range b.Commands() {
		require.Equal(t, len(all), i)
		all = append(all, command)
	}
	return all
}

func TestBlockGivesWhatWasAppended(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		commands := rapid.SliceOf(rapid.SliceOf(rapid.Byte())).Draw(t, "commands")
		block := BlockOf(commands...)
		require.True(t, block.Complete())
		require.True(t, slices.EqualFunc(commands, collect(t, block), bytes.Equal))
	})
}

func TestBlockThatIsDamagedEndsEarly(t *testing.T) {
	block := BlockOf([]byte("a"), []byte("bc"))
	for _, c := range []struct {
		block Block
		count int
	}{
		{block[:len(block)-1], 1}, // the last command is cut off
		{append(block[:2:2], 0x80), 1},
		{append(block[:2:2], 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01), 1}, // longer than any memory
		{append(block[:2:2], 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff), 1},
	} {
		require.False(t, c.block.Complete())
		require.Len(t, collect(t, c.block), c.count)
	}
	require.True(t, Block(nil).Complete())
}

func FuzzBlock(f *testing.F) {
	f.Add([]byte(BlockOf([]byte("a"), nil, make([]byte, 300))))
	f.Fuzz(func(t *testing.T, b []byte) {
		size := 0
		for _, command := range Block(b).Commands() {
			size += len(command)
		}
		require.LessOrEqual(t, size, len(b))
	})
}
