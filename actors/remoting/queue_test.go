package remoting

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// What is being sent counts until it is sent; what is lost with a stream is counted once; nothing enters a queue that is over.
func TestQueueCounts(t *testing.T) {
	b := &budget{limit: 100}
	q := newQueue(100, b)
	require.Equal(t, queued, q.post(outgoingMessage{size: 30}))
	require.Equal(t, queued, q.post(outgoingMessage{size: 20}))
	require.False(t, q.closeIfEmpty())
	require.Len(t, q.drain(nil), 2)
	count, bytes := q.size()
	require.Equal(t, [2]int{2, 50}, [2]int{count, bytes})
	q.release(1, 30)
	require.False(t, q.closeIfEmpty(), "one is being sent")
	require.EqualValues(t, 20, b.used.Load())
	require.Equal(t, 1, q.close())
	require.Zero(t, q.close())
	require.Zero(t, b.used.Load())
	require.Equal(t, queueClosed, q.post(outgoingMessage{size: 1}))
	q.release(1, 20) // it left a moment too late
	require.Zero(t, b.used.Load())

	idle := newQueue(100, nil)
	require.True(t, idle.closeIfEmpty())
	require.Equal(t, queueClosed, idle.post(outgoingMessage{size: 1}))
}

// A client may use as much as is left for others: the first uses half, and there is always space for one that has nothing yet.
func TestBudgetIsShared(t *testing.T) {
	b := &budget{limit: 120}
	fill := func() (q *queue, bytes int) {
		q = newQueue(1000, b)
		for q.post(outgoingMessage{size: 1}) == queued {
			bytes++
		}
		return q, bytes
	}
	one, first := fill()
	require.InDelta(t, 60, first, 1)
	_, second := fill()
	require.InDelta(t, 30, second, 1)
	_, third := fill()
	require.InDelta(t, 15, third, 1)
	require.Less(t, b.used.Load(), int64(120))
	one.close()
	_, fourth := fill()
	require.Greater(t, fourth, 30, "what one gave back others may have")
}
