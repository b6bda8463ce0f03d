package actors

import (
	"fmt"
	"io"
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

// supervision stops a durable actor together with its node, and restarts any other at most 10 times in 10 s.
func (s *System) supervision(path string, durable bool) actor.SupervisorStrategy {
	return actor.NewOneForOneStrategy(10, 10*time.Second, func(reason any) actor.Directive {
		s.Events(ActorFailed{Path: path, Durable: durable, Reason: reason})
		if durable {
			s.Fatal(fmt.Errorf("actor %s failed: %v", path, reason))
			return actor.StopDirective
		}
		return actor.RestartDirective
	})
}

// quiet silences Proto.Actor's own logger: what matters is told by events.
func quiet(*actor.ActorSystem) *slog.Logger {
	return slog.New(slog.NewTextHandler(io.Discard, nil))
}
