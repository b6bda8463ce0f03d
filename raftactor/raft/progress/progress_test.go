package progress_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/eraft-io/eraft/raftactor/raft/progress"
)

var window = progress.Window{Messages: 3, Bytes: 100}

func TestProbeSendsOneAtATime(t *testing.T) {
	p := progress.Progress{Next: 5}
	require.False(t, p.Full(window))
	p.Sent(7, 30)
	require.True(t, p.Full(window))
	require.EqualValues(t, 5, p.Next, "where the logs agree is not known")
	require.False(t, p.HeartbeatAnswered(), "no append counts as lost that nobody waits for")
	require.False(t, p.Full(window), "but it may be sent again")
}

func TestReplicateSendsAheadWithinTheWindow(t *testing.T) {
	for _, c := range []struct {
		bytes, fit int
	}{{1, 3}, {40, 3}, {60, 2}, {1000, 1}} {
		p := progress.Progress{Match: 4, Next: 5}
		p.BecomeReplicate()
		sent := 0
		for ; !p.Full(window); sent++ {
			p.Sent(p.Next, c.bytes)
		}
		require.Equal(t, c.fit, sent, "of %d bytes", c.bytes)
		require.Equal(t, c.fit, p.Inflight())
		require.EqualValues(t, 5+c.fit, p.Next)
		require.True(t, p.Acknowledged(5))
		require.False(t, p.Full(window))
		require.Equal(t, c.fit-1, p.Inflight())
		require.True(t, p.Acknowledged(p.Next-1) || c.fit == 1)
		require.Zero(t, p.Inflight())
	}
}

func TestAppendsThatCountAsLost(t *testing.T) {
	p := progress.Progress{Match: 4, Next: 5}
	p.BecomeReplicate()
	for range 2 * progress.LostAfterHeartbeats {
		require.False(t, p.HeartbeatAnswered(), "nothing is on its way")
	}
	p.Sent(5, 1)
	p.Sent(6, 1)
	for range progress.LostAfterHeartbeats - 1 {
		require.False(t, p.HeartbeatAnswered())
	}
	require.True(t, p.Acknowledged(5))
	for range progress.LostAfterHeartbeats - 1 {
		require.False(t, p.HeartbeatAnswered(), "they count from the last acknowledgement")
	}
	require.True(t, p.HeartbeatAnswered())
	p.BecomeProbe(p.Match + 1)
	require.EqualValues(t, 6, p.Next)
	require.Zero(t, p.Inflight())
}

func TestSnapshotSendsNoEntriesAndIsAskedForOnce(t *testing.T) {
	p := progress.Progress{Next: 5}
	require.True(t, p.BecomeSnapshot())
	require.False(t, p.BecomeSnapshot())
	require.True(t, p.Full(window))
	p.BecomeProbe(9)
	require.EqualValues(t, 9, p.Next)
	require.True(t, p.BecomeSnapshot(), "the one before has ended")
}

// Whatever happens in whatever order, Match only grows and stays below Next, and the window counts what is on its way.
func TestInvariants(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := progress.Progress{Next: rapid.Uint64Range(1, 20).Draw(t, "next")}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			match, index := p.Match, rapid.Uint64Range(0, 40).Draw(t, "index")
			switch rapid.IntRange(0, 5).Draw(t, "what") {
			case 0:
				p.BecomeProbe(index)
			case 1:
				p.BecomeReplicate()
			case 2:
				p.BecomeSnapshot()
			case 3:
				if !p.Full(window) {
					p.Sent(max(index, p.Next), rapid.IntRange(1, 200).Draw(t, "bytes"))
				}
			case 4:
				require.Equal(t, index > match, p.Acknowledged(index))
			case 5:
				p.HeartbeatAnswered()
			}
			require.GreaterOrEqual(t, p.Match, match)
			require.Less(t, p.Match, p.Next)
			require.LessOrEqual(t, p.Inflight(), window.Messages)
		}
	})
}

func TestNames(t *testing.T) {
	for state, name := range map[progress.State]string{progress.Probe: "probe", progress.Replicate: "replicate", progress.Snapshot: "snapshot"} {
		require.Equal(t, name, state.String())
	}
}
