package router

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Callers that come again at once, refused or served, are all served in turn.
func TestEveryCallerHasItsTurn(t *testing.T) {
	const callers, room, rounds = 20, 2, 100
	q, now := queue{turns: map[<-chan struct{}]time.Duration{}, most: callers}, time.Duration(0)
	ask := func(gone <-chan struct{}) {
		p := &pending{gone: gone}
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
		var done []*pending
		for range room {
			now++
			p := q.pop()
			require.LessOrEqual(t, round-served[p.gone], callers/room)
			served[p.gone] = round
			done = append(done, p)
		}
		late := q.waiting
		q.waiting = nil
		for _, p := range late {
			q.refused(p)
		}
		for _, p := range append(done, late...) {
			ask(p.gone)
		}
	}
	for _, round := range served {
		require.GreaterOrEqual(t, round, rounds-callers/room)
	}
}

func TestTurnsAreBounded(t *testing.T) {
	q := queue{turns: map[<-chan struct{}]time.Duration{}, most: 2}
	for range 10 {
		q.refused(&pending{gone: make(chan struct{})})
		q.refused(&pending{})
		require.LessOrEqual(t, len(q.turns), 2)
	}
	require.NotContains(t, q.turns, (<-chan struct{})(nil), "nobody's")
}
