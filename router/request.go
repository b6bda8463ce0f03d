package router

import (
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/messages"
)

// pending is one request that is not answered.
type request struct {
	outgoing
	sender            *actor.PID
	done              func(*messages.Reply)
	cancel            <-chan struct{}
	op                proto.Message
	size              int           // of the request
	callerBudget      int           // bytes that the caller has room for, of a read; 0: it has not said
	maxWait           time.Duration // for a window at most
	waitingSince      time.Duration // since when its caller waits
	waitDeadline      time.Duration // when a request that waits for a window is refused
	deadline          time.Duration
	retryAt           time.Duration // when to try again
	unansweredSince   time.Duration // when the attempts began that are not answered
	sentAt            time.Duration // when the newest of them was made
	lastReplica       replica       // asked last; node 0: nobody
	attempts          int
	wrongGroupReplies int // of them, that were refused because the group does not serve the bucket
	undispatched      int // of them, of which the Router has not said yet where they went
	asked             []askedReplica
	hintVersion       uint64 // config version of the newest hint to another group
	answered          bool   // the last attempt was answered
	lastReply         *messages.Reply
}

// place is a replica that was asked.
type askedReplica struct {
	replica
	attempts int
	refused  bool
}

// at notes an attempt.
func (p *request) noteDispatched(to replica) {
	for i := range p.asked {
		if p.asked[i].replica == to {
			p.asked[i].attempts++
			return
		}
	}
	p.asked = append(p.asked, askedReplica{replica: to, attempts: 1})
}

// refused notes that a replica has refused the request. An answer may come twice, so of one that was asked more than once
// nobody knows which attempts it has refused.
func (p *request) noteRefused(by replica) {
	for i := range p.asked {
		if p.asked[i].replica == by {
			p.asked[i].refused = true
		}
	}
}

// maybe tells whether the request may have been carried out, or still may be.
func (p *request) maybeApplied() bool {
	if !p.command {
		return false
	}
	for _, at := range p.asked {
		if !at.refused || at.attempts > 1 {
			return true
		}
	}
	return p.undispatched > 0
}

// vain is how many attempts nobody answered well. An answer that comes twice may count twice.
func (p *request) backoffAttempts() int { return max(0, p.attempts-p.wrongGroupReplies) }
