package router

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/eraft-io/eraft/messages"
)

// Large requests wait for a window in the order in which their callers began to wait; small ones do not wait.
func TestAdmission(t *testing.T) {
	const large = 10 << 10
	a := newAdmission(Options{InFlight: 5, RequestWindow: 2 * large, ReplyWindow: large})
	arrive := func(now time.Duration, cancel <-chan struct{}, size int) (*request, *messages.Reply) {
		r := &request{op: &messages.Put{Key: []byte("k"), Value: make([]byte, size)}, cancel: cancel}
		return r, a.arrive(r, 0, now, 4*time.Second)
	}
	enter := func(now time.Duration, cancel <-chan struct{}, size int) (*request, bool) {
		r, refused := arrive(now, cancel, size)
		require.Nil(t, refused)
		if !a.enter(r, now) {
			return r, false
		}
		a.started(r)
		return r, true
	}
	first, sent := enter(0, nil, large)
	require.True(t, sent)
	require.Equal(t, 4*time.Second, first.deadline)
	patient := make(chan struct{})
	waits, sent := enter(1, patient, large+1000)
	require.False(t, sent)
	require.Equal(t, time.Second+1, waits.waitDeadline, "it waits for a second")
	_, sent = enter(2, nil, 10)
	require.True(t, sent, "a small one does not wait")
	require.Nil(t, a.next())

	var refused []*messages.Reply
	a.removeOverdue(2*time.Second, func(r *request, reply *messages.Reply) {
		require.Same(t, waits, r)
		refused = append(refused, reply)
		a.refused(r)
	})
	require.Len(t, refused, 1)
	require.Equal(t, messages.Code_OVERLOADED, refused[0].Code)
	later, sent := enter(3*time.Second, nil, large+1000)
	require.False(t, sent)
	again, sent := enter(4*time.Second, patient, large+1000)
	require.False(t, sent)
	require.EqualValues(t, 1, again.waitingSince, "a refused caller keeps its place")
	require.Equal(t, []*request{again, later}, a.waiting())

	a.ended(first, false)
	require.Same(t, again, a.next())
	a.started(again)
	require.Nil(t, a.next())
	close(patient)
	require.Equal(t, messages.Code_UNAVAILABLE, a.overdue(again, 0).Code, "its caller has gone")

	_, reply := arrive(0, nil, 1)
	require.Nil(t, reply)
	r := &request{op: &messages.Get{}}
	require.Equal(t, messages.Code_OVERLOADED, a.arrive(r, 4, 0, time.Second).Code, "four sent and one waiting: five are unanswered")
}

// A read with a reply budget waits for the reply window, even where the request window has room.
func TestAdmissionOfReplies(t *testing.T) {
	a := newAdmission(Options{ReplyWindow: 16 << 10})
	read := func() *request {
		r := &request{op: &messages.Get{}, callerBudget: 12 << 10}
		require.Nil(t, a.arrive(r, 0, 0, time.Second))
		return r
	}
	first, second := read(), read()
	require.Equal(t, 12<<10, first.replyBudget)
	require.True(t, a.enter(first, 0))
	a.started(first)
	require.False(t, a.enter(second, 0))
	require.Equal(t, 1, a.queued())
	require.Nil(t, a.next())
	a.ended(first, false)
	require.Same(t, second, a.next())
}
