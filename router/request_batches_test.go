package router

import (
	"testing"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"

	"github.com/eraft-io/eraft/messages"
)

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
