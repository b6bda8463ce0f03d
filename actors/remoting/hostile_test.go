package remoting_test

import (
	"context"
	"net"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/remote"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/actors"
	"github.com/eraft-io/eraft/actors/remoting"
	"github.com/eraft-io/eraft/messages"
)

var rules = []actors.Rule{
	{Type: "eraft.Requests", Paths: []string{"raft/"}, Unauthenticated: true, Bulk: true, Validate: func(encoded []byte, replyAddress string) bool {
		var m messages.Requests
		return proto.Unmarshal(encoded, &m) == nil && !slices.ContainsFunc(m.Sessions, func(a *messages.SessionRequests) bool { return a.Address != replyAddress })
	}},
	{Type: "eraft.ConfigPull", Paths: []string{"raft/"}, Unauthenticated: true},
	{Type: "eraft.Replies", Paths: []string{"session/"}, Bulk: true},
	{Type: "eraft.RaftMessages", Paths: []string{"raft/"}, Sender: func(m any) (messages.NodeID, messages.Epoch) {
		return messages.NodeID(m.(*messages.RaftMessages).Messages[0].GetFrom()), 0
	}},
}

func system(t *testing.T, listen string, id actors.Identity) (*actors.System, *remoting.Network) {
	network := remoting.New(remoting.Options{Listen: listen, Rules: rules})
	sys, err := actors.NewSystem(actors.Env{
		Clock: actors.NewSystemClock(), Rand: actors.SeededRand(1),
		Events: func(actors.Event) {}, Fatal: func(err error) { t.Error(err) },
	}, network)
	require.NoError(t, err)
	sys.SetIdentity(id)
	return sys, network
}

// counter counts the messages that reach raft/1.
func counter(t *testing.T, sys *actors.System) *atomic.Int64 {
	var n atomic.Int64
	_, err := sys.Spawn("raft/1", func() actor.Actor {
		return actor.ReceiveFunc(func(ctx actor.Context) {
			if batch, ok := ctx.Message().([]any); ok {
				n.Add(int64(len(batch)))
			}
		})
	}, actors.Batching(actors.MailboxBound{}, nil))
	require.NoError(t, err)
	return &n
}

