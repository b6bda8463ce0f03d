package actors

import (
	"fmt"
	"testing"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"
)

// TestMailBeforeTheStart: an actor can be found by its path a moment before it can run. What comes then waits until it has started.
func TestMailBeforeTheStart(t *testing.T) {
	m := batching(0, nil)().(*batchMailbox)
	m.PostUserMessage("early")
	var heard listener
	m.RegisterHandlers(&heard, atOnce{})
	m.PostUserMessage("too")
	m.PostSystemMessage(&actor.Started{})
	require.Empty(t, heard)
	m.Start()
	require.Equal(t, listener{"*actor.Started", "[early too]"}, heard)
	m.PostUserMessage("late")
	require.Equal(t, "[late]", heard[2])
}

// listener is an actor that notes what it is given.
type listener []string

func (l *listener) InvokeSystemMessage(message any) { *l = append(*l, fmt.Sprintf("%T", message)) }
func (l *listener) InvokeUserMessage(message any)   { *l = append(*l, fmt.Sprint(message)) }
func (l *listener) EscalateFailure(reason, _ any)   { panic(reason) }

// atOnce runs what is scheduled where it is scheduled.
type atOnce struct{}

func (atOnce) Schedule(run func()) { run() }
func (atOnce) Throughput() int     { return 1 }
