package router

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Callers that come again at once, refused or served, are all served in turn.
func TestEveryCallerHasItsTurn(t *testing.T) {
	const callers, room, rounds = 20, 2, 100
	q, now := admissionQueue{since: map[<-chan struct{}]time.Duration{}, maxSince: callers}, time.Duration(0)
	ask := func(gone <-chan struct{}) {
		p := &request{cancel: gone}
		q.arrive(p, now)
		q.push(p)
	}
	served := map[<-chan struct{}]int{} // in which round
	for range callers {
		gone := make(chan struct{})
		served[gone] = 0
		ask(gone)
	}
	for round := 1; round <= rounds; round++ {
		var done []*request
		for range room {
			now++
			p := q.pop()
			require.LessOrEqual(t, round-served[p.cancel], callers/room)
			served[p.cancel] = round
			done = append(done, p)
		}
		late := q.waiting
		q.waiting = nil
		for _, p := range late {
			q.refused(p)
		}
		for _, p := range append(done, late...) {
			ask(p.cancel)
		}
	}
	for _, round := range served {
		require.GreaterOrEqual(t, round, rounds-callers/room)
	}
}

func TestTurnsAreBounded(t *testing.T) {
	q := admissionQueue{since: map[<-chan struct{}]time.Duration{}, maxSince: 2}
	for range 10 {
		q.refused(&request{cancel: make(chan struct{})})
		q.refused(&request{})
		require.LessOrEqual(t, len(q.since), 2)
	}
	require.NotContains(t, q.since, (<-chan struct{})(nil), "nobody's")
}
