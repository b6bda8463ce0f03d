package router

import (
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"

	"github.com/eraft-io/eraft/actors"
	"github.com/eraft-io/eraft/messages"
)

// A command carries the same apply deadline in all attempts. If it is refused for it before any attempt can have been applied, it gets
// another one; otherwise it keeps the one that it has.
func TestCommandsHaveADeadline(t *testing.T) {
	hour := int64(time.Hour / time.Millisecond)
	level := func(sys *actors.System) {
		c := config()
		c.Version, c.Level = 2, uint32(messages.DeadlineLevel)
		sys.Root.Send(actor.NewPID("here", Path), &messages.ConfigPush{Config: c})
	}
	for _, c := range []struct {
		name   string
		script []messages.Code
		fresh  []bool // of each attempt after the first: it has another time
	}{
		{"refused at once", []messages.Code{messages.Code_EXPIRED}, []bool{true}},
		{"heard by somebody before", []messages.Code{silence, messages.Code_EXPIRED}, []bool{false, false}},
		{"refused again", []messages.Code{messages.Code_EXPIRED, messages.Code_EXPIRED}, []bool{true, false}},
	} {
		t.Run(c.name, func(t *testing.T) {
			sys, session, p := startAt(t, actors.NewSystemClock(), Options{}, c.script...)
			p.times, p.timeMs = 1, time.Now().UnixMilli()-hour
			level(sys)
			require.Equal(t, messages.Code_OK, ask(sys, session, put("k"), 10*time.Second).Code)
			p.mu.Lock()
			defer p.mu.Unlock()
			require.Len(t, p.seen, len(c.fresh)+1)
			require.InDelta(t, time.Now().UnixMilli()+20_000, messages.DeadlineOf(p.seen[0]), 8000, "10 s and 10 s more")
			for i, fresh := range c.fresh {
				require.Equal(t, fresh, messages.DeadlineOf(p.seen[i]) != messages.DeadlineOf(p.seen[i+1]))
			}
			if c.fresh[0] {
				require.InDelta(t, time.Now().UnixMilli()+20_000-hour, messages.DeadlineOf(p.seen[1]), 8000)
			}
		})
	}
	sys, session, p := start(t, 0)
	require.Equal(t, messages.Code_OK, ask(sys, session, put("k"), time.Second).Code)
	p.mu.Lock()
	defer p.mu.Unlock()
	require.Zero(t, messages.DeadlineOf(p.seen[0]), "nodes of the first level would not obey it")
}
