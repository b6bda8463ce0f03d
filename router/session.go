package router

import (
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/actors"
	"github.com/eraft-io/eraft/messages"
)

// Session turns operations of callers into requests to the cluster. It is the only component that retries: the Router, the
// Peers and the Appliers handle each message once and may lose it, and the Session sends it again.
//
//	receives                         from      does
//	*messages.Get, Put, Scan, …      actors    sends a request to the cluster, replies to the sender with a *messages.Reply
//	*Ask                             Go code   sends a request to the cluster, calls Done
//	*messages.Replies                Appliers, Peers, the Router  answers the caller, or follows a hint
//	*dispatched                      Router    records to which replica requests went
//	retryTick                        itself    retries requests without a reply, ends requests past their deadline
//	moveRetryTick                    itself    retries requests that were refused because their bucket is migrating
//
// # Identity
//
// A message between nodes is delivered at most once, and its sender cannot know whether it arrived. A request that gets no
// reply must be sent again, and then it may arrive twice. Therefore each request has an identity, the pair (session id,
// sequence number), which no other request ever has, and every attempt carries the same bytes. A group keeps its reply to a
// command together with the identity: when a copy arrives, the group does not apply it again but repeats the reply. So a
// command is applied at most once however often it is sent. With each command the Session also says below which sequence
// number it has all replies ("acked"): a group forgets the replies below it.
//
//	start(request):
//	    lastSeq++
//	    request.seq     = lastSeq
//	    request.encoded = encode(op, session id, seq, acked = lowest seq without a reply, apply deadline)
//	    attempt(request)
//
// # Deadline
//
// A caller gives a timeout. When it is over, the Session answers, and its answer must be true: UNAVAILABLE says that the
// request has no effect, now and later; UNCERTAIN says that it may have one. The Session therefore records which replicas
// may have received the request and which of them have refused it. A request that every asked replica has refused, or that
// was never sent, is UNAVAILABLE. A command with one unaccounted attempt is UNCERTAIN. A copy that the network holds back
// cannot be applied long after that: a command carries a deadline in log time (see logClock), after which groups refuse it.
//
// # Retry
//
//	attempt(request):
//	    request.retryAt = now + retransmission timeout of the node asked last   // rttEstimator: RFC 6298
//	    send to the Router, which sends it to the leader it knows, and says which replica that is
//
//	on a reply:
//	    OK, CONFLICT, INVALID, …   answer the caller
//	    NOT_LEADER                 tell the Router who leads; attempt at once, after three hints with backoff
//	    WRONG_GROUP, newer hint    tell the Router who serves the bucket; attempt at once
//	    WRONG_GROUP, no news       the bucket is between two groups: attempt after 3 to 5 ms
//	    UNAVAILABLE, UNCERTAIN     attempt after 10 to 100 ms
//	    OVERLOADED                 answer the caller, unless an earlier attempt may have been applied: then as UNAVAILABLE
//	    EXPIRED                    the apply deadline came from a wrong clock: another one, if no attempt can have been applied
//
//	every 25 ms, for each request without a reply:
//	    past its deadline          answer UNAVAILABLE or UNCERTAIN
//	    past retryAt               tell the Router that the node is silent; attempt
//
// The Session has no routes of its own: it tells the Router what replies and silence say about leaders and buckets, and the
// Router decides what to believe. In turn each *dispatched says which nodes the Router suspects: a hint to such a node is
// not followed for a second, since other replicas name a dead leader until they elect another.
//
// # Window
//
// The Session is bounded. With Options.InFlight unanswered requests a further one is OVERLOADED at once. Requests and
// replies above 4 KiB are also bounded in bytes: by a congestion window (Options.RequestWindow), which shrinks when the
// cluster refuses requests as OVERLOADED, and by a reply window (Options.ReplyWindow). A request that fits into neither
// window waits, without a copy of its bytes, at most a second: then it is OVERLOADED. More on the way would not be served
// sooner; it would stand in the queues of connections until its deadline, and then be sent again behind itself.
type Session struct {
	system   *actors.System
	self     *actor.PID
	router   *actor.PID   // the Router of this system
	requests requestTable // sent and unanswered; gives out identities
	admitted admission    // the windows, and the requests that wait for them
	retries  retryPolicy  // when to retry
	routes   routeReport  // what the Router said last
	logClock logClock     // estimate of log time, for apply deadlines
	outgoing []outgoing   // attempts of the current mailbox batch, for the Router
	moving   []uint64     // sequence numbers that wait for a moveRetryTick
	ticking  bool         // a retryTick is scheduled
}

type (
	retryTick     struct{}
	moveRetryTick struct{}
)

// tickInterval is the time between two retry ticks, while there is an unanswered request.
const tickInterval = 25 * time.Millisecond

// Start spawns a Router and a Session on a system. It returns the Session.
func Start(system *actors.System, o Options) (*actor.PID, error) {
	r := newRouter(system, o)
	if _, err := system.Spawn(Path, func() actor.Actor { return r }, actors.Batching(actors.MailboxBound{}, nil)); err != nil {
		return nil, err
	}
	return StartSession(system, o)
}

