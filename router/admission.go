package router

import (
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/router/fairqueue"
)

// admission decides when a request of a Session may be sent. It bounds unanswered requests in number, and the large ones
// and those with large replies in bytes. Requests that do not fit wait in the order of fairqueue: a refused caller keeps its
// place. admission has no clock; all times are the Session's.
type admission struct {
	maxUnanswered int              // requests, those that wait included
	requests      congestionWindow // of the bytes of requests on their way
	replies       replyWindow      // of the bytes of replies on their way
	forRequest    fairqueue.Queue[*request]
	forReply      fairqueue.Queue[*request]         // of requests with a reply budget above smallReply
	places        fairqueue.Places[<-chan struct{}] // of callers, by Ask.Cancel
}

const (
	defaultInFlight      = 4096
	defaultRequestWindow = 16 << 20
	defaultReplyWindow   = 16 << 20
	maxAdmissionWait     = time.Second // of a request for a window; half of its timeout, if that is less
)

func newAdmission(o Options) admission {
	orDefault := func(n, otherwise int) int {
		if n <= 0 {
			return otherwise
		}
		return n
	}
	inFlight, window := orDefault(o.InFlight, defaultInFlight), orDefault(o.RequestWindow, defaultRequestWindow)
	return admission{
		maxUnanswered: inFlight,
		requests:      congestionWindow{max: window, size: window},
		replies:       replyWindow{capacity: orDefault(o.ReplyWindow, defaultReplyWindow), writeReplySize: messages.MaxValueBytes},
		places:        fairqueue.NewPlaces[<-chan struct{}](inFlight),
	}
}

// arrive prepares a new request: its deadline, its size and its place among those that wait. sent is the number of requests
// that were sent and have no reply. A reply that is not nil refuses the request.
func (a *admission) arrive(r *request, sent int, now, timeout time.Duration) *messages.Reply {
	r.waitingSince = a.places.Arrive(r.cancel, now)
	if unanswered := sent + a.queued(); unanswered >= a.maxUnanswered {
		return refusal(messages.Errorf(messages.Code_OVERLOADED, "this session has %d unanswered requests", unanswered))
	}
	r.deadline, r.maxWait, r.size = now+timeout, min(timeout/2, maxAdmissionWait), proto.Size(r.op)
	if r.replyBudget = r.callerBudget; r.callerBudget == 0 {
		r.replyBudget = a.replies.budgetFor(r.op)
	}
	return nil
}

// enter reports whether a request may be sent now. Otherwise it waits in a queue.
func (a *admission) enter(r *request, now time.Duration) bool {
	small, queue := r.size <= smallRequest && r.replyBudget <= smallReply, &a.forRequest
	if r.replyBudget > smallReply {
		queue = &a.forReply
	}
	if small || queue.Len() == 0 && a.fits(r) {
		return true
	}
	r.waitDeadline = min(now+r.maxWait, r.deadline)
	queue.Push(r.waitingSince, r)
	return false
}

func (a *admission) fits(r *request) bool {
	return a.requests.admits(r.size) && a.replies.admits(r.replyBudget)
}

// next takes the next request that fits out of its queue; nil: there is none.
func (a *admission) next() *request {
	for _, queue := range []*fairqueue.Queue[*request]{&a.forRequest, &a.forReply} {
		if queue.Len() > 0 && a.fits(queue.First()) {
			return queue.Pop()
		}
	}
	return nil
}

// started counts a request that was sent.
func (a *admission) started(r *request) {
	a.requests.add(r.size)
	a.replies.add(r.replyBudget)
}

// ended is the end of a request that was sent. overloaded: the cluster refused it as OVERLOADED.
func (a *admission) ended(r *request, overloaded bool) {
	a.requests.remove(r.size, overloaded)
	a.replies.remove(r.replyBudget)
}

// refused keeps the place of a request's caller, for its next request.
func (a *admission) refused(r *request) { a.places.Refused(r.cancel, r.waitingSince) }

// overdue is the refusal of a waiting request whose caller has gone, or which has waited too long; nil: it may wait on.
func (a *admission) overdue(r *request, now time.Duration) *messages.Reply {
	select {
	case <-r.cancel:
		return refusal(messages.Errorf(messages.Code_UNAVAILABLE, "canceled by the caller before it was sent"))
	default:
	}
	if now < r.waitDeadline {
		return nil
	}
	return refusal(messages.Errorf(messages.Code_OVERLOADED,
		"not carried out: requests of %d bytes and replies of %d bytes are in flight, and there was no room for %d and %d more in time",
		a.requests.inFlight, a.replies.inFlight, r.size, r.replyBudget))
}

// removeOverdue takes all overdue requests out of the queues, and gives each with its refusal to finish.
func (a *admission) removeOverdue(now time.Duration, finish func(*request, *messages.Reply)) {
	for _, queue := range []*fairqueue.Queue[*request]{&a.forRequest, &a.forReply} {
		queue.RemoveIf(func(r *request) bool {
			refused := a.overdue(r, now)
			if refused != nil {
				finish(r, refused)
			}
			return refused != nil
		})
	}
}

// queued is the number of requests that wait.
func (a *admission) queued() int { return a.forRequest.Len() + a.forReply.Len() }

// waiting are the requests that wait.
func (a *admission) waiting() []*request { return append(a.forRequest.Items(), a.forReply.Items()...) }
