package router

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"

	"github.com/eraft-io/eraft/messages"
)

// Sequence numbers are given out once, and acked is below every request without a reply.
func TestRequestTable(t *testing.T) {
	table := newRequestTable(7)
	add := func() *request {
		r := &request{}
		r.seq = table.nextSeq()
		table.add(r)
		return r
	}
	first, second, third := add(), add(), add()
	require.EqualValues(t, 1, table.acked())
	require.Same(t, second, table.get(2))
	require.True(t, table.remove(second))
	require.False(t, table.remove(second), "it is not there any more")
	require.False(t, table.remove(&request{}), "it was never added")
	require.EqualValues(t, 1, table.acked())
	require.True(t, table.remove(first))
	require.EqualValues(t, 3, table.acked())
	fourth := add()
	require.Equal(t, []*request{third, fourth}, slices.Collect(table.all()))
	for r := range table.all() {
		require.True(t, table.remove(r), "the loop may remove what it is given")
	}
	require.Zero(t, table.len())
	require.EqualValues(t, 4, table.acked(), "the last may still come back as a request that was not added")
	require.EqualValues(t, 5, table.nextSeq())
}

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

func TestRetryPolicy(t *testing.T) {
	p := newRetryPolicy(rand.New(rand.NewPCG(1, 2)))
	r := &request{}
	for attempts, bounds := range map[int][2]time.Duration{0: {5, 10}, 1: {10, 20}, 2: {20, 40}, 20: {50, 100}} {
		r.attempts = attempts
		pause := p.backoff(r)
		require.GreaterOrEqual(t, pause, bounds[0]*time.Millisecond)
		require.Less(t, pause, bounds[1]*time.Millisecond)
	}
	for range 100 {
		require.GreaterOrEqual(t, p.movePause(), minMoveRetry)
		require.Less(t, p.movePause(), maxMoveRetry)
	}
	r = &request{attempts: 1, sentAt: 10}
	require.False(t, p.nodeIsSilent(r), "no node was asked")
	r.lastReplica = replica{1, 3}
	require.True(t, p.nodeIsSilent(r))
	p.rtt.observe(3, 0, 20)
	require.False(t, p.nodeIsSilent(r), "it has answered another request since")
	r.attempts = maxLostWhileAlive + 1
	require.True(t, p.nodeIsSilent(r), "but this one it does not answer")
	r.answered = true
	require.False(t, p.nodeIsSilent(r))
}

// The Router's reports replace each other; a node that is heard is not suspected until the next one says so again.
func TestRouteReport(t *testing.T) {
	var r routeReport
	require.False(t, r.heard(1))
	r.update(&dispatched{to: replica{1, 1}, level: 2, suspected: map[uint64]time.Duration{1: time.Second}})
	require.True(t, r.suspects(1, time.Second-1))
	require.False(t, r.suspects(1, time.Second))
	require.False(t, r.suspects(0, 0))
	require.True(t, r.heard(1))
	require.False(t, r.heard(1))
	require.False(t, r.suspects(1, 0))
	r.update(&dispatched{level: 1, unroutable: "; none was named by a:1"})
	r.update(&dispatched{to: replica{1, 1}})
	require.EqualValues(t, 2, r.level, "a level never sinks")
	require.Equal(t, "; none was named by a:1", r.unroutable)
}

// One node is asked at a time; a newer config ends it, or all sources have been asked once.
func TestConfigPuller(t *testing.T) {
	var p configPuller
	require.True(t, p.wantNewer())
	require.False(t, p.wantNewer(), "a node was asked a moment ago")
	require.True(t, p.tick(), "until a newer config is received")
	p.received()
	require.False(t, p.tick())

	sources, asked := []string{"a", "b", "c"}, []string{}
	for pull := p.wantFromAll(len(sources)); pull; pull = p.tick() {
		to, ok := p.next(sources)
		require.True(t, ok)
		asked = append(asked, to)
	}
	require.ElementsMatch(t, sources, asked)
	_, ok := p.next(nil)
	require.False(t, ok)
}

// Requests leave once, replicas in the order in which they were added, and those of a Session apart by reply budget.
func TestRequestBatches(t *testing.T) {
	b, session := newRequestBatches(), actor.NewPID("here", "session/1")
	first, second := replica{1, 1}, replica{2, 1}
	var all []*messages.SessionRequests
	for _, q := range []outgoing{
		{command: true, encoded: []byte("command")}, {command: true, retry: true, encoded: []byte("retry")},
		{replyBudget: 9, encoded: []byte("query")}, {anyReplica: true, replyBudget: 9, encoded: []byte("replica query")},
	} {
		all = addRequest(all, session, q)
	}
	require.Len(t, all, 2)
	b.add(second, all[1])
	b.add(first, all[0])
	var order []replica
	b.flush(func(to replica, m *messages.Requests) {
		order = append(order, to)
		require.Equal(t, to.group, m.Group)
		require.Len(t, m.Sessions, 1)
	})
	require.Equal(t, []replica{second, first}, order)
	require.Equal(t, []string{"command", "retry", "query", "replica query"}, []string{
		string(all[0].Commands[0]), string(all[0].Retries[0]), string(all[1].Queries[0]), string(all[1].ReplicaQueries[0]),
	})
	b.flush(func(replica, *messages.Requests) { t.Fatal("they have left") })
}
