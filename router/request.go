package router

import (
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/messages"
)

// request is one operation of a caller, from its arrival at a Session to its answer. Times are readings of the Session's clock.
type request struct {
	outgoing // what is sent; the same in every attempt, but for retry and anyReplica

	op           proto.Message // as the caller gave it
	sender       *actor.PID    // gets the answer, if done is nil
	done         func(*messages.Reply)
	cancel       <-chan struct{} // see Ask.Cancel
	callerBudget int             // bytes: see Ask.ReplyBudget; 0: the caller has not said
	size         int             // bytes of op, encoded

	deadline     time.Duration // when the caller is answered at the latest
	waitingSince time.Duration // since when the caller waits, its refused requests included: its place in a queue
	maxWait      time.Duration // for a window
	waitDeadline time.Duration // when a request that waits for a window is refused

	retryAt         time.Duration // when the next attempt is made, if there is no reply
	sentAt          time.Duration // time of the last attempt
	unansweredSince time.Duration // time of the first attempt after the last reply
	attempts        int
	undispatched    int            // attempts of which the Router has not said yet where they went
	asked           []askedReplica // each replica that was asked, once
	lastReplica     replica        // asked last; node 0: none
	answered        bool           // the last attempt has a reply
	lastReply       *messages.Reply

	wrongGroupReplies int    // replies WRONG_GROUP; a reply that comes twice counts twice
	hintVersion       uint64 // config version of the newest hint to another group
}

// askedReplica is a replica to which attempts went.
type askedReplica struct {
	replica
	attempts int
	refused  bool // the replica has refused one of them: it has not applied that one
}

// noteAttempt counts an attempt. The next one follows after timeout.
func (r *request) noteAttempt(now, timeout time.Duration) {
	r.retryAt = now + timeout
	if r.answered || r.attempts == 0 {
		r.unansweredSince = now
	}
	r.retry = r.attempts > 0
	r.anyReplica = r.anyReplica && r.attempts == 0 // a replica that could not answer has refused it: the leader can
	r.attempts++
	r.undispatched++
	r.answered, r.sentAt = false, now
}

// noteDispatched records where an attempt went; node 0: nowhere.
func (r *request) noteDispatched(to replica) {
	r.undispatched--
	if r.lastReplica = to; to.node == 0 {
		return
	}
	for i := range r.asked {
		if r.asked[i].replica == to {
			r.asked[i].attempts++
			return
		}
	}
	r.asked = append(r.asked, askedReplica{replica: to, attempts: 1})
}

// noteRefused records that a replica has refused the request. A reply may come twice, so of a replica that was asked more
// than once it is not known which attempts it has refused.
func (r *request) noteRefused(by replica) {
	for i := range r.asked {
		if r.asked[i].replica == by {
			r.asked[i].refused = true
		}
	}
}

// maybeApplied reports whether the request may have been applied, or may still be: it is a command, and not every attempt is
// known to have been refused.
func (r *request) maybeApplied() bool {
	if !r.command {
		return false
	}
	for _, at := range r.asked {
		if !at.refused || at.attempts > 1 {
			return true
		}
	}
	return r.undispatched > 0
}

// failedAttempts is the number of attempts that backoff counts: all but those that met a bucket on its way.
func (r *request) failedAttempts() int { return max(0, r.attempts-r.wrongGroupReplies) }

// withReplyBudget is a new request, not sent yet, for the same operation of the same caller with another reply budget in
// bytes. A reply to the old one is late.
func (r *request) withReplyBudget(bytes int) *request {
	return &request{
		outgoing: outgoing{replyBudget: bytes},
		op:       r.op, sender: r.sender, done: r.done, cancel: r.cancel, size: r.size,
		maxWait: r.maxWait, waitingSince: r.waitingSince, deadline: r.deadline,
	}
}
