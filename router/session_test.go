package router

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/eraft-io/eraft/actors"
	"github.com/eraft-io/eraft/messages"
)

// deadNetwork is a network on which all other systems are dead. It counts the requests sent to them.
type deadNetwork struct{ actor.Process }

func (n deadNetwork) Attach(sys *actors.System) error {
	sys.ProcessRegistry.Address = "here"
	sys.ProcessRegistry.RegisterAddressResolver(func(pid *actor.PID) (actor.Process, bool) { return n, pid.Address != "here" })
	return nil
}
func (deadNetwork) Detach() error { return nil }
func (deadNetwork) SendUserMessage(_ *actor.PID, message any) {
	if _, ok := actor.UnwrapEnvelopeMessage(message).(*messages.Requests); ok {
		deadSends.Add(1)
	}
}
func (deadNetwork) SendSystemMessage(*actor.PID, any) {}
func (deadNetwork) Stop(*actor.PID)                   {}

var deadSends atomic.Int64

// scriptedLeader stands for the leader of group 1: it answers each request as the script says, then OK.
type scriptedLeader struct {
	mu     sync.Mutex
	sys    *actors.System
	script []messages.Code // silence: no answer at all
	hint   *messages.Hint  // of a NOT_LEADER or WRONG_GROUP
	seen   [][]byte
	times  int      // that each answer comes
	spread int      // of seen, that were for any replica
	nodes  []uint64 // who answers each request; then node 1
	timeMs int64    // that each answer says
}

const silence = messages.Code(100)

