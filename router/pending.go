package router

import (
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/messages"
)

// pending is one request that is not answered.
type pending struct {
	routed
	sender   *actor.PID
	done     func(*messages.Reply)
	gone     <-chan struct{}
	op       proto.Message
	bytes    int           // of the request
	most     int           // bytes that the caller has room for, of a read; 0: it has not said
	wait     time.Duration // for a window at most
	wanted   time.Duration // since when its caller waits
	until    time.Duration // when a request that waits for a window is refused
	deadline time.Duration
	next     time.Duration // when to try again
	since    time.Duration // when the attempts began that are not answered
	sent     time.Duration // when the newest of them was made
	last     receiver      // asked last; node 0: nobody
	tries    int
	moved    int // of them, that were refused because the group does not serve the bucket
	routing  int // of them, of which the Router has not said yet where they went
	places   []place
	hint     uint64 // config version of the newest hint to another group
	heard    bool   // the last attempt was answered
	answer   *messages.Reply
}

// place is a replica that was asked.
type place struct {
	receiver
	times   int
	refused bool
}

// at notes an attempt.
func (p *pending) at(to receiver) {
	for i := range p.places {
		if p.places[i].receiver == to {
			p.places[i].times++
			return
		}
	}
	p.places = append(p.places, place{receiver: to, times: 1})
}

// refused notes that a replica has refused the request. An answer may come twice, so of one that was asked more than once
// nobody knows which attempts it has refused.
func (p *pending) refused(by receiver) {
	for i := range p.places {
		if p.places[i].receiver == by {
			p.places[i].refused = true
		}
	}
}

// maybe tells whether the request may have been carried out, or still may be.
func (p *pending) maybe() bool {
	if !p.command {
		return false
	}
	for _, at := range p.places {
		if !at.refused || at.times > 1 {
			return true
		}
	}
	return p.routing > 0
}

// vain is how many attempts nobody answered well. An answer that comes twice may count twice.
func (p *pending) vain() int { return max(0, p.tries-p.moved) }
