package remoting_test

import (
	"context"
	"fmt"
	"net"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/remote"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/actors"
	"github.com/eraft-io/eraft/messages"
)

// answering spawns an actor that answers every sender at the address that the message names.
func answering(t *testing.T, sys *actors.System, size int) {
	_, err := sys.Spawn("raft/1", func() actor.Actor {
		return actor.ReceiveFunc(func(ctx actor.Context) {
			if m, ok := ctx.Message().(*messages.Requests); ok {
				for _, asker := range m.Sessions {
					sys.Root.Send(actor.NewPID(asker.Address, asker.Id), &messages.Replies{FromGroup: m.Group, Replies: []*messages.Reply{
						{Text: string(make([]byte, size))},
					}})
				}
			}
		})
	})
	require.NoError(t, err)
}

// caller is an unauthenticated system that speaks the protocol by hand.
type caller struct {
	remote.Remoting_ReceiveClient
	t    *testing.T
	node string
}

func call(t *testing.T, node *actors.System, systemID string) *caller {
	t.Helper()
	conn, err := grpc.NewClient(node.Address(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, conn.Close()) })
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	stream, err := remote.NewRemotingClient(conn).Receive(ctx)
	require.NoError(t, err)
	c := &caller{stream, t, node.Address()}
	require.NoError(t, c.Send(&remote.RemoteMessage{MessageType: &remote.RemoteMessage_ConnectRequest{ConnectRequest: &remote.ConnectRequest{
		ConnectionType: &remote.ConnectRequest_ClientConnection{ClientConnection: &remote.ClientConnection{SystemId: systemID}},
	}}}))
	return c
}

// say sends messages to raft/1 under an identity.
func (c *caller) say(identity string, all ...proto.Message) error {
	b := &remote.MessageBatch{Targets: []*actor.PID{{Address: c.node, Id: "raft/1"}}}
	for i, m := range all {
		data, err := proto.Marshal(m)
		require.NoError(c.t, err)
		b.TypeNames = append(b.TypeNames, string(proto.MessageName(m)))
		b.Envelopes = append(b.Envelopes, &remote.MessageEnvelope{
			TypeId: int32(i), MessageData: data, MessageHeader: &remote.MessageHeader{HeaderData: map[string]string{"e": identity}},
		})
	}
	return c.Send(&remote.RemoteMessage{MessageType: &remote.RemoteMessage_MessageBatch{MessageBatch: b}})
}

// answer is the next message that comes back, beside that of the connection.
func (c *caller) answer() (*remote.MessageBatch, error) {
	for {
		m, err := c.Recv()
		if err != nil || m.GetMessageBatch() != nil {
			return m.GetMessageBatch(), err
		}
	}
}

func asking(group uint64, addresses ...string) *messages.Requests {
	m := &messages.Requests{Group: group}
	for _, a := range addresses {
		m.Sessions = append(m.Sessions, &messages.SessionRequests{Address: a, Id: "session/1"})
	}
	return m
}

// A client is answered over the stream that it opened, so servers need no route to it. A server opens no connection because a client says so,
// however many addresses it names.
func TestGuestsAreAnsweredOnTheirStream(t *testing.T) {
	node, network := system(t, "127.0.0.1:0", actors.Identity{Cluster: 7, Node: 1, Epoch: 3})
	defer func() { require.NoError(t, network.Detach()) }()
	answering(t, node, 3)
	stranger, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer stranger.Close()
	var called atomic.Bool
	go func() {
		if c, err := stranger.Accept(); err == nil {
			called.Store(true)
			c.Close()
		}
	}()

	c := call(t, node, "abc")
	var addresses []string
	for i := range 26_000 {
		addresses = append(addresses, fmt.Sprintf("127.0.%d.%d:%d", i/250, i%250, 1))
	}
	require.NoError(t, c.say("0/0/0", asking(1, append(addresses, stranger.Addr().String())...)))
	require.NoError(t, c.say("0/0/0", asking(2, "client/abc", "client/abc")))
	for range 2 {
		b, err := c.answer()
		require.NoError(t, err)
		for _, e := range b.Envelopes {
			var r messages.Replies
			require.NoError(t, proto.Unmarshal(e.MessageData, &r))
			require.EqualValues(t, 2, r.FromGroup)
		}
		if len(b.Envelopes) == 2 {
			break
		}
	}
	require.Less(t, runtime.NumGoroutine(), 200)
	require.False(t, called.Load())
	require.Equal(t, map[string]uint64{"invalid content": 1}, network.Guard().Drops())
}