// StartSession spawns a further Session on a system that has a Router. Of o it uses Name, InFlight, RequestWindow and
// ReplyWindow.
func StartSession(system *actors.System, o Options) (*actor.PID, error) {
	rng := system.Rand("session/" + o.Name)
	id := messages.SessionID(rng.Uint64() | 1)
	s := &Session{
		system: system, router: actor.NewPID(system.Address(), Path),
		requests: newRequestTable(id), admitted: newAdmission(o), retries: newRetryPolicy(rng),
	}
	return system.Spawn("session/"+id.String(), func() actor.Actor { return s }, actors.Batching(actors.MailboxBound{}, nil))
}

// Receive implements actor.Actor.
func (s *Session) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *actor.Started:
		s.self = ctx.Self()
	case *actor.Stopping:
		s.stop()
	case []any:
		for _, element := range m {
			message, sender := actors.Unwrap(element)
			s.on(message, sender)
		}
		s.flush()
	}
}

func (s *Session) on(message any, sender *actor.PID) {
	switch m := message.(type) {
	case *Ask:
		s.accept(&request{op: m.Op, done: m.Done, cancel: m.Cancel, callerBudget: m.ReplyBudget}, m.Timeout)
	case *messages.Replies:
		s.observeLogTime(m.TimeMs)
		for _, r := range m.Replies {
			s.onReply(r, replica{m.FromGroup, m.FromNode})
		}
	case *dispatched:
		s.onDispatched(m)
	case retryTick:
		s.onRetryTick()
	case moveRetryTick:
		s.onMoveRetryTick()
	case proto.Message:
		s.accept(&request{op: m, sender: sender}, 0)
	}
}

// stop answers all requests.
func (s *Session) stop() {
	for r := range s.requests.all() {
		s.finish(r, s.noReply(r, "the session was closed"))
	}
	for _, r := range s.admitted.waiting() {
		s.finish(r, refusal(messages.Errorf(messages.Code_UNAVAILABLE, "the session was closed before it was sent")))
	}
}

// accept starts a request, lets it wait for a window, or refuses it.
func (s *Session) accept(r *request, timeout time.Duration) {
	if timeout <= 0 {
		timeout = DefaultTimeout
	}
	timeout = min(timeout, MaxTimeout)
	now := s.system.Clock.Now()
	if refused := s.admitted.arrive(r, s.requests.len(), now, timeout); refused != nil {
		s.finish(r, refused)
		return
	}
	s.enter(r)
	if !s.ticking {
		s.ticking = true
		s.scheduleTick()
	}
}

// enter starts a request, or lets it wait for a window.
func (s *Session) enter(r *request) {
	if s.admitted.enter(r, s.system.Clock.Now()) {
		s.start(r)
	}
}

// start gives a request its identity and makes the first attempt.
func (s *Session) start(r *request) {
	r.seq = s.requests.nextSeq()
	if why := r.encode(s); why != nil {
		s.finish(r, refusal(why))
		return
	}
	s.requests.add(r)
	s.admitted.started(r)
	s.attempt(r)
}

// attempt has the Router send a request at the end of this mailbox batch.
func (s *Session) attempt(r *request) {
	now := s.system.Clock.Now()
	r.noteAttempt(now, s.retries.timeout(r))
	s.outgoing = append(s.outgoing, r.outgoing)
}

// flush starts the waiting requests that fit by now, and hands all attempts to the Router.
func (s *Session) flush() {
	now := s.system.Clock.Now()
	for r := s.admitted.next(); r != nil; r = s.admitted.next() {
		if refused := s.admitted.overdue(r, now); refused != nil {
			s.finish(r, refused)
		} else {
			s.start(r)
		}
	}
	if len(s.outgoing) > 0 {
		s.system.Root.Send(s.router, &forward{session: s.self, requests: s.outgoing})
		s.outgoing = nil
	}
}

func (s *Session) onDispatched(m *dispatched) {
	s.routes.update(m)
	for _, seq := range m.seqs {
		if r := s.requests.get(seq); r != nil {
			r.noteDispatched(m.to)
			if m.to.node == 0 {
				s.retryLater(r)
			}
		}
	}
}

// finish answers the caller of a request, and releases what the Session keeps for it.
func (s *Session) finish(r *request, reply *messages.Reply) {
	overloaded := reply.Code == messages.Code_OVERLOADED
	s.release(r, overloaded)
	if overloaded {
		s.admitted.refused(r)
	}
	switch {
	case r.done != nil:
		r.done(reply)
	case r.sender != nil:
		s.system.Root.Send(r.sender, reply)
	}
}

// release takes a request out of the table and the windows, if it is there.
func (s *Session) release(r *request, overloaded bool) {
	if s.requests.remove(r) {
		s.admitted.ended(r, overloaded)
	}
}

func (s *Session) feedback(f routeFeedback) { s.system.Root.Send(s.router, f) }

func (s *Session) scheduleTick() {
	s.system.Clock.After(tickInterval, func() { s.system.Root.Send(s.self, retryTick{}) })
}

// refusal is the reply to a request that was not sent.
func refusal(why *messages.Error) *messages.Reply {
	return &messages.Reply{Code: why.Code, Text: why.Text, Hint: why.Hint}
}
