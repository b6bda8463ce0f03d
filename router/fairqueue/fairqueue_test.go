package fairqueue_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/eraft-io/eraft/router/fairqueue"
)

type waiting struct {
	caller int
	since  time.Duration
}

// Callers that come again at once, refused or served, are all served within a bounded number of rounds.
func TestEveryCallerIsServed(t *testing.T) {
	const callers, capacity, rounds = 20, 2, 100
	places, queue, now := fairqueue.NewPlaces[int](callers), fairqueue.Queue[*waiting]{}, time.Duration(0)
	ask := func(caller int) {
		w := &waiting{caller: caller, since: places.Arrive(caller, now)}
		queue.Push(w.since, w)
	}
	lastServed := map[int]int{} // caller -> round
	for caller := 1; caller <= callers; caller++ {
		lastServed[caller] = 0
		ask(caller)
	}
	for round := 1; round <= rounds; round++ {
		var again []int
		for range capacity {
			now++
			w := queue.Pop()
			require.LessOrEqual(t, round-lastServed[w.caller], callers/capacity)
			lastServed[w.caller] = round
			again = append(again, w.caller)
		}
		queue.RemoveIf(func(w *waiting) bool {
			places.Refused(w.caller, w.since)
			again = append(again, w.caller)
			return true
		})
		require.Zero(t, queue.Len())
		for _, caller := range again {
			ask(caller)
		}
	}
	for _, round := range lastServed {
		require.GreaterOrEqual(t, round, rounds-callers/capacity)
	}
}

func TestPlacesAreBounded(t *testing.T) {
	places := fairqueue.NewPlaces[int](2)
	for caller := range 10 {
		places.Refused(caller, time.Duration(caller))
		places.Refused(0, 0)
		require.LessOrEqual(t, places.Len(), 2)
	}
	require.Equal(t, time.Hour, places.Arrive(0, time.Hour), "the zero caller is nobody")
	require.Equal(t, 9*time.Nanosecond, places.Arrive(9, time.Hour))
	require.Equal(t, time.Hour, places.Arrive(9, time.Hour), "its place is taken out")
}

func TestPlaceEndsWithService(t *testing.T) {
	var p fairqueue.Place
	require.Equal(t, time.Second, p.Since(time.Second))
	require.Equal(t, time.Second, p.Since(time.Minute), "a refusal keeps it")
	require.True(t, p.Waiting())
	p.Served()
	require.False(t, p.Waiting())
	require.Equal(t, time.Hour, p.Since(time.Hour))
}

func TestQueueOrder(t *testing.T) {
	var q fairqueue.Queue[string]
	for item, since := range map[string]time.Duration{"late": 3, "early": 1, "middle": 2} {
		q.Push(since, item)
	}
	q.Push(2, "middle too")
	require.Equal(t, []string{"early", "middle", "middle too", "late"}, q.Items())
	require.Equal(t, "early", q.First())
	require.True(t, q.Remove("middle"))
	require.False(t, q.Remove("middle"))
	require.Equal(t, "early", q.Pop())
	q.RemoveIf(func(item string) bool { return item == "late" })
	require.Equal(t, []string{"middle too"}, q.Items())
	require.Equal(t, 1, q.Len())
}
