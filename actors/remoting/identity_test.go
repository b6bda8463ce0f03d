package remoting_test

import (
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/remote"
	"github.com/stretchr/testify/require"

	"github.com/eraft-io/eraft/actors"
	"github.com/eraft-io/eraft/actors/remoting"
	"github.com/eraft-io/eraft/messages"
)

// Nobody silences a node by saying that it is a later life of it, neither on a connection that it opens nor where it is called.
// Who answers where members know the node is believed: of its earlier lives nothing is heard any more.
func TestForgedEpochSilencesNobody(t *testing.T) {
	node, network := system(t, "127.0.0.1:0", actors.Identity{Cluster: 7, Node: 1, Epoch: 3})
	defer func() { require.NoError(t, network.Detach()) }()
	got := counter(t, node)
	arrives := func(s sender, what string) {
		t.Helper()
		before := got.Load()
		require.Eventually(t, func() bool { s.send(); return got.Load() > before }, 20*time.Second, 20*time.Millisecond, what)
	}
	other, peer := system(t, "127.0.0.1:0", actors.Identity{Cluster: 7, Node: 2, Epoch: 5})
	defer func() { require.NoError(t, peer.Detach()) }()
	heard := counter(t, other)
	liar, lies := system(t, "127.0.0.1:0", actors.Identity{Cluster: 7, Node: 2, Epoch: 999})
	defer func() { require.NoError(t, lies.Detach()) }()
	lied := counter(t, liar)
	network.SetMembers(map[string]messages.NodeID{node.Address(): 1, other.Address(): 2, liar.Address(): 3})
	to := node.Address()

	arrives(sender{liar, to}, "who says that it is a member is heard: there is no proof yet")
	arrives(sender{other, to}, "and nobody else is silenced by it")
	require.Eventually(t, func() bool { sender{node, liar.Address()}.send(); return lied.Load() > 0 }, 20*time.Second, 20*time.Millisecond)
	arrives(sender{other, to}, "not even where it is called")

	before := call(t, node, "before")
	require.NoError(t, before.say("7/2/4", &messages.Requests{}))
	require.Eventually(t, func() bool { sender{node, other.Address()}.send(); return heard.Load() > 0 }, 20*time.Second, 20*time.Millisecond)
	require.Eventually(t, func() bool {
		gone := before.say("7/2/4", &messages.Requests{}) != nil
		return gone || network.Guard().Drops()["superseded boot epoch"] > 0
	}, 20*time.Second, 20*time.Millisecond, "an earlier life is not heard")
	require.Eventually(t, func() bool { return before.RecvMsg(new(remote.RemoteMessage)) != nil }, 20*time.Second, time.Millisecond, "its stream ends")
	require.Positive(t, network.Guard().Drops()["superseded boot epoch"])
	arrives(sender{other, to}, "the present one is")
}

// A node that has begun another life elsewhere is told so by every member that it calls and that has called the other one: two
// systems do not have one identity for long. Who is no member tells nobody such a thing.
func TestTwinsAreToldApart(t *testing.T) {
	node, network := system(t, "127.0.0.1:0", actors.Identity{Cluster: 7, Node: 1, Epoch: 3})
	defer func() { require.NoError(t, network.Detach()) }()
	later, peer := system(t, "127.0.0.1:0", actors.Identity{Cluster: 7, Node: 2, Epoch: 6})
	defer func() { require.NoError(t, peer.Detach()) }()
	heard := counter(t, later)
	counter(t, node)
	network.SetMembers(map[string]messages.NodeID{node.Address(): 1, later.Address(): 2})
	require.Eventually(t, func() bool { sender{node, later.Address()}.send(); return heard.Load() > 0 }, 20*time.Second, 20*time.Millisecond)

	outlived := make(chan messages.Epoch, 1000)
	ends := remoting.New(remoting.Options{Listen: "127.0.0.1:0", Rules: rules})
	earlier, err := actors.NewSystem(actors.Env{
		Clock: actors.NewSystemClock(), Rand: actors.SeededRand(1), Events: func(actors.Event) {}, Fatal: func(err error) { t.Error(err) },
		Superseded: func(by messages.Epoch) { outlived <- by },
	}, ends)
	require.NoError(t, err)
	defer func() { require.NoError(t, ends.Detach()) }()
	earlier.SetIdentity(actors.Identity{Cluster: 7, Node: 2, Epoch: 5})
	before := network.Guard().Drops()["superseded boot epoch"]
	require.Eventually(t, func() bool {
		sender{earlier, node.Address()}.send()
		return network.Guard().Drops()["superseded boot epoch"] > before+1
	}, 20*time.Second, 20*time.Millisecond)
	require.Empty(t, outlived, "it does not know that it has called a member")
	ends.SetMembers(map[string]messages.NodeID{node.Address(): 1})
	require.Eventually(t, func() bool { sender{earlier, node.Address()}.send(); return len(outlived) > 0 }, 20*time.Second, 20*time.Millisecond)
	require.EqualValues(t, 6, <-outlived)
}

type sender struct {
	from *actors.System
	to   string
}

func (s sender) send() { s.from.Root.Send(actor.NewPID(s.to, "raft/1"), asking(1)) }

// A stream is one sender's: it cannot speak for others, neither by its header nor within a message.
func TestStreamsSpeakForOne(t *testing.T) {
	node, network := system(t, "127.0.0.1:0", actors.Identity{Cluster: 7, Node: 1, Epoch: 3})
	defer func() { require.NoError(t, network.Detach()) }()
	got := counter(t, node)
	signed := func(from uint64) *messages.RaftMessages {
		return &messages.RaftMessages{Messages: []*messages.RaftMessage{{From: from}}}
	}
	c := call(t, node, "x")
	require.NoError(t, c.say("0/0/0", asking(1)))
	require.NoError(t, c.say("7/0/9", signed(0))) // a cluster, but no node id: still unauthenticated
	require.NoError(t, c.say("7/2/5", signed(2))) // it has joined
	require.NoError(t, c.say("7/2/5", signed(3)))
	require.NoError(t, c.say("7/3/5", signed(3)))
	require.NoError(t, c.say("0/0/0", asking(1)))
	require.NoError(t, c.say("7/2/5", asking(1)))
	require.Eventually(t, func() bool { return got.Load() == 3 }, 20*time.Second, time.Millisecond)
	require.Equal(t, map[string]uint64{"unauthenticated": 1, "sender mismatch": 1, "identity changed": 2}, network.Guard().Drops())
}
