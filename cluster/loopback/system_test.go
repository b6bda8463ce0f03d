package loopback_test

import (
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"

	"github.com/eraft-io/eraft/cluster/loopback"
	"github.com/eraft-io/eraft/messages"
)

// An actor of the user's, in the system of a node, asks the store by messages.
func TestActorsInTheSystemOfANode(t *testing.T) {
	t.Parallel()
	node := loopback.Start(t, 1).Nodes[0]
	replies := make(chan *messages.Reply, 1)
	pid, err := node.System().Root.SpawnNamed(actor.PropsFromFunc(func(ctx actor.Context) {
		switch m := ctx.Message().(type) {
		case *actor.Started:
			ctx.Request(node.Client().PID(), &messages.Put{Key: []byte("k"), Value: []byte("v")})
		case *messages.Reply:
			replies <- m
		}
	}), "user/writer")
	require.NoError(t, err)
	select {
	case r := <-replies:
		require.Equal(t, messages.Code_OK, r.Code)
		require.Positive(t, r.Version)
	case <-time.After(30 * time.Second):
		t.Fatal("no reply")
	}
	require.NoError(t, node.System().Root.StopFuture(pid).Wait())
}
