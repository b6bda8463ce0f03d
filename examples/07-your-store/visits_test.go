package main

import (
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"

	"github.com/eraft-io/eraft/actors/actortest"
	"github.com/eraft-io/eraft/messages"
)

// A probe plays the session, so each test says what the store answers, and when.
func world(t *testing.T) (n *actortest.Node, session *actortest.Probe, counter *actor.PID) {
	w := actortest.NewWorld(t)
	n = w.Node("n1")
	session = n.Probe("session")
	counter = n.Spawn(actor.PropsFromProducer(func() actor.Actor {
		return &visits{session: session.PID(), after: n.Clock().After, wrote: func() {}, links: map[string]*actor.PID{}}
	}), "visits")
	return n, session, counter
}

func TestVisitsThatComeMeanwhileTravelTogether(t *testing.T) {
	n, session, counter := world(t)
	visitor := n.Probe("visitor")
	visitor.Send(counter, visit{"go"})
	first, tally := actortest.ExpectFrom[*messages.Incr](session)
	require.Equal(t, int64(1), first.By)
	for range 50 {
		visitor.Send(counter, visit{"go"})
	}
	session.ExpectNone()
	session.Send(tally, &messages.Reply{Number: 1})
	require.Equal(t, int64(50), actortest.Expect[*messages.Incr](session).By)
	session.Send(tally, &messages.Reply{Number: 51})
	session.ExpectNone()
}

func TestWhatWasRefusedIsWrittenLater(t *testing.T) {
	for _, code := range []messages.Code{messages.Code_OVERLOADED, messages.Code_UNAVAILABLE} {
		n, session, counter := world(t)
		visitor := n.Probe("visitor")
		visitor.Send(counter, visit{"go"})
		_, tally := actortest.ExpectFrom[*messages.Incr](session)
		session.Send(tally, &messages.Reply{Code: code})
		visitor.Send(counter, visit{"go"})
		began := n.Clock().Now()
		require.Equal(t, int64(2), actortest.Expect[*messages.Incr](session).By, code)
		require.GreaterOrEqual(t, n.Clock().Now()-began, refusalPause-time.Millisecond)
	}
}

func TestWhatIsUncertainIsNotWrittenAgain(t *testing.T) {
	n, session, counter := world(t)
	n.Probe("visitor").Send(counter, visit{"go"})
	_, tally := actortest.ExpectFrom[*messages.Incr](session)
	session.Send(tally, &messages.Reply{Code: messages.Code_UNCERTAIN})
	session.ExpectNone()
}
