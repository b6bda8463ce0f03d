package router

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/actors"
	"github.com/eraft-io/eraft/messages"
)

// Session gives requests their identity and deadline and keeps them until they are answered. It is the only one
// that tries again, and a retry is the same bytes.
//
//	receives                         from     does
//	*messages.Get, Put, Scan, …      actors   asks the cluster, answers the sender a *messages.Reply
//	*Ask                             Go code  asks the cluster, calls Done
//	*messages.Replies                Appliers, Peers  answers, or follows a hint
//	*sent                            Router   notes whom was asked
//	pulse                            itself   tries again what got no answer, gives up what is past its deadline
//	again                            itself   tries again what was refused because its bucket changes hands
//
// It is bounded: above Options.InFlight unanswered requests a further one is OVERLOADED at once. Of large ones only a
// window of Options.Window bytes is on the way, and of large answers Options.Answers; the others wait in a queue, without a
// copy, and are OVERLOADED after maxAdmissionWait.
type Session struct {
	system           *actors.System
	router           *actor.PID
	self             *actor.PID
	id               messages.SessionID
	maxUnanswered    int
	contacts         []string // who is asked for the config
	dialError        func(address string) error
	rng              *rand.Rand
	level            messages.Level // feature level of the cluster; 0: not known yet, which is the first one
	lastSeq          uint64
	lowestUnanswered uint64              // lowest seq that may be unanswered
	pending          map[uint64]*request // sent, by seq
	window           congestionWindow
	queue            admissionQueue // of requests that wait for the window
	replies          replyWindow
	outgoing         []outgoing
	ticking          bool
	moving           []uint64 // seqs that wait for again
	logClock         logClock
	suspected        map[uint64]time.Duration // node -> until when it is not asked on hearsay: it let an attempt go unanswered
	rtt              rttEstimator
}

// Ask is a request from Go code that is no actor. Op is a message that an actor could send to a Session, or a
// *messages.MetaCommand or *messages.MetaQuery. Done is called once, on the Session's goroutine: it must not block.
type Ask struct {
	Op      proto.Message
	Timeout time.Duration // 0: DefaultTimeout; at most MaxTimeout
	Done    func(*messages.Reply)
	// Room is the bytes that there is room for in the answer of a read, as messages.ReplyBytes counts them. If it has more it
	// is OVERLOADED, and the reply's Needs says how many. 0: the Session asks for as much as it has room for.
	ReplyBudget int
	// Gone is closed when nobody waits for the answer any more: then a request that was not sent is not sent. Optional. Op
	// must not be changed before that. Asks with the same Gone are one caller's: refused as OVERLOADED, it keeps its turn.
	Cancel <-chan struct{}
}

const (
	// DefaultTimeout is how long a request is tried when nobody says otherwise.
	DefaultTimeout = 5 * time.Second
	// MaxTimeout is how long a request may be tried: with applySlack it is less than messages.MaxDeadlineMs.
	MaxTimeout       = 30 * time.Second
	defaultInFlight  = 4096
	defaultWindow    = 16 << 20
	maxAdmissionWait = time.Second // of a request for the window; half of its timeout, if that is less
	tickInterval     = 25 * time.Millisecond
	minBackoff       = 10 * time.Millisecond
	maxBackoff       = 100 * time.Millisecond
	minMoveRetry     = 3 * time.Millisecond // a bucket that changes hands is served by nobody for milliseconds
	maxMoveRetry     = 5 * time.Millisecond
	maxMoveRetries   = 100         // of one request; from then on its buckets' new group is taken for dead
	suspicionTime    = time.Second // of a node that was silent; others believe in a dead leader until they elect another
)

type (
	pulse struct{}
	again struct{}
)

// Start spawns a Router and a Session on a system, and gives the Session.
func Start(system *actors.System, o Options) (*actor.PID, error) {
	r := &Router{system: system, contacts: o.Contacts, table: NewTable(), outgoing: map[replica]*messages.Requests{}}
	if _, err := system.Spawn(Path, func() actor.Actor { return r }, actors.Batching(actors.Bound{}, nil)); err != nil {
		return nil, err
	}
	return StartSession(system, o)
}

