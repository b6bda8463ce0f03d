package actortest

import (
	"container/heap"
	"math/rand/v2"
	"time"
)

// Strategy chooses which of the actors that have something to do runs next.
type Strategy int

const (
	// Random takes any of them.
	Random Strategy = iota
	// FIFO takes the one that has waited longest.
	FIFO
	// Priority gives each actor a random rank and takes the one with the highest, whose rank it changes now and then. Orders in which one
	// actor is far behind all others, which Random hardly ever draws, are common here.
	Priority
)

// rerank is how rarely Priority changes a rank: once in so many steps.
const rerank = 50

// task is one activation of one actor.
type task struct {
	who *runner
	run func()
}

// queue holds the activations that may run now.
type queue struct {
	strategy Strategy
	rng      *rand.Rand
	tasks    []task
	head     int // of FIFO
}

func (q *queue) len() int { return len(q.tasks) - q.head }

func (q *queue) push(t task) { q.tasks = append(q.tasks, t) }

func (q *queue) pop() (task, bool) {
	for q.len() > 0 {
		t := q.take()
		if !t.who.incarnation.dead {
			return t, true
		}
	}
	return task{}, false
}

func (q *queue) take() task {
	if q.strategy == FIFO {
		t := q.tasks[q.head]
		q.tasks[q.head] = task{}
		if q.head++; q.head == len(q.tasks) {
			q.tasks, q.head = q.tasks[:0], 0
		}
		return t
	}
	at := 0
	if q.strategy == Random {
		at = q.rng.IntN(len(q.tasks))
	} else {
		for i, t := range q.tasks {
			if t.who.rank > q.tasks[at].who.rank {
				at = i
			}
		}
		if q.rng.IntN(rerank) == 0 {
			q.tasks[at].who.rank = q.rng.Uint64()
		}
	}
	t := q.tasks[at]
	last := len(q.tasks) - 1
	copy(q.tasks[at:], q.tasks[at+1:]) // order is kept, so that Priority breaks ties by age
	q.tasks[last] = task{}
	q.tasks = q.tasks[:last]
	return t
}

// timer is something that happens at a virtual time.
type timer struct {
	at      time.Duration
	seq     uint64 // timers of one time go off in the order in which they were set
	arrival bool   // of a message
	fire    func()
}

// timers are the timers that have not gone off, by time.
type timers struct {
	seq  uint64
	heap timerHeap
}

func (t *timers) push(next timer) {
	t.seq++
	next.seq = t.seq
	heap.Push(&t.heap, next)
}

func (t *timers) pop(limit time.Duration) (timer, bool) {
	if len(t.heap) == 0 || limit >= 0 && t.heap[0].at > limit {
		return timer{}, false
	}
	return heap.Pop(&t.heap).(timer), true
}

type timerHeap []timer

func (h timerHeap) Len() int { return len(h) }
func (h timerHeap) Less(i, j int) bool {
	return h[i].at < h[j].at || h[i].at == h[j].at && h[i].seq < h[j].seq
}
func (h timerHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *timerHeap) Push(x any)   { *h = append(*h, x.(timer)) }
func (h *timerHeap) Pop() any {
	last := len(*h) - 1
	t := (*h)[last]
	(*h)[last] = timer{}
	*h = (*h)[:last]
	return t
}
