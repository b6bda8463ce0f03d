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
// copy, and are OVERLOADED after longestWait.
type Session struct {
	system   *actors.System
	router   *actor.PID
	self     *actor.PID
	id       messages.SessionID
	limit    int
	contacts []string // who is asked for the config
	trouble  func(address string) error
	rng      *rand.Rand
	level    messages.Level // feature level of the cluster; 0: not known yet, which is the first one
	seq      uint64
	lowest   uint64              // lowest seq that may be unanswered
	pending  map[uint64]*pending // sent, by seq
	window   window
	queue    queue // of requests that wait for the window
	answers  answers
	out      []routed
	ticking  bool
	refused  []uint64 // seqs that wait for again
	time     clusterTime
	silent   map[uint64]time.Duration // node -> until when it is not asked on hearsay: it let an attempt go unanswered
	patience patience
}

// Ask is a request from Go code that is no actor. Op is a message that an actor could send to a Session, or a
// *messages.MetaCommand or *messages.MetaQuery. Done is called once, on the Session's goroutine: it must not block.
type Ask struct {
	Op      proto.Message
	Timeout time.Duration // 0: DefaultTimeout; at most MaxTimeout
	Done    func(*messages.Reply)
	// Room is the bytes that there is room for in the answer of a read, as messages.ReplyBytes counts them. If it has more it
	// is OVERLOADED, and the reply's Needs says how many. 0: the Session asks for as much as it has room for.
	Room int
	// Gone is closed when nobody waits for the answer any more: then a request that was not sent is not sent. Optional. Op
	// must not be changed before that. Asks with the same Gone are one caller's: refused as OVERLOADED, it keeps its turn.
	Gone <-chan struct{}
}

const (
	// DefaultTimeout is how long a request is tried when nobody says otherwise.
	DefaultTimeout = 5 * time.Second
	// MaxTimeout is how long a request may be tried: with untilSlack it is less than messages.MaxDeadlineMs.
	MaxTimeout    = 30 * time.Second
	defaultFlight = 4096
	defaultWindow = 16 << 20
	longestWait   = time.Second // of a request for the window; half of its timeout, if that is less
	pulseEvery    = 25 * time.Millisecond
	backoffLow    = 10 * time.Millisecond
	backoffHigh   = 100 * time.Millisecond
	againLow      = 3 * time.Millisecond // a bucket that changes hands is served by nobody for milliseconds
	againHigh     = 5 * time.Millisecond
	againTries    = 100         // of one request; from then on its buckets' new group is taken for dead
	distrust      = time.Second // of a node that was silent; others believe in a dead leader until they elect another
)

type (
	pulse struct{}
	again struct{}
)

// Start spawns a Router and a Session on a system, and gives the Session.
func Start(system *actors.System, o Options) (*actor.PID, error) {
	r := &Router{system: system, contacts: o.Contacts, table: NewTable(), out: map[receiver]*messages.Requests{}}
	if _, err := system.Spawn(Path, func() actor.Actor { return r }, actors.Batching(actors.Bound{}, nil)); err != nil {
		return nil, err
	}
	return StartSession(system, o)
}

// StartSession spawns a further Session on a system that has a Router.
func StartSession(system *actors.System, o Options) (*actor.PID, error) {
	limit, most, answered := o.InFlight, o.Window, o.Answers
	if limit <= 0 {
		limit = defaultFlight
	}
	if most <= 0 {
		most = defaultWindow
	}
	if answered <= 0 {
		answered = defaultAnswer
	}
	rng := system.Rand("session/" + o.Name)
	id := messages.SessionID(rng.Uint64() | 1)
	s := &Session{
		system: system, id: id, limit: limit, contacts: o.Contacts, trouble: o.Trouble, rng: rng, lowest: 1, pending: map[uint64]*pending{}, silent: map[uint64]time.Duration{},
		patience: patience{map[uint64]*pulseOf{}}, window: window{most: most, now: most},
		queue:   queue{turns: map[<-chan struct{}]time.Duration{}, most: limit},
		answers: answers{most: answered, written: messages.MaxValueBytes},
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
			s.finish(p, s.lost(p, "the session was closed"))
		}
		for _, p := range slices.Concat(s.queue.waiting, s.answers.waiting) {
			s.finish(p, refuse(messages.Errorf(messages.Code_UNAVAILABLE, "the session was closed before it was sent")))
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
		s.take(&pending{op: m.Op, done: m.Done, gone: m.Gone, most: m.Room}, m.Timeout)
	case *messages.Replies:
		s.onTime(m.TimeMs)
		for _, r := range m.Replies {
			s.onReply(r, receiver{m.FromGroup, m.FromNode})
		}
	case *sent:
		s.onSent(m)
	case pulse:
		s.onPulse()
	case again:
		s.onAgain()
	case proto.Message:
		s.take(&pending{op: m, sender: sender}, 0)
	}
}