func (p *scriptedLeader) Receive(ctx actor.Context) {
	m, ok := ctx.Message().(*messages.Requests)
	if !ok {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, a := range m.Sessions {
		p.spread += len(a.ReplicaQueries)
		for _, encoded := range slices.Concat(a.Retries, a.Commands, a.Queries, a.ReplicaQueries) {
			p.seen = append(p.seen, encoded)
			session, seq := messages.RequestID(encoded)
			r := &messages.Reply{Session: session, Seq: seq}
			if len(p.script) > 0 {
				r.Code, p.script = p.script[0], p.script[1:]
			}
			if r.Code == messages.Code_NOT_LEADER || r.Code == messages.Code_WRONG_GROUP {
				r.Hint = p.hint
			}
			node := uint64(1)
			if len(p.nodes) > 0 {
				node, p.nodes = p.nodes[0], p.nodes[1:]
			}
			if r.Code != silence {
				p.sys.Root.Send(actor.NewPID(a.Address, a.Id), &messages.Replies{
					FromGroup: m.Group, FromNode: node, TimeMs: uint64(p.timeMs), Replies: slices.Repeat([]*messages.Reply{r}, p.times),
				})
			}
		}
	}
}

// pauseRecorder is a clock that records the pauses that were asked for.
type pauseRecorder struct {
	actors.Clock
	mu     sync.Mutex
	pauses []time.Duration
}

func (w *pauseRecorder) After(d time.Duration, f func()) (cancel func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pauses = append(w.pauses, d)
	return w.Clock.After(d, f)
}

// moveRetries counts the pauses of retries that wait for a migration.
func (w *pauseRecorder) moveRetries() (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, d := range w.pauses {
		if minMoveRetry <= d && d < maxMoveRetry {
			n++
		}
	}
	return n
}

func start(t *testing.T, inFlight int, script ...messages.Code) (*actors.System, *actor.PID, *scriptedLeader) {
	return startAt(t, actors.NewSystemClock(), Options{InFlight: inFlight}, script...)
}

func startAt(t *testing.T, clock actors.Clock, o Options, script ...messages.Code) (*actors.System, *actor.PID, *scriptedLeader) {
	sys, err := actors.NewSystem(actors.Env{
		Clock: clock, Rand: actors.SeededRand(1), Events: func(actors.Event) {}, Fatal: func(err error) { t.Error(err) },
	}, deadNetwork{})
	require.NoError(t, err)
	p := &scriptedLeader{sys: sys, script: script, times: 2}
	for _, group := range []string{"raft/1", "raft/2"} {
		_, err = sys.Spawn(group, func() actor.Actor { return p })
		require.NoError(t, err)
	}
	session, err := Start(sys, o)
	require.NoError(t, err)
	sys.Root.Send(actor.NewPID("here", Path), &messages.ConfigPush{Config: config()})
	return sys, session, p
}

func config() *messages.Config {
	return &messages.Config{
		Version: 1, Owners: []uint64{1},
		Nodes:  []*messages.Node{{Id: 1, Address: "here"}, {Id: 2, Address: "there"}},
		Groups: []*messages.Group{{Id: 1, Nodes: []uint64{1}}, {Id: 2, Nodes: []uint64{2, 1}}},
	}
}

func ask(sys *actors.System, session *actor.PID, op proto.Message, timeout time.Duration) *messages.Reply {
	answer := make(chan *messages.Reply, 2)
	sys.Root.Send(session, &Ask{Op: op, Timeout: timeout, Done: func(r *messages.Reply) { answer <- r }})
	return <-answer
}

func put(key string) *messages.Put { return &messages.Put{Key: []byte(key)} }

// Whatever the first replies are, every attempt carries the same bytes, and the caller gets one reply.
func TestRetriesAreTheSameRequest(t *testing.T) {
	sys, session, p := start(t, 0, messages.Code_NOT_LEADER, messages.Code_WRONG_GROUP, messages.Code_UNAVAILABLE, messages.Code_UNCERTAIN, silence)
	require.Equal(t, messages.Code_OK, ask(sys, session, put("k"), 10*time.Second).Code)
	p.mu.Lock()
	defer p.mu.Unlock()
	require.Len(t, p.seen, 6)
	for _, again := range p.seen[1:] {
		require.Equal(t, p.seen[0], again)
	}
}

// A bucket that migrates is served by no group for some milliseconds: a request that meets this is retried after as long.
func TestMigratingBucketIsRetriedSoon(t *testing.T) {
	wrong := slices.Repeat([]messages.Code{messages.Code_WRONG_GROUP}, 10)
	for _, c := range []struct {
		name   string
		hint   *messages.Hint
		pauses int
	}{
		{"no hint", nil, 10},
		{"a hint is followed at once, but not again and again", &messages.Hint{Group: 1, ConfigVersion: 1}, 9},
	} {
		t.Run(c.name, func(t *testing.T) {
			clock := &pauseRecorder{Clock: actors.NewSystemClock()}
			sys, session, p := startAt(t, clock, Options{}, wrong...)
			p.times, p.hint = 1, c.hint
			require.Equal(t, messages.Code_OK, ask(sys, session, put("k"), 20*time.Second).Code)
			require.Equal(t, c.pauses, clock.moveRetries())
		})
	}
}

// While other replicas still name the dead leader, no attempt goes there: it would outlast the election.
func TestHintsToADeadLeaderAreNotFollowed(t *testing.T) {
	no := messages.Code_NOT_LEADER
	sys, session, p := start(t, 0, no, no, no, no, no)
	p.hint = &messages.Hint{Leader: 2}
	sys.Root.Send(actor.NewPID("here", Path), &messages.ConfigPush{Config: &messages.Config{
		Version: 2, Owners: []uint64{2}, Nodes: config().Nodes, Groups: config().Groups,
	}})
	before := deadSends.Load()
	require.Equal(t, messages.Code_OK, ask(sys, session, put("k"), 20*time.Second).Code)
	p.mu.Lock()
	defer p.mu.Unlock()
	require.Len(t, p.seen, 6)
	require.EqualValues(t, 1, deadSends.Load()-before)
}

// configSource answers every ConfigPull with a config that has node 3, and lets the scripted leader answer OK from then on.
type configSource struct{ p *scriptedLeader }

func (m configSource) Receive(ctx actor.Context) {
	pull, ok := ctx.Message().(*messages.ConfigPull)
	if !ok || pull.HaveVersion == 0 {
		return
	}
	newer := config()
	newer.Version, newer.Nodes = pull.HaveVersion+1, append(newer.Nodes, &messages.Node{Id: 3, Address: "here"})
	m.p.sys.Root.Send(actor.NewPID(pull.ReplyAddress, pull.ReplyId), &messages.ConfigPush{Config: newer})
	m.p.mu.Lock()
	defer m.p.mu.Unlock()
	m.p.script = nil
}

// The leader joined after the client's config: only a newer config has its address.
func TestLeaderThatIsNotInTheConfig(t *testing.T) {
	sys, session, p := start(t, 0, slices.Repeat([]messages.Code{messages.Code_NOT_LEADER}, 10_000)...)
	p.hint = &messages.Hint{Leader: 3}
	_, err := sys.Spawn(MemberPath, func() actor.Actor { return configSource{p} })
	require.NoError(t, err)
	require.Equal(t, messages.Code_OK, ask(sys, session, put("k"), 10*time.Second).Code)
}

// A client with an old config, most of whose contacts are dead, asks one contact after the other for a newer config as soon as a
// node does not answer, and not one more each time that it retries at that node (seed 1000125 of the simulator).
func TestOldConfigAndDeadContacts(t *testing.T) {
	gone := []string{"a", "b", "c", "d", "e", "f", "g", "h", "i"}
	sys, session, p := startAt(t, actors.NewSystemClock(), Options{Contacts: append(gone, "here")})
	_, err := sys.Spawn(MemberPath, func() actor.Actor { return configSource{p} })
	require.NoError(t, err)
	old := config()
	old.Version, old.Owners, old.Groups = 2, []uint64{2}, []*messages.Group{{Id: 2, Nodes: []uint64{2}}}
	sys.Root.Send(actor.NewPID("here", Path), &messages.ConfigPush{Config: old})
	require.Equal(t, messages.Code_OK, ask(sys, session, &messages.Get{Key: []byte("k")}, 5*time.Second).Code)
}

func TestDeadlines(t *testing.T) {
	mute, full := slices.Repeat([]messages.Code{silence}, 50), slices.Repeat([]messages.Code{messages.Code_OVERLOADED}, 50)
	for _, c := range []struct {
		name   string
		op     proto.Message
		script []messages.Code
		want   messages.Code
	}{
		{"a write that some replica may have", put("k"), mute, messages.Code_UNCERTAIN},
		{"a read", &messages.Get{Key: []byte("k")}, mute, messages.Code_UNAVAILABLE},
		{"refused for good", put("k"), []messages.Code{messages.Code_INVALID}, messages.Code_INVALID},
		{"overloaded at once", put("k"), []messages.Code{messages.Code_OVERLOADED}, messages.Code_OVERLOADED},
		{"overloaded, but some replica may have it", put("k"), append([]messages.Code{silence}, full...), messages.Code_UNCERTAIN},
		{"an empty key is not sent", put(""), nil, messages.Code_INVALID},
		{"a batch of two slots reaches the machine, which refuses", &messages.Batch{}, nil, messages.Code_INVALID},
		{"no request", &messages.Reply{}, nil, messages.Code_INVALID},
	} {
		t.Run(c.name, func(t *testing.T) {
			sys, session, _ := start(t, 0, c.script...)
			require.Equal(t, c.want, ask(sys, session, c.op, 300*time.Millisecond).Code)
		})
	}
}

// A request that every asked replica has refused was not applied. A replica that was asked twice may have refused once.
func TestRefusedByEveryAskedReplica(t *testing.T) {
	at, other := replica{1, 1}, replica{1, 2}
	for _, c := range []struct {
		name    string
		asked   []replica
		refused []replica
		routing int
		maybe   bool
	}{
		{"no replica asked", nil, nil, 0, false},
		{"on its way", nil, nil, 1, true},
		{"no answer", []replica{at}, nil, 0, true},
		{"refused", []replica{at}, []replica{at}, 0, false},
		{"refused, and asked elsewhere", []replica{at, other}, []replica{at}, 0, true},
		{"refused, and on its way elsewhere", []replica{at}, []replica{at}, 1, true},
		{"refused by both", []replica{at, other}, []replica{at, other}, 0, false},
		{"refused twice by one of them", []replica{at, other}, []replica{at, at}, 0, true},
		{"asked twice, and one answer came twice", []replica{at, at}, []replica{at, at}, 0, true},
		{"refused by a replica that was not asked", []replica{at}, []replica{other}, 0, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := &request{outgoing: outgoing{command: true}, undispatched: c.routing + len(c.asked)}
			for _, to := range c.asked {
				p.noteDispatched(to)
			}
			for _, by := range c.refused {
				p.noteRefused(by)
			}
			require.Equal(t, c.maybe, p.maybeApplied())
			p.command = false
			require.False(t, p.maybeApplied(), "a read")
		})
	}
}

