package actortest_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/eraft-io/eraft/actors/actortest"
)

// A greeter on one node, asked from another over a network that loses every message at first.
func Example() {
	t := new(testing.T) // in a test: the test's own
	w := actortest.NewWorld(cleanupless{t}, actortest.Seed(42))

	greeter := w.Node("b").Spawn(actor.PropsFromFunc(func(ctx actor.Context) {
		if m, ok := ctx.Message().(*wrapperspb.StringValue); ok {
			ctx.Respond(wrapperspb.String("hello, " + m.Value))
		}
	}), "greeter")
	me := w.Node("a").Probe("me")

	w.Network().Cut("a", "b")
	me.Send(greeter, wrapperspb.String("nobody"))
	me.ExpectNone()

	w.Network().Heal()
	me.Send(greeter, wrapperspb.String("world"))
	fmt.Println(actortest.Expect[*wrapperspb.StringValue](me).Value)

	w.Advance(time.Hour) // takes no time
	fmt.Println(w.Now() > time.Hour)
	// Output:
	// hello, world
	// true
}

// cleanupless lets an example use a testing.T, which has no Cleanup outside of tests.
type cleanupless struct{ *testing.T }

func (cleanupless) Cleanup(func()) {}
