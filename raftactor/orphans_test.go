package raftactor

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/persistence"
	"github.com/eraft-io/eraft/persistence/memory"
)

// Only what groups without a log have left is swept away.
func TestSweep(t *testing.T) {
	engine := memory.New()
	batch := new(persistence.Batch)
	want := map[string]bool{"c/config": true, "short": true}
	batch.Put([]byte("c/config"), nil)
	batch.Put([]byte("short"), nil)
	for _, group := range []messages.GroupID{0, 1, 2, 255, 256, 1 << 40} {
		s := store{engine, group}
		for _, key := range [][]byte{s.key(kindData, 'k'), s.key(kindData), s.key(kindApplied), s.chunkKey(3), s.stagedKey(), s.key(kindInstalling)} {
			batch.Put(key, []byte("x"))
			want[string(key)] = group == 1 || group == 255
		}
	}
	require.NoError(t, engine.Write(batch, false))
	for range 2 {
		require.NoError(t, DeleteOrphans(engine, []messages.GroupID{1, 255}))
		left := map[string]bool{}
		require.NoError(t, engine.Scan(nil, nil, func(key, _ []byte) bool { left[string(key)] = true; return true }))
		for key, stays := range want {
			require.Equal(t, stays, left[key], "%q", key)
		}
	}
}