// OVERLOADED from the leader that a hint names ends the request, although another replica was asked before.
func TestOverloadedBehindAHint(t *testing.T) {
	sys, session, p := start(t, 0, messages.Code_NOT_LEADER, messages.Code_OVERLOADED)
	p.hint, p.nodes, p.times = &messages.Hint{Leader: 3}, []uint64{1, 3}, 1
	sys.Root.Send(actor.NewPID("here", Path), &messages.ConfigPush{Config: &messages.Config{
		Version: 2, Owners: []uint64{1}, Nodes: append(config().Nodes, &messages.Node{Id: 3, Address: "here"}),
		Groups: []*messages.Group{{Id: 1, Nodes: []uint64{1, 3}}},
	}})
	began := time.Now()
	require.Equal(t, messages.Code_OVERLOADED, ask(sys, session, put("k"), 20*time.Second).Code)
	require.Less(t, time.Since(began), 10*time.Second, "not at the deadline")
	require.Len(t, p.seen, 2)
}

// Whether a request reached a replica is not known before the Router has said so.
func TestSlowRouter(t *testing.T) {
	sys, _, _ := start(t, 0)
	require.NoError(t, sys.Root.StopFuture(actor.NewPID("here", Path)).Wait())
	session, err := StartSession(sys, Options{Name: "alone"})
	require.NoError(t, err)
	require.Equal(t, messages.Code_UNCERTAIN, ask(sys, session, put("k"), 50*time.Millisecond).Code)
	require.Equal(t, messages.Code_UNAVAILABLE, ask(sys, session, &messages.Get{Key: []byte("k")}, 50*time.Millisecond).Code)
}

