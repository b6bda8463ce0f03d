package router

import (
	"math"

	"github.com/eraft-io/eraft/messages"
)

// maxHintsAtOnce is the number of attempts up to which a hint to another leader is followed without backoff.
const maxHintsAtOnce = 3

// onReply handles the reply of a replica, or of the Router (the zero replica). Each reply may come late or twice.
func (s *Session) onReply(reply *messages.Reply, from replica) {
	r := s.requests.get(reply.Seq)
	if r == nil || reply.Session != uint64(s.requests.session) {
		return
	}
	if from == (replica{}) { // the Router refuses it: no replica is to be asked
		s.finish(r, reply)
		return
	}
	now := s.system.Clock.Now()
	s.retries.rtt.observe(r.lastReplica.node, r.unansweredSince, now)
	r.lastReply, r.answered = reply, true
	if s.routes.heard(r.lastReplica.node) {
		s.feedback(routeFeedback{heard: true, node: r.lastReplica.node})
	}
	switch reply.Code {
	case messages.Code_NOT_LEADER, messages.Code_WRONG_GROUP, messages.Code_UNAVAILABLE, messages.Code_OVERLOADED:
		r.noteRefused(from)
	}
	switch reply.Code {
	case messages.Code_NOT_LEADER:
		s.onNotLeader(r, reply.GetHint().GetLeader())
	case messages.Code_WRONG_GROUP:
		s.feedback(routeFeedback{wrongGroup: true, target: r.target, hint: reply.Hint})
		s.followMove(r, reply.GetHint())
	case messages.Code_UNAVAILABLE, messages.Code_UNCERTAIN:
		if leader := reply.GetHint().GetLeader(); leader != 0 && !s.routes.suspects(leader, now) {
			s.feedback(routeFeedback{group: r.lastReplica.group, leader: leader})
		}
		s.retryLater(r)
	case messages.Code_EXPIRED:
		s.onExpired(r, from)
	case messages.Code_OVERLOADED:
		switch {
		case r.maybeApplied():
			s.retryLater(r)
		case reply.NeededBytes > 0 && !r.command:
			s.onLargerReply(r, reply)
		default:
			s.finish(r, reply)
		}
	default:
		s.admitted.replies.observe(r.op, messages.ReplyBytes(reply))
		s.finish(r, reply)
	}
}

// onNotLeader follows the hint of a replica that does not lead; leader 0: it knows no leader.
func (s *Session) onNotLeader(r *request, leader uint64) {
	if s.routes.suspects(leader, s.system.Clock.Now()) {
		s.retryLater(r) // the replica that names it will soon know better
		return
	}
	s.feedback(routeFeedback{group: r.lastReplica.group, node: r.lastReplica.node, leader: leader})
	if leader != 0 && r.attempts <= maxHintsAtOnce {
		s.attempt(r)
		return
	}
	s.retryLater(r)
}

// followMove follows a hint that is newer than the request's last one at once. Without one the bucket is between two groups:
// the request is sent again in a few milliseconds, when one of them serves it.
func (s *Session) followMove(r *request, hint *messages.Hint) {
	r.wrongGroupReplies++
	switch {
	case hint.GetGroup() != 0 && hint.ConfigVersion > r.hintVersion:
		r.hintVersion = hint.ConfigVersion
		s.attempt(r)
	case r.wrongGroupReplies > maxMoveRetries:
		s.retryLater(r)
	default:
		r.retryAt = s.system.Clock.Now() + minTimeout
		s.retryMoving(r)
	}
}

// onLargerReply handles the reply of a read that has a larger result than its reply budget.
func (s *Session) onLargerReply(r *request, reply *messages.Reply) {
	needs := int(min(reply.NeededBytes, math.MaxInt32))
	s.admitted.replies.observe(r.op, needs)
	if r.callerBudget > 0 {
		s.finish(r, reply)
		return
	}
	s.release(r, false)
	s.enter(r.withReplyBudget(needs + needs/16)) // the value may grow meanwhile
}

// onExpired gives a request another apply deadline, if no attempt can have been applied: the first one came from a clock that
// was wrong, and the reply says what log time is. Otherwise the bytes must not change: a group keeps the reply to a command
// until the deadline that it saw.
func (s *Session) onExpired(r *request, from replica) {
	r.noteRefused(from)
	if r.maybeApplied() {
		s.retryLater(r)
		return
	}
	r.encoded = messages.WithDeadline(r.encoded, s.applyDeadline(r))
	s.attempt(r)
}
