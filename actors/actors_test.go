package actors_test

import (
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"

	"github.com/eraft-io/eraft/actors"
)

// nowhere is a network without anybody else.
type nowhere struct{}

func (nowhere) Attach(sys *actors.System) error {
	sys.ProcessRegistry.Address = "here"
	return nil
}
func (nowhere) Detach() error { return nil }

func system(t *testing.T, fatal func(error)) *actors.System {
	sys, err := actors.NewSystem(actors.Env{
		Clock: actors.NewSystemClock(), Rand: actors.SeededRand(1), Events: func(actors.Event) {}, Fatal: fatal,
	}, nowhere{})
	require.NoError(t, err)
	return sys
}

// recorder keeps what it gets; it blocks at "wait" and panics at "panic".
type recorder struct {
	mu      *sync.Mutex
	drains  *int
	got     *[]any
	started *int
	gate    chan struct{}
}

func newRecorder() recorder {
	return recorder{new(sync.Mutex), new(int), new([]any), new(int), make(chan struct{})}
}

func (r recorder) Receive(ctx actor.Context) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch m := ctx.Message().(type) {
	case *actor.Started:
		*r.started++
	case []any:
		*r.drains++
		for _, e := range m {
			message, _ := actors.Unwrap(e)
			switch message {
			case "wait":
				r.mu.Unlock()
				<-r.gate
				r.mu.Lock()
			case "panic":
				panic("told to")
			default:
				*r.got = append(*r.got, message)
			}
		}
	}
}

func (r recorder) count() (drains, got, started int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return *r.drains, len(*r.got), *r.started
}

func TestBatchingMailbox(t *testing.T) {
	sys, r := system(t, func(err error) { t.Error(err) }), newRecorder()
	var shed []any
	pid, err := sys.Spawn("a/b", func() actor.Actor { return r }, actors.Batching(actors.MailboxBound{Messages: 100}, func(m any) bool {
		if m == "must" {
			return false
		}
		shed = append(shed, m)
		return true
	}))
	require.NoError(t, err)
	_, err = sys.Spawn("a/b", func() actor.Actor { return r })
	require.ErrorContains(t, err, "a/b")
	sys.Root.Send(pid, "wait")
	require.Eventually(t, func() bool { d, _, _ := r.count(); return d == 1 }, 5*time.Second, time.Millisecond)
	for i := range 150 {
		sys.Root.Send(pid, i)
	}
	sys.Root.Send(pid, "must")
	require.Len(t, shed, 50, "above the bound the sender is told")
	close(r.gate)
	require.Eventually(t, func() bool { _, n, _ := r.count(); return n == 101 }, 5*time.Second, time.Millisecond)
	drains, _, _ := r.count()
	require.Equal(t, 2, drains, "everything that waited is one drain")
	for i := range 100 {
		require.Equal(t, i, (*r.got)[i], "order is kept")
	}
	require.NoError(t, sys.Root.StopFuture(pid).Wait())
}

func TestDurableActorTakesTheNodeDown(t *testing.T) {
	fatal := make(chan error, 10)
	sys, r := system(t, func(err error) { fatal <- err }), newRecorder()
	pid, err := sys.Spawn("disk", func() actor.Actor { return r }, actors.Durable(), actors.Batching(actors.MailboxBound{}, nil))
	require.NoError(t, err)
	sys.Root.Send(pid, "panic")
	require.ErrorContains(t, <-fatal, "told to")
	sys.Root.Send(pid, "more")
	time.Sleep(20 * time.Millisecond)
	_, got, started := r.count()
	require.Zero(t, got, "it never comes back with an empty memory")
	require.Equal(t, 1, started)
}

func TestOtherActorsStartAfresh(t *testing.T) {
	sys, r := system(t, func(err error) { t.Error(err) }), newRecorder()
	pid, err := sys.Spawn("router", func() actor.Actor { return r }, actors.Batching(actors.MailboxBound{}, nil))
	require.NoError(t, err)
	sys.Root.Send(pid, "panic")
	require.Eventually(t, func() bool {
		sys.Root.Send(pid, 1)
		_, n, started := r.count()
		return n > 0 && started == 2
	}, 5*time.Second, time.Millisecond)
}