// Large requests are sent as far as the window admits them. The others are sent later, or were never sent; small ones do not wait. A
// refused caller that asks again goes before callers that came later.
func TestLargeRequestsWaitForTheWindow(t *testing.T) {
	sys, session, p := startAt(t, actors.NewSystemClock(), Options{RequestWindow: 100 << 10}, silence)
	answers := make(chan string, 10)
	large := &messages.Put{Key: []byte("k"), Value: make([]byte, 64<<10)}
	ask := func(op proto.Message, timeout time.Duration, gone chan struct{}, done func(*messages.Reply)) {
		sys.Root.Send(session, &Ask{Op: op, Timeout: timeout, Cancel: gone, Done: done})
	}
	later := func(name string, op proto.Message, timeout time.Duration, gone chan struct{}) {
		ask(op, timeout, gone, func(r *messages.Reply) { answers <- name + " " + r.Code.String() })
	}
	gone, hurried := make(chan struct{}), make(chan struct{})
	close(gone)
	later("first", large, 20*time.Second, nil)
	later("given up", large, 20*time.Second, gone)
	ask(large, 120*time.Millisecond, hurried, func(r *messages.Reply) {
		answers <- "hurried " + r.Code.String()
		later("hurried again", large, 20*time.Second, hurried)
	})
	later("patient", large, 20*time.Second, nil)
	later("small", put("k"), 20*time.Second, nil)
	require.Equal(t, "small OK", <-answers)
	require.Equal(t, "given up UNAVAILABLE", <-answers)
	require.Equal(t, "hurried OVERLOADED", <-answers)
	require.Equal(t, "first OK", <-answers)
	require.Equal(t, "hurried again OK", <-answers)
	require.Equal(t, "patient OK", <-answers)
	names := map[uint64]bool{}
	for _, encoded := range p.seen {
		_, seq := messages.RequestID(encoded)
		names[seq] = true
	}
	require.Len(t, names, 4, "two were never sent")
}

