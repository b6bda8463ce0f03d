package main

import (
	"testing"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"

	"github.com/eraft-io/eraft/actors/actortest"
)

// The same counter on one thread, in virtual time: the order in which its senders come is drawn from the seed.
func TestACounterOfManySenders(t *testing.T) {
	w := actortest.NewWorld(t)
	n := w.Node("n1")
	pid := n.Spawn(actor.PropsFromProducer(func() actor.Actor { return new(counter) }), "counter")
	for _, name := range []string{"ann", "bob", "cat"} {
		p := n.Probe(name)
		for range 10 {
			p.Send(pid, add{1})
		}
	}
	me := n.Probe("me")
	w.RunUntilIdle()
	me.Send(pid, get{})
	require.Equal(t, 30, actortest.Expect[int](me))
}

// What Proto.Actor does with an actor that panics: another one takes its place, and knows nothing.
func TestAPlainActorComesBackEmpty(t *testing.T) {
	w := actortest.NewWorld(t)
	w.AllowPanics(func(p actortest.Panic) bool { return p.Reason == "a bug" })
	n := w.Node("n1")
	pid := n.Spawn(actor.PropsFromProducer(func() actor.Actor { return new(counter) }), "counter")
	me := n.Probe("me")
	me.Send(pid, add{7})
	me.Send(pid, broken{})
	me.Send(pid, get{})
	require.Equal(t, 0, actortest.Expect[int](me))
}