// TestHostileInput throws at a live node, over a real connection, what ends a bare Proto.Actor process. The node
// serves on, and has counted each.
func TestHostileInput(t *testing.T) {
	node, network := system(t, "127.0.0.1:0", actors.Identity{Cluster: 7, Node: 1, Epoch: 3})
	defer func() { require.NoError(t, network.Detach()) }()
	got := counter(t, node)
	conn, err := grpc.NewClient(node.Address(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	defer conn.Close()
	raw := remote.NewRemotingClient(conn)

	_, err = raw.ListProcesses(t.Context(), &remote.ListProcessesRequest{})
	require.Error(t, err)
	_, err = raw.GetProcessDiagnostics(t.Context(), &remote.GetProcessDiagnosticsRequest{})
	require.Error(t, err)

	body, err := proto.Marshal(&messages.Requests{Group: 1})
	require.NoError(t, err)
	good := func() *remote.MessageBatch {
		return &remote.MessageBatch{
			TypeNames: []string{"eraft.Requests"},
			Targets:   []*actor.PID{{Address: node.Address(), Id: "raft/1"}},
			Envelopes: []*remote.MessageEnvelope{{MessageData: body, MessageHeader: &remote.MessageHeader{
				HeaderData: map[string]string{"e": "7/2/5"},
			}}},
		}
	}
	header := func(text string) func(*remote.MessageBatch) {
		return func(b *remote.MessageBatch) { b.Envelopes[0].MessageHeader.HeaderData["e"] = text }
	}
	send := func(change func(*remote.MessageBatch)) {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		stream, err := raw.Receive(ctx)
		require.NoError(t, err)
		b := good()
		change(b)
		require.NoError(t, stream.Send(&remote.RemoteMessage{MessageType: &remote.RemoteMessage_MessageBatch{MessageBatch: b}}))
		require.NoError(t, stream.CloseSend())
		for err == nil {
			_, err = stream.Recv()
		}
	}
	target := func(address, id string) func(*remote.MessageBatch) {
		return func(b *remote.MessageBatch) { b.Targets[0] = &actor.PID{Address: address, Id: id} }
	}
	kind := func(name string, m proto.Message) func(*remote.MessageBatch) {
		return func(b *remote.MessageBatch) {
			b.TypeNames[0] = name
			data, err := proto.Marshal(m)
			require.NoError(t, err)
			b.Envelopes[0].MessageData = data
		}
	}
	for _, c := range []struct {
		name   string
		change func(*remote.MessageBatch)
	}{
		{"type id out of range", func(b *remote.MessageBatch) { b.Envelopes[0].TypeId = 9 }},
		{"negative type id", func(b *remote.MessageBatch) { b.Envelopes[0].TypeId = -1 }},
		{"target out of range", func(b *remote.MessageBatch) { b.Envelopes[0].Target = 9 }},
		{"sender out of range", func(b *remote.MessageBatch) { b.Envelopes[0].Sender = 9 }},
		{"unknown serializer", func(b *remote.MessageBatch) { b.Envelopes[0].SerializerId = 9 }},
		{"unknown type", kind("eraft.Nonsense", &messages.Requests{})},
		{"type of ours for nobody", kind("eraft.Config", &messages.Config{})},
		{"guardian", target(node.Address(), "guardian$1")},
		{"event stream", target(node.Address(), "eventstream")},
		{"stop", kind("actor.Stop", &actor.Stop{})},
		{"poison", kind("actor.PoisonPill", &actor.PoisonPill{})},
		{"terminated without who", kind("actor.Terminated", &actor.Terminated{})},
		{"watch without watcher", kind("actor.Watch", &actor.Watch{})},
		{"activation of an unknown kind", kind("remote.ActorPidRequest", &remote.ActorPidRequest{Kind: "x"})},
		{"foreign cluster", header("8/2/5")},
		{"no identity", header("")},
		{"garbled identity", header("7//x")},
		{"guest where members speak", func(b *remote.MessageBatch) {
			header("0/0/0")(b)
			kind("eraft.RaftMessages", &messages.RaftMessages{Messages: []*messages.RaftMessage{{}}})(b)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			send(func(*remote.MessageBatch) {})
			require.Eventually(t, func() bool { return got.Load() == 1 }, 5*time.Second, time.Millisecond, "a good message must arrive")
			got.Store(0)
			before := dropped(network)
			send(c.change)
			require.Eventually(t, func() bool { return dropped(network) == before+1 }, 5*time.Second, time.Millisecond, "the drop must be counted")
			require.Zero(t, got.Load())
		})
	}
	send(func(b *remote.MessageBatch) { b.Envelopes[0].MessageData = []byte{0xff, 0xff} }) // ends its stream only
	send(func(*remote.MessageBatch) {})
	require.Eventually(t, func() bool { return got.Load() == 1 }, 5*time.Second, time.Millisecond, "the node serves on")
}

func dropped(n *remoting.Network) (sum uint64) {
	for _, count := range n.Guard().Drops() {
		sum += count
	}
	return sum
}

// TestReconnect: a peer that comes back on its port is reached again soon.
func TestReconnect(t *testing.T) {
	a, network := system(t, "127.0.0.1:0", actors.Identity{Cluster: 7, Node: 1, Epoch: 1})
	defer func() { require.NoError(t, network.Detach()) }()
	b, peer := system(t, "127.0.0.1:0", actors.Identity{Cluster: 7, Node: 2, Epoch: 1})
	address := b.Address()
	reach := func(n *atomic.Int64) {
		require.Eventually(t, func() bool {
			a.Root.Send(actor.NewPID(address, "raft/1"), &messages.RaftMessages{Messages: []*messages.RaftMessage{{}}})
			return n.Load() > 0
		}, 10*time.Second, 20*time.Millisecond)
	}
	reach(counter(t, b))
	require.NoError(t, peer.Detach())
	b, peer = system(t, address, actors.Identity{Cluster: 7, Node: 2, Epoch: 2})
	defer func() { require.NoError(t, peer.Detach()) }()
	require.Equal(t, address, b.Address())
	reach(counter(t, b))
}

// Why a system cannot be reached is told once, and known until it can.
func TestWhyNobodyAnswers(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	nobody := l.Addr().String()
	require.NoError(t, l.Close())
	told := make(chan remoting.PeerUnreachable, 100)
	network := remoting.New(remoting.Options{Rules: rules})
	a, err := actors.NewSystem(actors.Env{Events: func(e actors.Event) {
		if u, ok := e.(remoting.PeerUnreachable); ok {
			told <- u
		}
	}}, network)
	require.NoError(t, err)
	defer func() { require.NoError(t, network.Detach()) }()
	for _, address := range []string{nobody, "no.such.host.invalid:7400"} {
		require.NoError(t, network.DialError(address))
		a.Root.Send(actor.NewPID(address, "raft/1"), asking(1))
		select {
		case u := <-told:
			require.Equal(t, address, u.Peer)
			require.Equal(t, network.DialError(address), u.Reason)
		case <-time.After(20 * time.Second):
			require.Fail(t, "nothing is told of "+address)
		}
	}
	require.ErrorContains(t, network.DialError(nobody), "connection refused")
	b, peer := system(t, nobody, actors.Identity{Cluster: 7, Node: 2, Epoch: 1})
	defer func() { require.NoError(t, peer.Detach()) }()
	got := counter(t, b)
	require.Eventually(t, func() bool {
		a.Root.Send(actor.NewPID(nobody, "raft/1"), asking(1))
		return got.Load() > 0
	}, 20*time.Second, 20*time.Millisecond)
	require.NoError(t, network.DialError(nobody))
	require.Empty(t, told)
}

// Of a name only the address is asked: a name server that says nothing to other questions would keep systems apart.
func TestNamesAreOnlyLookedUp(t *testing.T) {
	var asked atomic.Int64
	before := net.DefaultResolver
	t.Cleanup(func() { net.DefaultResolver = before })
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		asked.Add(1)
		<-ctx.Done()
		return nil, ctx.Err()
	}}
	a, network := system(t, "127.0.0.1:0", actors.Identity{Cluster: 7, Node: 1, Epoch: 1})
	defer func() { require.NoError(t, network.Detach()) }()
	b, peer := system(t, "localhost:0", actors.Identity{Cluster: 7, Node: 2, Epoch: 1})
	defer func() { require.NoError(t, peer.Detach()) }()
	got := counter(t, b)
	require.Contains(t, b.Address(), "localhost:")
	a.Root.Send(actor.NewPID(b.Address(), "raft/1"), &messages.RaftMessages{Messages: []*messages.RaftMessage{{}}})
	require.Eventually(t, func() bool { return got.Load() == 1 }, 8*time.Second, time.Millisecond)
	require.Zero(t, asked.Load())
}