// A system that does not listen asks and is answered.
func TestNobodyNeedListen(t *testing.T) {
	node, network := system(t, "127.0.0.1:0", actors.Identity{Cluster: 7, Node: 1, Epoch: 3})
	defer func() { require.NoError(t, network.Detach()) }()
	answering(t, node, 3<<20)
	client, leaf := system(t, "", actors.Identity{})
	defer func() { require.NoError(t, leaf.Detach()) }()
	require.Equal(t, client.ReplyAddress(), client.Address())
	got := make(chan int, 10)
	_, err := client.Spawn("session/1", func() actor.Actor {
		return actor.ReceiveFunc(func(ctx actor.Context) {
			if m, ok := ctx.Message().(*messages.Replies); ok {
				got <- len(m.Replies[0].Text)
			}
		})
	})
	require.NoError(t, err)
	for range 3 {
		client.Root.Send(actor.NewPID(node.Address(), "raft/1"), asking(1, client.Address()))
	}
	for range 3 {
		select {
		case n := <-got:
			require.Equal(t, 3<<20, n)
		case <-time.After(20 * time.Second):
			require.Fail(t, "not answered")
		}
	}
}

// Whoever asks and does not read costs a bounded number of bytes, which all such share, and others are answered.
func TestGuestsThatDoNotRead(t *testing.T) {
	node, network := system(t, "127.0.0.1:0", actors.Identity{Cluster: 7, Node: 1, Epoch: 3})
	defer func() { require.NoError(t, network.Detach()) }()
	answering(t, node, 4<<20-100)
	for i := range 3 {
		id := fmt.Sprint("deaf", i)
		c := call(t, node, id)
		for range 40 {
			require.NoError(t, c.say("0/0/0", asking(1, "client/"+id)))
		}
	}
	require.Eventually(t, func() bool { return network.Guard().Drops()["queue is full"] >= 3*40-256/4-3*5 }, time.Minute, time.Millisecond)
	c := call(t, node, "good")
	require.NoError(t, c.say("0/0/0", asking(1, "client/good")))
	m := new(remote.RemoteMessage)
	for m.GetMessageBatch() == nil {
		var err error
		m, err = c.Recv()
		if status.Code(err) == codes.ResourceExhausted { // above what gRPC takes by default: it has come
			return
		}
		require.NoError(t, err)
	}
}

// Whoever asks without end for other things than data is heard at a bounded rate, and others are heard beside it.
func TestGuestsThatAskWithoutEnd(t *testing.T) {
	node, network := system(t, "127.0.0.1:0", actors.Identity{Cluster: 7, Node: 1, Epoch: 3})
	defer func() { require.NoError(t, network.Detach()) }()
	got := counter(t, node)
	began := time.Now()
	flood := call(t, node, "flood")
	for range 10 {
		all := make([]proto.Message, 1000)
		for i := range all {
			all[i] = &messages.ConfigPull{}
		}
		require.NoError(t, flood.say("0/0/0", all...))
	}
	require.Eventually(t, func() bool { return uint64(got.Load())+network.Guard().Drops()["rate exceeded"] == 10_000 }, 20*time.Second, time.Millisecond)
	require.LessOrEqual(t, got.Load(), int64(100*(time.Since(began).Seconds()+1)))
	before := got.Load()
	other := call(t, node, "other")
	require.NoError(t, other.say("0/0/0", &messages.ConfigPull{}))
	require.NoError(t, flood.say("0/0/0", asking(1)))
	require.NoError(t, other.say("7/2/5", &messages.ConfigPull{}, &messages.ConfigPull{}))
	require.Eventually(t, func() bool { return got.Load() >= before+4 }, 20*time.Second, time.Millisecond)
}
