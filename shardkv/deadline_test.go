package shardkv_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/shardkv"
)

func withDeadline(c *messages.Command, ms uint64) *messages.Command {
	c = proto.CloneOf(c)
	c.DeadlineMs = ms
	return c
}

// A command is applied until its deadline, not later, and not if the deadline is too far ahead. A retry of one that was applied is answered.
func TestCommandsHaveADeadline(t *testing.T) {
	r := newReplica(t, 1, true)
	r.now = 1_000_000
	c := withDeadline(appendTo(7, 1, "k", "a"), 1_030_000)
	require.Equal(t, messages.Code_EXPIRED, r.apply(withDeadline(appendTo(7, 2, "k", "late"), 999_999)).Code)
	require.Equal(t, messages.Code_EXPIRED, r.apply(withDeadline(appendTo(7, 2, "k", "early"), 1_000_001+messages.MaxDeadlineMs)).Code)
	require.Equal(t, messages.Code_EXPIRED, r.apply(withDeadline(put("k", "late"), 1)).Code, "also without a session")
	require.Equal(t, messages.Code_OK, r.apply(c).Code)
	r.now = 1_030_001
	require.EqualValues(t, 1, r.apply(c).Number, "a retry is answered")
	require.Equal(t, messages.Code_EXPIRED, r.apply(withDeadline(appendTo(7, 2, "k", "late"), 1_030_000)).Code)
	got, _ := r.get("k")
	require.Equal(t, "a", got)
}

// Whatever log time does, and however soon a session is evicted: a late copy of its command is not applied again.
func TestForgettingIsSafe(t *testing.T) {
	for _, jump := range []uint64{1, 29_999, 30_000, 30_001, 60_000, 600_000, 1 << 40} {
		r := newReplica(t, 1, true)
		r.now = 1_000_000
		var all []*messages.Command
		for session := range uint64(50) {
			c := withDeadline(appendTo(session+1, 1, "k", "+"), r.now+30_000-session*100)
			require.Equal(t, messages.Code_OK, r.apply(c).Code)
			all = append(all, c)
		}
		r.now += jump
		for i := range uint64(5) { // commands of other sessions evict those that have expired
			require.Equal(t, messages.Code_OK, r.apply(withDeadline(appendTo(100+i, 1, "other", ""), r.now+1000)).Code)
		}
		if records, _, _ := r.of("f"); jump > 30_000 {
			require.Equal(t, 5, records, "sessions are evicted as soon as that is safe")
		}
		for _, c := range all {
			r.apply(c)
			r.restart()
		}
		got, _ := r.get("k")
		require.Len(t, got, len(all))
	}
}

// The time of a bucket does not go back when it migrates to a group whose log time is behind, and a session is not evicted there too soon.
func TestTimeMovesAlong(t *testing.T) {
	a, b := newReplica(t, 1, true), newReplica(t, 2, false)
	a.now, b.now = 1_000_000, 1_012_000
	id := uint32(messages.BucketOf([]byte("{x}"), buckets))
	old := withDeadline(appendTo(7, 1, "{x}", "a"), a.now+30_000)
	require.Equal(t, messages.Code_OK, a.apply(old).Code)
	a.now += 30_001
	require.Equal(t, messages.Code_OK, a.apply(withDeadline(appendTo(8, 1, "{y}", ""), a.now+1000)).Code, "which evicts session 7")
	kept := withDeadline(appendTo(9, 1, "{x}", "b"), a.now+30_000)
	require.Equal(t, messages.Code_OK, a.apply(kept).Code)
	move(t, a, b, id, shardkv.MigrationLimits{}, nil)
	require.Equal(t, messages.Code_EXPIRED, b.apply(old).Code)
	for range 2 {
		require.EqualValues(t, 2, b.apply(kept).Number)
		b.now = a.now + 29_000 // it jumps
		require.Equal(t, messages.Code_OK, b.apply(withDeadline(appendTo(10, 1, "{x}", ""), b.now+1000)).Code)
	}
	got, _ := b.get("{x}")
	require.Equal(t, "ab", got)
	for _, line := range b.dump() {
		require.False(t, strings.HasPrefix(line, `"s`))
	}
}
