package raft

import (
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/raftactor/raft/progress"
)

// Whatever is in the log, an append has no more of it than MaxAppendBytes, or one entry: it can be sent.
func TestAppendsCanBeSent(t *testing.T) {
	cfg := testConfig(1)
	cfg.MaxAppendBytes, cfg.MaxInflightBytes, cfg.MaxUncommittedBytes, cfg.MaxInflightMessages = messages.MaxCommandBytes, 1<<30, 1<<30, 1<<20
	c, err := New(cfg, Boot{Snapshot: birth(1, 1, 1, 2), Applied: 1})
	require.NoError(t, err)
	c.become(Candidate, 2, 0)
	c.becomeLeader()
	for _, size := range []int{1, 1, messages.MaxCommandBytes / 2, messages.MaxCommandBytes / 2, 1, messages.MaxCommandBytes, messages.MaxCommandBytes, 1, 1} {
		_, _, err := c.Propose(make([]byte, size), 1<<63)
		require.NoError(t, err)
	}
	for range 2_000 {
		_, _, err := c.Propose(make([]byte, 100), 1<<63)
		require.NoError(t, err)
	}
	c.followers[0].BecomeProbe(2)
	c.followers[0].State = progress.Replicate
	r, _ := c.Ready()
	appends := 0
	for _, m := range r.Send {
		require.LessOrEqual(t, proto.Size(m), messages.MaxCommandBytes+1024)
		if m.Kind == messages.RaftKind_APPEND {
			appends++
		}
	}
	require.Greater(t, appends, 2)
}