// An actor that fails again and again would be missing on a node that seems to be well.
func TestActorThatKeepsFailingTakesTheNodeDown(t *testing.T) {
	fatal := make(chan error, 10)
	sys, r := system(t, func(err error) { fatal <- err }), newRecorder()
	pid, err := sys.Spawn("router", func() actor.Actor { return r }, actors.Batching(actors.MailboxBound{}, nil))
	require.NoError(t, err)
	for range 11 {
		sys.Root.Send(pid, "panic")
		sys.Root.Send(pid, 1)
	}
	for restarts := 1; ; restarts++ {
		select {
		case err := <-fatal:
			require.ErrorContains(t, err, "actor router failed more than 10 times")
			require.ErrorContains(t, err, "told to")
			return
		case <-time.After(time.Millisecond):
			require.Less(t, restarts, 10_000)
			sys.Root.Send(pid, "panic") // several in one drain are one failure
		}
	}
}

// What is spawned and ends leaves nothing behind: a node starts an actor for every snapshot and every session.
func TestEndedActorsLeaveNothingBehind(t *testing.T) {
	sys := system(t, func(err error) { t.Error(err) })
	processes := func() (n int) {
		for _, part := range sys.ProcessRegistry.LocalPIDs.LocalPIDs {
			n += part.Count()
		}
		return n
	}
	life := func(i int) {
		options := []actors.Option{actors.Batching(actors.MailboxBound{}, nil)}
		if i%2 == 0 {
			options = append(options, actors.Durable())
		}
		pid, err := sys.Spawn("session/"+strconv.Itoa(i), func() actor.Actor { return newRecorder() }, options...)
		require.NoError(t, err)
		require.NoError(t, sys.Root.StopFuture(pid).Wait())
	}
	life(0)
	life(1)
	before := processes()
	for i := range 100 {
		life(i)
	}
	require.Eventually(t, func() bool { return processes() <= before }, 5*time.Second, time.Millisecond)
}

// Who may say something can depend on whom it is for.
func TestGuardRulesOfOneType(t *testing.T) {
	sys := system(t, func(err error) { t.Error(err) })
	g := actors.NewGuard([]actors.Rule{
		{Type: "T", Paths: []string{"in/"}},
		{Type: "T", Paths: []string{"out/"}, Unauthenticated: true, Validate: func(encoded []byte, _ string) bool { return len(encoded) == 1 }},
	}, sys)
	sys.SetIdentity(actors.Identity{Cluster: 1, Node: 2, Epoch: 1})
	guest, member := actors.Origin{}, actors.Origin{Identity: actors.Identity{Cluster: 1, Node: 1, Epoch: 1}}
	nobody := actors.Origin{Identity: actors.Identity{Cluster: 1, Epoch: 9}} // has proved nothing by knowing the cluster
	require.False(t, g.Admit(nobody, "T", "in/1", nil))
	require.False(t, g.Admit(nobody, "T", "out/1", make([]byte, 2)))
	require.True(t, g.Admit(guest, "T", "out/1", make([]byte, 1)))
	require.False(t, g.Admit(guest, "T", "out/1", make([]byte, 2)))
	require.True(t, g.Admit(member, "T", "out/1", make([]byte, 2)))
	require.False(t, g.Admit(guest, "T", "in/1", nil))
	require.True(t, g.Admit(member, "T", "in/1", nil))
	require.False(t, g.Admit(member, "T", "elsewhere", nil))
	require.Equal(t, map[string]uint64{"unauthenticated": 2, "forbidden target": 1, "invalid content": 2}, g.Drops())
}

// unprinted fails a test that prints it.
type unprinted struct{ t *testing.T }

func (u unprinted) String() string {
	u.t.Error("it may have megabytes, and a user's data")
	return ""
}

// A message to an actor that is gone is not printed by Proto.Actor's logger.
func TestDeadLettersAreNotPrinted(t *testing.T) {
	sys, dead := system(t, func(error) {}), 0
	sys.EventStream.Subscribe(func(event any) {
		if _, ok := event.(*actor.DeadLetterEvent); ok {
			dead++
		}
	})
	sys.Root.Send(sys.PID("here", "gone"), unprinted{t})
	require.Equal(t, 1, dead)
}