// take sends a request, lets it wait for the window, or refuses it.
func (s *Session) take(p *pending, timeout time.Duration) {
	if timeout <= 0 {
		timeout = DefaultTimeout
	}
	timeout = min(timeout, MaxTimeout)
	now := s.system.Clock.Now()
	s.queue.arrive(p, now)
	if unanswered := s.unanswered(); unanswered >= s.limit {
		s.finish(p, refuse(messages.Errorf(messages.Code_OVERLOADED, "%d requests of this session wait for an answer", unanswered)))
		return
	}
	p.deadline, p.wait, p.bytes = now+timeout, min(timeout/2, longestWait), proto.Size(p.op)
	if p.room = p.most; p.most == 0 {
		p.room = s.answers.expect(p.op)
	}
	s.enter(p)
	if !s.ticking {
		s.ticking = true
		s.tick()
	}
}

func (s *Session) unanswered() int {
	return len(s.pending) + len(s.queue.waiting) + len(s.answers.waiting)
}

// enter sends a request, or lets it wait for a window.
func (s *Session) enter(p *pending) {
	small, wait := p.bytes <= smallRequest && p.room <= smallAnswer, &s.queue
	if p.room > smallAnswer {
		wait = &s.answers.queue
	}
	if small || len(wait.waiting) == 0 && s.takes(p) {
		s.begin(p)
		return
	}
	p.until = min(s.system.Clock.Now()+p.wait, p.deadline)
	wait.push(p)
}

func (s *Session) takes(p *pending) bool { return s.window.takes(p.bytes) && s.answers.takes(p.room) }

// begin gives a request its identity, and sends it for the first time.
func (s *Session) begin(p *pending) {
	s.seq++
	p.seq = s.seq
	if why := p.encode(s, p.op); why != nil {
		s.finish(p, refuse(why))
		return
	}
	s.pending[p.seq] = p
	s.window.sent(p.bytes)
	s.answers.sent(p.room)
	s.try(p)
}

// enlarge lets a read that has a larger answer than there was room for wait for as much as it needs. It is asked under
// another name: whatever else comes for this one is late.
func (s *Session) enlarge(p *pending, needs int) {
	s.forget(p, false)
	s.enter(&pending{
		op: p.op, sender: p.sender, done: p.done, gone: p.gone, bytes: p.bytes, wait: p.wait, wanted: p.wanted, deadline: p.deadline,
		routed: routed{room: needs + needs/16}, // others may write it meanwhile
	})
}

// admit sends what has waited for a window as long as there is room.
func (s *Session) admit() {
	for _, wait := range []*queue{&s.queue, &s.answers.queue} {
		for len(wait.waiting) > 0 && s.takes(wait.waiting[0]) {
			if p := wait.pop(); !s.leave(p) {
				s.begin(p)
			}
		}
	}
}

// leave ends the wait of a request that has waited too long, or that nobody wants any more.
func (s *Session) leave(p *pending) bool {
	select {
	case <-p.gone:
		s.finish(p, refuse(messages.Errorf(messages.Code_UNAVAILABLE, "given up by the caller before it was sent")))
		return true
	default:
	}
	if s.system.Clock.Now() < p.until {
		return false
	}
	s.finish(p, refuse(messages.Errorf(messages.Code_OVERLOADED,
		"not carried out: requests of %d bytes and answers of %d are on their way, and no room was left for %d and %d more in time",
		s.window.used, s.answers.used, p.bytes, p.room)))
	return true
}

