package gateway

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/eraft-io/eraft/router/fairqueue"
)

// The connection that has waited longest is served first, and no connection that needs less overtakes it.
func TestBudgetIsGrantedInOrder(t *testing.T) {
	b := newByteBudget(10)
	require.True(t, b.reserve(8, new(fairqueue.Place)))
	served := make(chan string, 3)
	ask := func(name string, bytes int, since time.Duration, waiting int) {
		place := new(fairqueue.Place)
		place.Since(since)
		go func() {
			for !b.reserve(bytes, place) { // refused, it asks again at once
			}
			served <- name
		}()
		require.Eventually(t, func() bool {
			b.mu.Lock()
			defer b.mu.Unlock()
			return b.waiting.Len() == waiting
		}, time.Minute, time.Millisecond)
	}
	ask("late", 3, 3*time.Second, 1)
	ask("early", 9, time.Second, 2)
	ask("small", 1, 2*time.Second, 3)
	require.Empty(t, served)
	require.False(t, b.tryReserve(1), "others wait")
	b.release(8)
	require.ElementsMatch(t, []string{"early", "small"}, []string{<-served, <-served})
	require.Empty(t, served)
	b.release(9)
	require.Equal(t, "late", <-served)
	b.release(4)
	require.Equal(t, 10, b.free)
	require.True(t, b.tryReserve(10))
}

// A refused connection keeps its place over commands that need no budget, until it gets what it asked for.
func TestRefusedConnectionKeepsItsPlace(t *testing.T) {
	const all = 1 << 20
	g := &Gateway{options: Options{ReplyBytes: all}, replyBudget: newByteBudget(all)}
	refused, c := &pipeline{g: g}, &call{}
	require.True(t, g.replyBudget.tryReserve(all))
	refused.waitForBudget(c, all)
	require.Contains(t, c.refused, "OVERLOADED")
	require.True(t, refused.place.Waiting())
	require.True(t, refused.setReserved(0), "the end of a batch")
	require.True(t, refused.setReserved(freeReplyBytes), "a small command")
	require.True(t, refused.place.Waiting())
	g.replyBudget.release(all)
	require.True(t, refused.setReserved(all))
	require.False(t, refused.place.Waiting())
	require.True(t, refused.setReserved(0))
	require.Equal(t, all, g.replyBudget.free)
}
