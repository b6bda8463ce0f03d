package clustertest

import (
	"fmt"
	"math/rand/v2"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/router"
)

// Workload is a number of simulated clients that ask one thing after another.
type Workload struct {
	*History
	s       *Simulation
	rng     *rand.Rand
	until   time.Duration
	think   time.Duration
	workers int
}

// Work lets clients work until a time of the World.
func (s *Simulation) Work(clients int, until, think time.Duration) *Workload {
	rng := s.random(2)
	w := &Workload{History: NewHistory(rng, s.o.Buckets, s.Now), s: s, rng: rng, until: until, think: think}
	for i := range clients {
		c := s.Client(fmt.Sprintf("c%d", i+1))
		w.workers++
		s.At(s.Now()+time.Duration(w.rng.Int64N(int64(think)+1)), func() { w.next(c) })
	}
	return w
}

// Over tells whether all clients have ended, and all is answered.
func (w *Workload) Over() bool { return w.workers == 0 && w.open == 0 }

func (w *Workload) next(c *Client) {
	if w.s.Now() >= w.until {
		w.workers--
		return
	}
	id, op := w.Next()
	w.send(c, id, op, func() {
		w.s.At(w.s.Now()+time.Duration(w.rng.Int64N(int64(2*w.think)+1)), func() { w.next(c) })
	})
}

func (w *Workload) send(c *Client, id int, op proto.Message, then func()) {
	c.Ask(op, router.DefaultTimeout, func(r *messages.Reply) {
		if err := w.Answer(id, r); err != nil {
			w.s.Oracle.violated("Replies are valid", "%v", err)
		}
		then()
	})
}