// A request that waits for the window is not overtaken by later ones that need less of it: it would never be sent.
func TestLargestRequestsAreNotOvertaken(t *testing.T) {
	sys, session, p := startAt(t, actors.NewSystemClock(), Options{RequestWindow: 100 << 10}, silence)
	answers := make(chan string, 10)
	for i, size := range []int{60 << 10, 90 << 10, 30 << 10} {
		name := fmt.Sprint(i)
		sys.Root.Send(session, &Ask{Op: &messages.Put{Key: []byte("k"), Value: make([]byte, size)}, Timeout: 20 * time.Second, Done: func(r *messages.Reply) {
			answers <- name + " " + r.Code.String()
		}})
	}
	require.Equal(t, "0 OK", <-answers)
	require.Equal(t, "1 OK", <-answers)
	require.Equal(t, "2 OK", <-answers)
	require.NotEmpty(t, p.seen)
}

func TestInFlightIsBounded(t *testing.T) {
	sys, session, _ := start(t, 3, silence, silence, silence)
	answers := make(chan messages.Code, 10)
	for range 5 {
		sys.Root.Send(session, &Ask{Op: put("k"), Timeout: 100 * time.Millisecond, Done: func(r *messages.Reply) { answers <- r.Code }})
	}
	require.Equal(t, messages.Code_OVERLOADED, <-answers)
	require.Equal(t, messages.Code_OVERLOADED, <-answers)
	for range 3 {
		require.Equal(t, messages.Code_UNCERTAIN, <-answers)
	}
}

// An actor of the user's sends a message and gets a message.
func TestActorsRequest(t *testing.T) {
	sys, session, _ := start(t, 0)
	r, err := sys.Root.RequestFuture(session, put("k"), 5*time.Second).Result()
	require.NoError(t, err)
	require.Equal(t, messages.Code_OK, r.(*messages.Reply).Code)
}

func TestTable(t *testing.T) {
	table := NewTable()
	_, ok := table.Group(0)
	require.False(t, ok)
	require.True(t, table.Update(config()))
	require.False(t, table.Update(config()), "not newer")
	g, ok := table.Group(0)
	require.True(t, ok)
	require.EqualValues(t, 1, g)
	leader := func() uint64 { node, _ := table.Leader(2); return node }
	require.EqualValues(t, 2, leader(), "the preferred leader first")
	table.LeaderFailed(2, 1)
	require.EqualValues(t, 2, leader(), "nobody asked node 1")
	table.LeaderFailed(2, 2)
	require.EqualValues(t, 1, leader())
	table.LeaderFailed(2, 1)
	require.EqualValues(t, 2, leader(), "round and round")
	table.SetLeader(2, 1)
	require.EqualValues(t, 1, leader())
	table.SetLeader(2, 99)
	require.EqualValues(t, 1, leader(), "nobody knows node 99")
	table.RecordMove(0, &messages.Hint{Group: 2, ConfigVersion: 2})
	g, _ = table.Group(0)
	require.EqualValues(t, 2, g, "a hint from a newer config")
	table.RecordMove(0, &messages.Hint{Group: 1, ConfigVersion: 1})
	g, _ = table.Group(0)
	require.EqualValues(t, 2, g, "not from an older one")
}