// StartSession spawns a further Session on a system that has a Router.
func StartSession(system *actors.System, o Options) (*actor.PID, error) {
	limit, most, answered := o.InFlight, o.RequestWindow, o.ReplyWindow
	if limit <= 0 {
		limit = defaultInFlight
	}
	if most <= 0 {
		most = defaultWindow
	}
	if answered <= 0 {
		answered = defaultReplyWindow
	}
	rng := system.Rand("session/" + o.Name)
	id := messages.SessionID(rng.Uint64() | 1)
	s := &Session{
		system: system, id: id, maxUnanswered: limit, contacts: o.Contacts, dialError: o.DialError, rng: rng, lowestUnanswered: 1, pending: map[uint64]*request{}, suspected: map[uint64]time.Duration{},
		rtt: rttEstimator{map[uint64]*nodeRTT{}}, window: congestionWindow{max: most, size: most},
		queue:   admissionQueue{since: map[<-chan struct{}]time.Duration{}, maxSince: limit},
		replies: replyWindow{capacity: answered, writeReplySize: messages.MaxValueBytes},
		router:  actor.NewPID(system.Address(), Path),
	}
	return system.Spawn("session/"+id.String(), func() actor.Actor { return s }, actors.Batching(actors.Bound{}, nil))
}

func (s *Session) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *actor.Started:
		s.self = ctx.Self()
	case *actor.Stopping:
		for _, p := range s.pending {
			s.finish(p, s.unansweredReply(p, "the session was closed"))
		}
		for _, p := range slices.Concat(s.queue.waiting, s.replies.waiting) {
			s.finish(p, refusal(messages.Errorf(messages.Code_UNAVAILABLE, "the session was closed before it was sent")))
		}
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
	case *sent:
		s.onDispatched(m)
	case pulse:
		s.onRetryTick()
	case again:
		s.onMoveRetry()
	case proto.Message:
		s.accept(&request{op: m, sender: sender}, 0)
	}
}

// take sends a request, lets it wait for the window, or refuses it.
func (s *Session) accept(p *request, timeout time.Duration) {
	if timeout <= 0 {
		timeout = DefaultTimeout
	}
	timeout = min(timeout, MaxTimeout)
	now := s.system.Clock.Now()
	s.queue.arrive(p, now)
	if unanswered := s.unanswered(); unanswered >= s.maxUnanswered {
		s.finish(p, refusal(messages.Errorf(messages.Code_OVERLOADED, "%d requests of this session wait for an answer", unanswered)))
		return
	}
	p.deadline, p.maxWait, p.size = now+timeout, min(timeout/2, maxAdmissionWait), proto.Size(p.op)
	if p.replyBudget = p.callerBudget; p.callerBudget == 0 {
		p.replyBudget = s.replies.replyBudget(p.op)
	}
	s.admit(p)
	if !s.ticking {
		s.ticking = true
		s.scheduleTick()
	}
}

func (s *Session) unanswered() int {
	return len(s.pending) + len(s.queue.waiting) + len(s.replies.waiting)
}

// enter sends a request, or lets it wait for a window.
func (s *Session) admit(p *request) {
	small, wait := p.size <= smallRequest && p.replyBudget <= smallReply, &s.queue
	if p.replyBudget > smallReply {
		wait = &s.replies.admissionQueue
	}
	if small || len(wait.waiting) == 0 && s.fits(p) {
		s.start(p)
		return
	}
	p.waitDeadline = min(s.system.Clock.Now()+p.maxWait, p.deadline)
	wait.push(p)
}

func (s *Session) fits(p *request) bool {
	return s.window.admits(p.size) && s.replies.admits(p.replyBudget)
}

// begin gives a request its identity, and sends it for the first time.
func (s *Session) start(p *request) {
	s.lastSeq++
	p.seq = s.lastSeq
	if why := p.encode(s, p.op); why != nil {
		s.finish(p, refusal(why))
		return
	}
	s.pending[p.seq] = p
	s.window.add(p.size)
	s.replies.add(p.replyBudget)
	s.attempt(p)
}

// enlarge lets a read that has a larger answer than there was room for wait for as much as it needs. It is asked under
// another name: whatever else comes for this one is late.
func (s *Session) askForLargerReply(p *request, needs int) {
	s.forget(p, false)
	s.admit(&request{
		op: p.op, sender: p.sender, done: p.done, cancel: p.cancel, size: p.size, maxWait: p.maxWait, waitingSince: p.waitingSince, deadline: p.deadline,
		outgoing: outgoing{replyBudget: needs + needs/16}, // others may write it meanwhile
	})
}

// admit sends what has waited for a window as long as there is room.
func (s *Session) admitWaiting() {
	for _, wait := range []*admissionQueue{&s.queue, &s.replies.admissionQueue} {
		for len(wait.waiting) > 0 && s.fits(wait.waiting[0]) {
			if p := wait.pop(); !s.dropOverdue(p) {
				s.start(p)
			}
		}
	}
}

// leave ends the wait of a request that has waited too long, or that nobody wants any more.
func (s *Session) dropOverdue(p *request) bool {
	select {
	case <-p.cancel:
		s.finish(p, refusal(messages.Errorf(messages.Code_UNAVAILABLE, "given up by the caller before it was sent")))
		return true
	default:
	}
	if s.system.Clock.Now() < p.waitDeadline {
		return false
	}
	s.finish(p, refusal(messages.Errorf(messages.Code_OVERLOADED,
		"not carried out: requests of %d bytes and answers of %d are on their way, and no room was left for %d and %d more in time",
		s.window.inFlight, s.replies.inFlight, p.size, p.replyBudget)))
	return true
}

