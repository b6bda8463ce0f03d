package actors

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// ActorFailed tells that an actor panicked. If it is durable the node stops; any other actor is restarted with an empty memory.
type ActorFailed struct {
	Path    string
	Durable bool
	Reason  any
}

func (ActorFailed) EventName() string { return "actor failed" }

// An actor that panics more often than maxRestarts within restartWindow is not restarted any more.
const (
	maxRestarts   = 10
	restartWindow = 10 * time.Second
)

// supervision is the strategy for all durable actors of a System, or for all others. Proto.Actor keeps a guardian process for
// every strategy it has ever seen, so there must be no more than these two.
type supervision struct {
	system  *System
	durable bool
}

// HandleFailure stops the node of a durable actor, and restarts any other actor. The node stops as well when an actor fails again and
// again: a node without it would seem to work, and do only part of its work.
func (s *supervision) HandleFailure(_ *actor.ActorSystem, supervisor actor.Supervisor, child *actor.PID,
	failures *actor.RestartStatistics, reason any, _ any) {
	s.system.Events(ActorFailed{Path: child.Id, Durable: s.durable, Reason: reason})
	if s.durable {
		s.system.Fatal(fmt.Errorf("actor %s failed: %v", child.Id, reason))
		supervisor.StopChildren(child)
		return
	}
	failures.Fail()
	if failures.NumberOfFailures(restartWindow) > maxRestarts {
		s.system.Fatal(fmt.Errorf("actor %s failed more than %d times in %v, at last: %v", child.Id, maxRestarts, restartWindow, reason))
		supervisor.StopChildren(child)
		return
	}
	supervisor.RestartChildren(child)
}

// discardLogs turns Proto.Actor's own logger off: events tell what matters.
func discardLogs(*actor.ActorSystem) *slog.Logger {
	return slog.New(slog.DiscardHandler)
}
