package router

import (
	"fmt"

	"github.com/eraft-io/eraft/messages"
)

// retryLater schedules the next attempt after a backoff that grows with the attempts.
func (s *Session) retryLater(r *request) {
	r.retryAt = s.system.Clock.Now() + s.retries.backoff(r)
}

// retryMoving schedules an attempt for when the migration of the request's bucket has gone on. One tick serves all requests
// that came before it.
func (s *Session) retryMoving(r *request) {
	if s.moving = append(s.moving, r.seq); len(s.moving) == 1 {
		s.system.Clock.After(s.retries.movePause(), func() { s.system.Root.Send(s.self, moveRetryTick{}) })
	}
}

func (s *Session) onMoveRetryTick() {
	moving := s.moving
	s.moving = nil
	for _, seq := range moving {
		if r := s.requests.get(seq); r != nil && r.answered && s.system.Clock.Now() < r.deadline {
			s.attempt(r)
		}
	}
}

// onRetryTick ends requests past their deadlines, and retries those whose attempt is taken for lost.
func (s *Session) onRetryTick() {
	if s.ticking = s.requests.len()+s.admitted.queued() > 0; !s.ticking {
		return
	}
	s.scheduleTick()
	now := s.system.Clock.Now()
	s.admitted.removeOverdue(now, s.finish)
	for r := range s.requests.all() {
		switch {
		case now >= r.deadline:
			s.finish(r, s.noReply(r, "no reply in time"))
		case now >= r.retryAt:
			if s.retries.nodeIsSilent(r) {
				s.feedback(routeFeedback{group: r.lastReplica.group, node: r.lastReplica.node, silent: true})
			}
			s.attempt(r)
		}
	}
}

// noReply is the reply to a request that the cluster has not answered. A read, and a command that no replica can have
// applied, is known to be without effect.
func (s *Session) noReply(r *request, why string) *messages.Reply {
	code := messages.Code_UNAVAILABLE
	if r.maybeApplied() {
		code = messages.Code_UNCERTAIN
	}
	text := fmt.Sprintf("%s, %d attempts", why, r.attempts)
	if r.lastReplica.node == 0 {
		text += ": no node of the cluster is known" + s.routes.unroutable
	} else {
		text += fmt.Sprintf(": group %d, last on node %d", r.lastReplica.group, r.lastReplica.node)
	}
	if r.lastReply.GetText() != "" {
		text += "; its last reply: " + r.lastReply.Text
	}
	return &messages.Reply{Code: code, Text: text}
}
