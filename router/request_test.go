package router

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAttempts(t *testing.T) {
	r := &request{}
	r.anyReplica = true
	r.noteAttempt(10, 5)
	require.EqualValues(t, 15, r.retryAt)
	require.False(t, r.retry)
	require.True(t, r.anyReplica)
	r.noteAttempt(20, 5)
	require.True(t, r.retry)
	require.False(t, r.anyReplica, "the leader is asked after a replica")
	require.EqualValues(t, 10, r.unansweredSince)
	r.answered = true
	r.noteAttempt(30, 5)
	require.EqualValues(t, 30, r.unansweredSince)
	require.Equal(t, 3, r.failedAttempts())
	r.wrongGroupReplies = 5
	require.Zero(t, r.failedAttempts())
	larger := r.withReplyBudget(77)
	require.Equal(t, 77, larger.replyBudget)
	require.Zero(t, larger.attempts)
}
