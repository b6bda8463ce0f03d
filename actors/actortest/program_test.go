package actortest_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"

	"github.com/eraft-io/eraft/actors/actortest"
)

// asking lets several programs each ask an actor on another node, and gives the order in which they got on.
func asking(t *testing.T, seed uint64) string {
	w := actortest.NewWorld(t, actortest.Seed(seed))
	a := w.Node("a")
	var order []string
	var all []*actortest.Program
	for n := range 3 {
		pid := w.Node(fmt.Sprint("b", n)).Spawn(actor.PropsFromFunc(echo), "echo")
		all = append(all, w.Go(fmt.Sprint(n), func(p *actortest.Program) {
			for range 3 {
				answered := p.Wait(time.Second, func(done func()) {
					asks := a.Spawn(actor.PropsFromFunc(func(ctx actor.Context) {
						switch m := ctx.Message().(type) {
						case *actor.Started:
							ctx.Request(pid, text("?"))
						case *value:
							require.Equal(t, "re: ?", m.Value)
							done()
							done() // once is enough
						}
					}), fmt.Sprint("asks/", n, "/", len(order)))
					require.NotNil(t, asks)
				})
				require.True(t, answered)
				order = append(order, fmt.Sprint(n))
				p.Sleep(time.Microsecond)
			}
		}))
	}
	for _, p := range all {
		require.False(t, p.Done(), "nothing runs before the World does")
	}
	w.RunUntilIdle()
	for _, p := range all {
		require.True(t, w.RunUntil(p.Done, time.Minute))
	}
	return strings.Join(order, "")
}

func TestProgram(t *testing.T) {
	orders := map[string]bool{}
	for seed := range uint64(8) {
		order := asking(t, seed+1)
		require.Equal(t, order, asking(t, seed+1))
		orders[order] = true
	}
	require.Greater(t, len(orders), 4, "another seed is another order")
}

func TestProgramWaitsNoLongerThanItSays(t *testing.T) {
	w := actortest.NewWorld(t)
	var late func()
	p := w.Go("p", func(p *actortest.Program) {
		require.False(t, p.Wait(time.Minute, func(done func()) { late = done }))
		late()
		require.False(t, p.Wait(time.Second, func(func()) {}), "what comes late is not for another wait")
		p.Sleep(0)
		require.NoError(t, w.Node("a").System().Root.StopFuture(w.Node("b").Spawn(actor.PropsFromFunc(echo), "echo")).Wait())
	})
	require.True(t, w.RunUntil(p.Done, time.Hour))
	require.InDelta(t, 61*time.Second, w.Now(), float64(100*time.Millisecond))
}
