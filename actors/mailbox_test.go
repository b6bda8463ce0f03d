package actors

import (
	"fmt"
	"testing"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"
)

// TestMailBeforeTheStart: an actor can be found by its path a moment before it can run. What comes then waits until it has started.
func TestMailBeforeTheStart(t *testing.T) {
	m := newBatchMailbox(MailboxBound{}, nil)().(*batchMailbox)
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

// A mailbox holds as many bytes as it may, and one message of any size.
func TestMailboxIsBoundedInBytes(t *testing.T) {
	var refused []any
	bound := MailboxBound{Bytes: 10, Size: func(message any) int { return len(message.(string)) }}
	m := newBatchMailbox(bound, func(message any) bool {
		if message == "urgent" {
			return false
		}
		refused = append(refused, message)
		return true
	})().(*batchMailbox)
	var heard listener
	m.RegisterHandlers(&heard, atOnce{})
	for _, message := range []string{"twelve bytes", "1", "urgent"} {
		m.PostUserMessage(message)
	}
	require.Equal(t, []any{"1"}, refused)
	m.Start()
	require.Equal(t, listener{"[twelve bytes urgent]"}, heard)
	m.started = false // the actor is busy
	for _, message := range []string{"12345", "67890", "1"} {
		m.PostUserMessage(message)
	}
	require.Equal(t, []any{"1", "1"}, refused)
	require.Len(t, m.user, 2)
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