// Reads that any replica may answer go to the node's own replica, or else to those that are not suspected, in turn.
func TestReplicasTakeTurns(t *testing.T) {
	table := NewTable()
	node, address := table.Replica(2, "here", 0)
	require.Zero(t, node)
	require.Empty(t, address)
	require.True(t, table.Update(config()))
	replica := func(home string, turn int) uint64 { node, _ := table.Replica(2, home, turn); return node }
	require.Equal(t, []uint64{1, 1, 1}, []uint64{replica("here", 0), replica("here", 1), replica("here", 2)})
	require.Equal(t, []uint64{2, 1, 2}, []uint64{replica("else", 0), replica("else", 1), replica("else", 2)})
	table.Suspect(2, time.Second)
	require.Equal(t, []uint64{1, 1}, []uint64{replica("else", 0), replica("else", 1)})
	table.Suspect(1, time.Second)
	require.EqualValues(t, 2, replica("else", 1), "all are suspected: then the leader")
}

// A replica that cannot answer is asked once; then the leader is asked, with the same bytes.
func TestReplicaReadsFallBackToTheLeader(t *testing.T) {
	sys, session, p := start(t, 0, messages.Code_UNAVAILABLE, messages.Code_NOT_LEADER)
	get := &messages.Get{Key: []byte("k"), From: messages.ReadFrom_REPLICA}
	require.Equal(t, messages.Code_OK, ask(sys, session, get, 5*time.Second).Code)
	p.mu.Lock()
	defer p.mu.Unlock()
	require.Len(t, p.seen, 3)
	require.Equal(t, p.seen[0], p.seen[2])
	require.Equal(t, 1, p.spread)
}

// While a bucket migrates, requests go to its source until one of the two groups says that the destination serves it.
func TestTableFollowsAMigratingBucket(t *testing.T) {
	on := func(version, owner, previous, moved uint64, returning ...uint32) *messages.Config {
		return &messages.Config{
			Version: version, Owners: []uint64{owner}, PreviousOwners: []uint64{previous}, MovedVersions: []uint64{moved}, MovesPending: []uint32{0}, Reverting: returning,
		}
	}
	for _, c := range []struct {
		name   string
		config *messages.Config
		hints  [][2]uint64 // group, version
		want   uint64
	}{
		{"its source serves it", on(5, 2, 1, 5), nil, 1},
		{"its source has frozen it", on(5, 2, 1, 5), [][2]uint64{{2, 5}}, 2},
		{"long after the move began", on(9, 2, 1, 5), [][2]uint64{{2, 5}}, 2},
		{"its destination is asked too early", on(5, 2, 1, 5), [][2]uint64{{2, 5}, {1, 4}}, 2},
		{"a replica remembers an older move", on(5, 2, 1, 5), [][2]uint64{{3, 4}}, 1},
		{"reverted", on(6, 1, 2, 6, 0), nil, 1},
		{"reverted too late", on(6, 1, 2, 6, 0), [][2]uint64{{2, 5}}, 2},
		{"and back at its source", on(6, 1, 2, 6, 0), [][2]uint64{{2, 5}, {1, 6}}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			table := NewTable()
			table.Update(c.config)
			for _, h := range c.hints {
				table.RecordMove(0, &messages.Hint{Group: h[0], ConfigVersion: h[1]})
			}
			g, ok := table.Group(0)
			require.True(t, ok)
			require.Equal(t, c.want, g)
		})
	}
	table := NewTable()
	table.Update(on(5, 2, 1, 5))
	table.RecordMove(0, &messages.Hint{Group: 2, ConfigVersion: 5})
	table.Update(on(6, 2, 1, 5))
	g, _ := table.Group(0)
	require.EqualValues(t, 2, g, "another bucket's move has no effect")
	table.Update(on(8, 3, 2, 8))
	g, _ = table.Group(0)
	require.EqualValues(t, 2, g, "the source of the next move")
}