func (s *Session) tick() {
	s.system.Clock.After(pulseEvery, func() { s.system.Root.Send(s.self, pulse{}) })
}

// acked is the lowest seq that is not answered: servers may forget what is below.
func (s *Session) acked() uint64 {
	for s.lowest < s.seq && s.pending[s.lowest] == nil {
		s.lowest++
	}
	return s.lowest
}

func (s *Session) try(p *pending) {
	now := s.system.Clock.Now()
	p.next = now + s.patience.attempt(p.last.node, p.vain())
	if p.heard || p.tries == 0 {
		p.since = now
	}
	p.again = p.tries > 0
	p.replica = p.replica && p.tries == 0 // a replica that could not answer has sent it back: the leader can
	p.tries++
	p.routing++
	p.heard, p.sent = false, now
	s.out = append(s.out, p.routed)
}

func (s *Session) flush() {
	s.admit()
	if len(s.out) > 0 {
		s.system.Root.Send(s.router, &forward{session: s.self, requests: s.out})
		s.out = nil
	}
}

func (s *Session) onSent(m *sent) {
	s.level = max(s.level, m.level)
	for _, seq := range m.seqs {
		if p := s.pending[seq]; p != nil {
			p.routing--
			if p.last = m.to; m.to.node == 0 {
				s.later(p)
			} else {
				p.at(m.to)
			}
		}
	}
}

// later tries again after a pause that grows with the attempts.
func (s *Session) later(p *pending) {
	pause := min(backoffLow<<min(p.vain(), 8), backoffHigh)
	p.next = s.system.Clock.Now() + pause/2 + time.Duration(s.rng.Int64N(int64(pause/2)))
}

func (s *Session) onReply(r *messages.Reply, from receiver) {
	p := s.pending[r.Seq]
	if p == nil || r.Session != uint64(s.id) {
		return // late or twice
	}
	if from == (receiver{}) { // the Router's own: nobody else is to be asked
		s.finish(p, r)
		return
	}
	s.patience.answered(p.last.node, p.since, s.system.Clock.Now())
	p.answer, p.heard = r, true
	if _, was := s.silent[p.last.node]; was {
		delete(s.silent, p.last.node)
		s.tell(healed{heard: true, node: p.last.node})
	}
	switch r.Code {
	case messages.Code_NOT_LEADER, messages.Code_WRONG_GROUP, messages.Code_UNAVAILABLE, messages.Code_OVERLOADED:
		p.refused(from)
	}
	switch r.Code {
	case messages.Code_NOT_LEADER:
		leader := r.GetHint().GetLeader()
		if s.system.Clock.Now() < s.silent[leader] {
			s.later(p) // whoever says so will soon know better
			return
		}
		s.tell(healed{group: p.last.group, node: p.last.node, leader: leader})
		s.follow(p, leader != 0)
	case messages.Code_WRONG_GROUP:
		s.tell(healed{wrong: true, target: p.target, hint: r.Hint})
		s.elsewhere(p, r.GetHint())
	case messages.Code_UNAVAILABLE, messages.Code_UNCERTAIN:
		if leader := r.GetHint().GetLeader(); leader != 0 && s.system.Clock.Now() >= s.silent[leader] {
			s.tell(healed{group: p.last.group, leader: leader})
		}
		s.later(p)
	case messages.Code_EXPIRED:
		s.expired(p, from)
	case messages.Code_OVERLOADED:
		switch {
		case p.maybe():
			s.later(p)
		case r.NeededBytes > 0 && !p.command:
			s.onLarger(p, r)
		default:
			s.finish(p, r)
		}
	default:
		s.answers.saw(p.op, messages.ReplyBytes(r))
		s.finish(p, r)
	}
}

// onLarger is told that the answer of a read is larger than there was room for.
func (s *Session) onLarger(p *pending, r *messages.Reply) {
	needs := int(min(r.NeededBytes, math.MaxInt32))
	s.answers.saw(p.op, needs)
	if p.most > 0 {
		s.finish(p, r)
		return
	}
	s.enlarge(p, needs)
}