func (s *Session) scheduleTick() {
	s.system.Clock.After(tickInterval, func() { s.system.Root.Send(s.self, pulse{}) })
}

// acked is the lowest seq that is not answered: servers may forget what is below.
func (s *Session) lowestPending() uint64 {
	for s.lowestUnanswered < s.lastSeq && s.pending[s.lowestUnanswered] == nil {
		s.lowestUnanswered++
	}
	return s.lowestUnanswered
}

func (s *Session) attempt(p *request) {
	now := s.system.Clock.Now()
	p.retryAt = now + s.rtt.timeout(p.lastReplica.node, p.backoffAttempts())
	if p.answered || p.attempts == 0 {
		p.unansweredSince = now
	}
	p.retry = p.attempts > 0
	p.anyReplica = p.anyReplica && p.attempts == 0 // a replica that could not answer has sent it back: the leader can
	p.attempts++
	p.undispatched++
	p.answered, p.sentAt = false, now
	s.outgoing = append(s.outgoing, p.outgoing)
}

func (s *Session) flush() {
	s.admitWaiting()
	if len(s.outgoing) > 0 {
		s.system.Root.Send(s.router, &forward{session: s.self, requests: s.outgoing})
		s.outgoing = nil
	}
}

func (s *Session) onDispatched(m *sent) {
	s.level = max(s.level, m.level)
	for _, seq := range m.seqs {
		if p := s.pending[seq]; p != nil {
			p.undispatched--
			if p.lastReplica = m.replica; m.replica.node == 0 {
				s.backoff(p)
			} else {
				p.noteDispatched(m.replica)
			}
		}
	}
}

// later tries again after a pause that grows with the attempts.
func (s *Session) backoff(p *request) {
	pause := min(minBackoff<<min(p.backoffAttempts(), 8), maxBackoff)
	p.retryAt = s.system.Clock.Now() + pause/2 + time.Duration(s.rng.Int64N(int64(pause/2)))
}

func (s *Session) onReply(r *messages.Reply, from replica) {
	p := s.pending[r.Seq]
	if p == nil || r.Session != uint64(s.id) {
		return // late or twice
	}
	if from == (replica{}) { // the Router's own: nobody else is to be asked
		s.finish(p, r)
		return
	}
	s.rtt.observe(p.lastReplica.node, p.unansweredSince, s.system.Clock.Now())
	p.lastReply, p.answered = r, true
	if _, was := s.suspected[p.lastReplica.node]; was {
		delete(s.suspected, p.lastReplica.node)
		s.feedback(healed{heard: true, node: p.lastReplica.node})
	}
	switch r.Code {
	case messages.Code_NOT_LEADER, messages.Code_WRONG_GROUP, messages.Code_UNAVAILABLE, messages.Code_OVERLOADED:
		p.noteRefused(from)
	}
	switch r.Code {
	case messages.Code_NOT_LEADER:
		leader := r.GetHint().GetLeader()
		if s.system.Clock.Now() < s.suspected[leader] {
			s.backoff(p) // whoever says so will soon know better
			return
		}
		s.feedback(healed{group: p.lastReplica.group, node: p.lastReplica.node, leader: leader})
		s.followHint(p, leader != 0)
	case messages.Code_WRONG_GROUP:
		s.feedback(healed{wrong: true, target: p.target, hint: r.Hint})
		s.followMove(p, r.GetHint())
	case messages.Code_UNAVAILABLE, messages.Code_UNCERTAIN:
		if leader := r.GetHint().GetLeader(); leader != 0 && s.system.Clock.Now() >= s.suspected[leader] {
			s.feedback(healed{group: p.lastReplica.group, leader: leader})
		}
		s.backoff(p)
	case messages.Code_EXPIRED:
		s.onExpired(p, from)
	case messages.Code_OVERLOADED:
		switch {
		case p.maybeApplied():
			s.backoff(p)
		case r.NeededBytes > 0 && !p.command:
			s.onLargerReply(p, r)
		default:
			s.finish(p, r)
		}
	default:
		s.replies.observe(p.op, messages.ReplyBytes(r))
		s.finish(p, r)
	}
}

// onLargerReply is told that the answer of a read is larger than there was room for.
func (s *Session) onLargerReply(p *request, r *messages.Reply) {
	needs := int(min(r.NeededBytes, math.MaxInt32))
	s.replies.observe(p.op, needs)
	if p.callerBudget > 0 {
		s.finish(p, r)
		return
	}
	s.askForLargerReply(p, needs)
}