// The requests gathered for a replica leave in messages of bounded size, completely and in order. Only a single request may be larger.
func TestSplitKeepsEverything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &messages.Requests{Group: 3}
		few := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) []byte {
			size := rapid.SampledFrom([]int{0, 1, 100, 1020, maxBatchBytes / 3, maxBatchBytes, messages.MaxCommandBytes}).Draw(t, "size")
			return make([]byte, size)
		}), 0, 6)
		var want [4]int
		for a := range rapid.IntRange(1, 4).Draw(t, "askers") {
			asker := &messages.SessionRequests{Address: "127.0.0.1:7400", Id: string(rune('a' + a))}
			for i, list := range lists(asker) {
				*list = few.Draw(t, "requests")
				for range rapid.SampledFrom([]int{0, 1, 1200}).Draw(t, "small ones") {
					*list = append(*list, make([]byte, 1020))
				}
				want[i] += len(*list)
			}
			m.Sessions = append(m.Sessions, asker)
		}
		var got [4]int
		for _, part := range splitRequests(m) {
			require.EqualValues(t, 3, part.Group)
			count := 0
			for _, a := range part.Sessions {
				for i, list := range lists(a) {
					got[i] += len(*list)
					count += len(*list)
				}
			}
			require.LessOrEqual(t, proto.Size(part), messages.MaxMessageBytes)
			if count > 1 {
				require.LessOrEqual(t, proto.Size(part), maxBatchBytes)
			}
		}
		require.Equal(t, want, got)
	})
}

func lists(a *messages.SessionRequests) [4]*[][]byte {
	return [4]*[][]byte{&a.Retries, &a.Commands, &a.Queries, &a.ReplicaQueries}
}

// The sender of requests or replies that are too large to be sent gets an error for each of them at once, however many there are.
func TestTooLargeIsAnswered(t *testing.T) {
	for _, rule := range Rules() {
		var told []*messages.Reply
		tell := func(to *actor.PID, m proto.Message) {
			require.Equal(t, "session/1", to.Id)
			require.LessOrEqual(t, proto.Size(m), 1<<20)
			told = append(told, m.(*messages.Replies).Replies...)
		}
		switch rule.Type {
		case "eraft.Requests":
			a := &messages.SessionRequests{Address: "a", Id: "session/1"}
			for i := range 5_000 {
				a.Commands = append(a.Commands, encoded(t, &messages.Command{Session: 1, Seq: uint64(i)}))
			}
			rule.OnTooLarge(nil, &messages.Requests{Sessions: []*messages.SessionRequests{a}}, tell)
			require.Len(t, told, 5_000)
			require.Equal(t, messages.Code_TOO_LARGE, told[0].Code)
		case "eraft.Replies":
			rule.OnTooLarge(actor.NewPID("a", "session/1"), &messages.Replies{Replies: []*messages.Reply{{Session: 1, Seq: 7}}}, tell)
			require.Len(t, told, 1)
			require.EqualValues(t, 7, told[0].Seq)
		default:
			require.Nil(t, rule.OnTooLarge, "%s: nobody waits for it", rule.Type)
		}
	}
}

func encoded(t *testing.T, m proto.Message) []byte {
	b, err := proto.Marshal(m)
	require.NoError(t, err)
	return b
}

// A request that names a bucket goes to the bucket's group, or follows a hint; one for a bucket that does not exist is refused.
func TestBucketsAreAddresses(t *testing.T) {
	sys, session, p := start(t, 0, messages.Code_WRONG_GROUP)
	require.Equal(t, messages.Code_OK, ask(sys, session, &messages.Scan{Bucket: 0}, 5*time.Second).Code)
	p.mu.Lock()
	require.Len(t, p.seen, 2)
	require.Equal(t, p.seen[0], p.seen[1])
	p.mu.Unlock()
	refused := ask(sys, session, &messages.Scan{Bucket: 7}, 5*time.Second)
	require.Equal(t, messages.Code_INVALID, refused.Code)
	require.Contains(t, refused.Text, "no bucket 7")
	require.EqualValues(t, 3, target{byBucket: true, bucket: 3}.bucketIn(16))
	require.EqualValues(t, messages.BucketOf([]byte("k"), 16), target{key: []byte("k")}.bucketIn(16))
}
