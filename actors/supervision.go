package actors

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// ActorFailed tells that an actor panicked. Durable ones take the node down, others start afresh.
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

// HandleFailure stops a durable actor together with its node, and restarts any other. The node stops as well when an actor
// fails again and again: without it, it would seem to be well and do only part of its work.
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

// discardLogs silences Proto.Actor's own logger: what matters is told by events.
func discardLogs(*actor.ActorSystem) *slog.Logger {
	return slog.New(slog.DiscardHandler)
}