// aliveTries is how many attempts may get lost at a node that answers others, before it is taken for silent: its group
// may be stuck there.
const aliveTries = 2

// quickTries is how many hints are followed at once before the session slows down.
const quickTries = 3

func (s *Session) follow(p *pending, hinted bool) {
	if hinted && p.tries <= quickTries {
		s.try(p)
		return
	}
	s.later(p)
}

// elsewhere follows a hint that is newer than the one before at once. Without one the bucket is between two groups, and
// whoever has it next is asked again in a few milliseconds.
func (s *Session) elsewhere(p *pending, hint *messages.Hint) {
	p.moved++
	switch {
	case hint.GetGroup() != 0 && hint.ConfigVersion > p.hint:
		p.hint = hint.ConfigVersion
		s.try(p)
	case p.moved > againTries:
		s.later(p)
	default:
		p.next = s.system.Clock.Now() + shortestAttempt
		if s.refused = append(s.refused, p.seq); len(s.refused) == 1 {
			pause := againLow + time.Duration(s.rng.Int64N(int64(againHigh-againLow)))
			s.system.Clock.After(pause, func() { s.system.Root.Send(s.self, again{}) })
		}
	}
}

func (s *Session) onAgain() {
	refused := s.refused
	s.refused = nil
	for _, seq := range refused {
		if p := s.pending[seq]; p != nil && p.heard && s.system.Clock.Now() < p.deadline {
			s.try(p)
		}
	}
}

func (s *Session) tell(h healed) { s.system.Root.Send(s.router, h) }

func (s *Session) onPulse() {
	if s.ticking = s.unanswered() > 0; !s.ticking {
		return
	}
	s.tick()
	s.queue.waiting = slices.DeleteFunc(s.queue.waiting, s.leave)
	s.answers.waiting = slices.DeleteFunc(s.answers.waiting, s.leave)
	now := s.system.Clock.Now()
	for seq := s.acked(); seq <= s.seq; seq++ {
		p := s.pending[seq]
		switch {
		case p == nil:
		case now >= p.deadline:
			s.finish(p, s.lost(p, "no answer in time"))
		case now >= p.next:
			if p.last.node != 0 && !p.heard && !(p.vain() <= aliveTries && s.patience.alive(p.last.node, p.sent)) {
				s.silent[p.last.node] = now + distrust
				s.tell(healed{group: p.last.group, node: p.last.node, silent: true})
			}
			s.try(p)
		}
	}
}

// lost is the answer of a request that has none. Only what was never sent, or only reads, is known to be
// without effect.
func (s *Session) lost(p *pending, why string) *messages.Reply {
	code := messages.Code_UNAVAILABLE
	if p.maybe() {
		code = messages.Code_UNCERTAIN
	}
	text := fmt.Sprintf("%s, asked %d times", why, p.tries)
	if p.last.node == 0 {
		text += ": no node is known that could answer"
		for i, address := range s.contacts {
			text += []string{"; none was named by ", ", "}[min(i, 1)] + address
			if s.trouble == nil {
				continue
			}
			if err := s.trouble(address); err != nil {
				text += fmt.Sprintf(" (%v)", err)
			}
		}
	} else {
		text += fmt.Sprintf(": group %d, last on node %d", p.last.group, p.last.node)
	}
	if p.answer.GetText() != "" {
		text += ", which said: " + p.answer.Text
	}
	return &messages.Reply{Code: code, Text: text}
}

func refuse(why *messages.Error) *messages.Reply {
	return &messages.Reply{Code: why.Code, Text: why.Text, Hint: why.Hint}
}

// forget gives back what is kept for a request that was sent.
func (s *Session) forget(p *pending, overloaded bool) {
	if s.pending[p.seq] == p {
		delete(s.pending, p.seq)
		s.window.over(p.bytes, overloaded)
		s.answers.over(p.room)
	}
}

func (s *Session) finish(p *pending, r *messages.Reply) {
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