// maxLostWhileAlive is how many attempts may get lost at a node that answers others, before it is taken for silent: its group
// may be stuck there.
const maxLostWhileAlive = 2

// maxHintsAtOnce is how many hints are followed at once before the session slows down.
const maxHintsAtOnce = 3

func (s *Session) followHint(p *request, hinted bool) {
	if hinted && p.attempts <= maxHintsAtOnce {
		s.attempt(p)
		return
	}
	s.backoff(p)
}

// elsewhere follows a hint that is newer than the one before at once. Without one the bucket is between two groups, and
// whoever has it next is asked again in a few milliseconds.
func (s *Session) followMove(p *request, hint *messages.Hint) {
	p.wrongGroupReplies++
	switch {
	case hint.GetGroup() != 0 && hint.ConfigVersion > p.hintVersion:
		p.hintVersion = hint.ConfigVersion
		s.attempt(p)
	case p.wrongGroupReplies > maxMoveRetries:
		s.backoff(p)
	default:
		p.retryAt = s.system.Clock.Now() + minTimeout
		if s.moving = append(s.moving, p.seq); len(s.moving) == 1 {
			pause := minMoveRetry + time.Duration(s.rng.Int64N(int64(maxMoveRetry-minMoveRetry)))
			s.system.Clock.After(pause, func() { s.system.Root.Send(s.self, again{}) })
		}
	}
}

func (s *Session) onMoveRetry() {
	refused := s.moving
	s.moving = nil
	for _, seq := range refused {
		if p := s.pending[seq]; p != nil && p.answered && s.system.Clock.Now() < p.deadline {
			s.attempt(p)
		}
	}
}

func (s *Session) feedback(h healed) { s.system.Root.Send(s.router, h) }

func (s *Session) onRetryTick() {
	if s.ticking = s.unanswered() > 0; !s.ticking {
		return
	}
	s.scheduleTick()
	s.queue.waiting = slices.DeleteFunc(s.queue.waiting, s.dropOverdue)
	s.replies.waiting = slices.DeleteFunc(s.replies.waiting, s.dropOverdue)
	now := s.system.Clock.Now()
	for seq := s.lowestPending(); seq <= s.lastSeq; seq++ {
		p := s.pending[seq]
		switch {
		case p == nil:
		case now >= p.deadline:
			s.finish(p, s.unansweredReply(p, "no answer in time"))
		case now >= p.retryAt:
			if p.lastReplica.node != 0 && !p.answered && !(p.backoffAttempts() <= maxLostWhileAlive && s.rtt.answeredSince(p.lastReplica.node, p.sentAt)) {
				s.suspected[p.lastReplica.node] = now + suspicionTime
				s.feedback(healed{group: p.lastReplica.group, node: p.lastReplica.node, silent: true})
			}
			s.attempt(p)
		}
	}
}

// lost is the answer of a request that has none. Only what was never sent, or only reads, is known to be
// without effect.
func (s *Session) unansweredReply(p *request, why string) *messages.Reply {
	code := messages.Code_UNAVAILABLE
	if p.maybeApplied() {
		code = messages.Code_UNCERTAIN
	}
	text := fmt.Sprintf("%s, asked %d times", why, p.attempts)
	if p.lastReplica.node == 0 {
		text += ": no node is known that could answer"
		for i, address := range s.contacts {
			text += []string{"; none was named by ", ", "}[min(i, 1)] + address
			if s.dialError == nil {
				continue
			}
			if err := s.dialError(address); err != nil {
				text += fmt.Sprintf(" (%v)", err)
			}
		}
	} else {
		text += fmt.Sprintf(": group %d, last on node %d", p.lastReplica.group, p.lastReplica.node)
	}
	if p.lastReply.GetText() != "" {
		text += ", which said: " + p.lastReply.Text
	}
	return &messages.Reply{Code: code, Text: text}
}

func refusal(why *messages.Error) *messages.Reply {
	return &messages.Reply{Code: why.Code, Text: why.Text, Hint: why.Hint}
}

// forget gives back what is kept for a request that was sent.
func (s *Session) forget(p *request, overloaded bool) {
	if s.pending[p.seq] == p {
		delete(s.pending, p.seq)
		s.window.remove(p.size, overloaded)
		s.replies.remove(p.replyBudget)
	}
}

func (s *Session) finish(p *request, r *messages.Reply) {
	s.forget(p, r.Code == messages.Code_OVERLOADED)
	if r.Code == messages.Code_OVERLOADED {
		s.queue.refused(p)
	}
	switch {
	case p.done != nil:
		p.done(r)
	case p.sender != nil:
		s.system.Root.Send(p.sender, r)
	}
}
