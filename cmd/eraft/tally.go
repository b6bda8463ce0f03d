package main

import (
	"fmt"
	"maps"
	"os"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// tally counts the replies of all clients of a bench. They share one histogram: one per client would not fit into the processor's
// cache. Times are measured by the clients.
type tally struct {
	what  string
	began time.Time
	done  chan struct{} // closed to end the progress lines; nil: there are none
	wg    sync.WaitGroup

	mu      sync.Mutex
	all     *hdrhistogram.Histogram // microseconds
	second  *hdrhistogram.Histogram // microseconds, since the last progress line
	errors  map[string]int64
	last    time.Time     // time of the last successful reply
	stall   time.Duration // longest time in which no client got a successful reply
	recent  time.Duration // the same, since the last progress line
	longest time.Duration // longest time in which one client got no successful reply
}

// newTally begins to count. With lines it prints a progress line per second on standard error.
func newTally(what string, lines bool) *tally {
	t := &tally{
		what: what, began: time.Now(), errors: map[string]int64{},
		all: hdrhistogram.New(1, 60_000_000, 3), second: hdrhistogram.New(1, 60_000_000, 3),
	}
	t.last = t.began
	if lines {
		t.done = make(chan struct{})
		t.wg.Go(t.print)
	}
	return t
}

// answered counts the reply, received at now, to a request sent at start.
func (t *tally) answered(start, now time.Time, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	took := max(1, now.Sub(start).Microseconds())
	switch {
	case err != nil:
		t.errors[kindOf(err)]++
		return
	case t.all.RecordValue(took) != nil:
		t.errors["SLOWER_THAN_60S"]++
	case t.done != nil:
		_ = t.second.RecordValue(took) // the value is in range
	}
	t.recent = max(t.recent, now.Sub(t.last))
	t.stall = max(t.stall, t.recent)
	t.last = now
}

// gap records the longest time in which one client got no successful reply.
func (t *tally) gap(longest time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.longest = max(t.longest, longest)
}

func (t *tally) print() {
	every := time.NewTicker(time.Second)
	defer every.Stop()
	for {
		select {
		case <-t.done:
			return
		case <-every.C:
		}
		t.mu.Lock()
		stall := max(t.recent, time.Since(t.last))
		fmt.Fprintf(os.Stderr, "%s %4.0f s: %7d ops/s, p50 %.2f ms, p99 %.2f ms, max %.2f ms; no reply for %.0f ms",
			t.what, time.Since(t.began).Seconds(), t.second.TotalCount(), float64(t.second.ValueAtQuantile(50))/1000,
			float64(t.second.ValueAtQuantile(99))/1000, float64(t.second.Max())/1000, millis(stall))
		if len(t.errors) > 0 {
			fmt.Fprintf(os.Stderr, "; errors so far %v", maps.Clone(t.errors))
		}
		fmt.Fprintln(os.Stderr)
		t.second.Reset()
		t.recent = 0
		t.mu.Unlock()
	}
}

// close ends the count and the progress lines.
func (t *tally) close() {
	if t.done != nil {
		close(t.done)
		t.wg.Wait()
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stall = max(t.stall, time.Since(t.last))
}

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
