package remoting_test

import (
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"

	"github.com/eraft-io/eraft/actors"
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
	network.Members(map[string]messages.NodeID{node.Address(): 1, other.Address(): 2, liar.Address(): 3})
	to := node.Address()

	arrives(sender{liar, to}, "who says that it is a member is heard: there is no proof yet")
	arrives(sender{other, to}, "and nobody else is silenced by it")
	require.Eventually(t, func() bool { sender{node, liar.Address()}.send(); return lied.Load() > 0 }, 20*time.Second, 20*time.Millisecond)
	arrives(sender{other, to}, "not even where it is called")

	before := call(t, node, "before")
	require.NoError(t, before.say("7/2/4", &messages.Requests{}))
	require.Eventually(t, func() bool { sender{node, other.Address()}.send(); return heard.Load() > 0 }, 20*time.Second, 20*time.Millisecond)
	require.Eventually(t, func() bool {
		require.NoError(t, before.say("7/2/4", &messages.Requests{}))
		return network.Guard().Drops()["older life"] > 0
	}, 20*time.Second, 20*time.Millisecond, "an earlier life is not heard")
	arrives(sender{other, to}, "the present one is")
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
	require.NoError(t, c.say("7/0/9", signed(0))) // a cluster, but no number: still a guest
	require.NoError(t, c.say("7/2/5", signed(2))) // it has joined
	require.NoError(t, c.say("7/2/5", signed(3)))
	require.NoError(t, c.say("7/3/5", signed(3)))
	require.NoError(t, c.say("0/0/0", asking(1)))
	require.NoError(t, c.say("7/2/5", asking(1)))
	require.Eventually(t, func() bool { return got.Load() == 3 }, 20*time.Second, time.Millisecond)
	require.Equal(t, map[string]uint64{"stranger": 1, "signed by another": 1, "other identity": 2}, network.Guard().Drops())
}