// Messages that were sent at once and are together larger than a receiver takes arrive one by one, in order.
func TestLargeMessagesTravelInParts(t *testing.T) {
	a, network := system(t, "127.0.0.1:0", actors.Identity{Cluster: 7, Node: 1, Epoch: 1})
	defer func() { require.NoError(t, network.Detach()) }()
	b, peer := system(t, "127.0.0.1:0", actors.Identity{Cluster: 7, Node: 2, Epoch: 1})
	defer func() { require.NoError(t, peer.Detach()) }()
	got := make(chan uint64, 100)
	_, err := b.Spawn("raft/1", func() actor.Actor {
		return actor.ReceiveFunc(func(ctx actor.Context) {
			if m, ok := ctx.Message().(*messages.RaftMessages); ok {
				got <- m.Messages[0].Term
			}
		})
	})
	require.NoError(t, err)
	send := func(term uint64, size int) {
		entry := &messages.Entry{Data: make([]byte, size)}
		a.Root.Send(actor.NewPID(b.Address(), "raft/1"), &messages.RaftMessages{Messages: []*messages.RaftMessage{
			{Term: term, Entries: []*messages.Entry{entry}},
		}})
	}
	next := func() uint64 {
		select {
		case term := <-got:
			return term
		case <-time.After(20 * time.Second):
			require.Fail(t, "a message is lost")
			return 0
		}
	}
	send(0, 0)
	require.Zero(t, next())
	for term := uint64(1); term <= 20; term++ {
		send(term, 3<<20)
		send(99, messages.MaxLegacyBytes)
		send(term, 10)
	}
	for term := uint64(1); term <= 20; term++ {
		require.Equal(t, term, next())
		require.Equal(t, term, next())
	}
	require.EqualValues(t, 20, network.Guard().Drops()["too large to send"])
}

// What waits for a system that does not answer is bounded. Who hears of it may send.
func TestQueueIsBounded(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer silent.Close()
	network := remoting.New(remoting.Options{Listen: "127.0.0.1:0"})
	var a *actors.System
	var told atomic.Bool
	a, err = actors.NewSystem(actors.Env{Events: func(actors.Event) {
		if told.CompareAndSwap(false, true) {
			a.Root.Send(actor.NewPID(silent.Addr().String(), "raft/1"), &messages.RaftMessages{Messages: []*messages.RaftMessage{{}}})
		}
	}}, network)
	require.NoError(t, err)
	for range 1 << 15 {
		a.Root.Send(actor.NewPID(silent.Addr().String(), "raft/1"), &messages.RaftMessages{Messages: []*messages.RaftMessage{{}}})
	}
	require.EqualValues(t, 1<<14+1, network.Guard().Drops()["queue is full"])
	require.NoError(t, network.Detach()) // nor is anybody waited for
	a.Root.Send(actor.NewPID(silent.Addr().String(), "raft/1"), &messages.RaftMessages{Messages: []*messages.RaftMessage{{}}})
}

// Systems do not stop or watch one another's actors, and send nothing but protobuf.
func TestOnlyMessagesLeave(t *testing.T) {
	a, network := system(t, "127.0.0.1:0", actors.Identity{Cluster: 7, Node: 1, Epoch: 1})
	defer func() { require.NoError(t, network.Detach()) }()
	there := actor.NewPID("127.0.0.1:1", "raft/1")
	a.Root.Send(there, "text")
	a.Root.Stop(there)
	require.Equal(t, map[string]uint64{"no protobuf message": 1, "system message": 1}, network.Guard().Drops())
}

func TestListenErrors(t *testing.T) {
	_, network := system(t, "127.0.0.1:0", actors.Identity{})
	defer func() { require.NoError(t, network.Detach()) }()
	for listen, says := range map[string]string{
		"nonsense":  "host:port",
		"0.0.0.0:0": "--advertise",
	} {
		_, err := actors.NewSystem(actors.Env{}, remoting.New(remoting.Options{Listen: listen}))
		require.ErrorContains(t, err, says)
	}
}
