package shardkv

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/eraft-io/eraft/messages"
)

// The cursor cache is bounded in bytes, and keeps the newest cursors.
func TestCursorsAreBounded(t *testing.T) {
	var c cursorCache
	key := func(i int) []byte {
		return []byte(strings.Repeat("x", messages.MaxKeyBytes-5) + fmt.Sprintf("%05d", i))
	}
	for i := range 5000 {
		cursor := c.remember(7, key(i))
		require.Equal(t, cursor, c.remember(7, key(i)))
		require.Equal(t, key(i), c.keys[cursorKey{7, cursor}])
		require.LessOrEqual(t, c.bytes, maxCursorBytes)
	}
	require.Equal(t, len(c.keys), len(c.order))
	require.Equal(t, maxCursorBytes/(messages.MaxKeyBytes+cursorOverhead), len(c.keys))
	require.Nil(t, c.keys[cursorKey{7, fingerprint(key(0))}])
}
