package remoting_test

import (
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/remote"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/actors"
	"github.com/eraft-io/eraft/actors/remoting"
	"github.com/eraft-io/eraft/messages"
)

// slowPeer is a node that reads no further on a connection on which answers have come, as one does whose actors or whose network
// cannot keep up with them.
type slowPeer struct {
	remote.UnimplementedRemotingServer
	raft    chan uint64 // terms
	stuck   chan struct{}
	resumed chan struct{}
}

func (s *slowPeer) Receive(stream remote.Remoting_ReceiveServer) error {
	for {
		m, err := stream.Recv()
		if err != nil {
			return err
		}
		b := m.GetMessageBatch()
		for _, e := range b.GetEnvelopes() {
			if b.TypeNames[e.TypeId] != "eraft.RaftMessages" {
				select {
				case s.stuck <- struct{}{}:
				default:
				}
				<-s.resumed
				continue
			}
			var m messages.RaftMessages
			if err := proto.Unmarshal(e.MessageData, &m); err != nil {
				return err
			}
			s.raft <- m.Messages[0].Term
		}
	}
}

// What Raft says arrives however much data waits for the same node. What data finds no room is told, node by node.
func TestRaftNeverWaitsBehindData(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	slow := &slowPeer{raft: make(chan uint64, 100), stuck: make(chan struct{}, 1), resumed: make(chan struct{})}
	server := grpc.NewServer(grpc.MaxRecvMsgSize(8 << 20))
	remote.RegisterRemotingServer(server, slow)
	go func() { _ = server.Serve(l) }()
	defer server.Stop()
	defer close(slow.resumed)

	var mu sync.Mutex
	var told []remoting.MessagesDropped
	network := remoting.New(remoting.Options{Listen: "127.0.0.1:0", Rules: rules, QueueBytes: 20 << 20})
	a, err := actors.NewSystem(actors.Env{Fatal: func(err error) { t.Error(err) }, Events: func(e actors.Event) {
		if d, ok := e.(remoting.MessagesDropped); ok {
			mu.Lock()
			defer mu.Unlock()
			told = append(told, d)
		}
	}}, network)
	require.NoError(t, err)
	defer func() { require.NoError(t, network.Detach()) }()
	a.SetIdentity(actors.Identity{Cluster: 7, Node: 1, Epoch: 1})
	peer := l.Addr().String()
	answer := func() {
		a.Root.Send(actor.NewPID(peer, "session/1"), &messages.Replies{Replies: []*messages.Reply{{Text: string(make([]byte, 3<<20))}}})
	}
	raft := func(term uint64) {
		a.Root.Send(actor.NewPID(peer, "raft/1"), &messages.RaftMessages{Messages: []*messages.RaftMessage{{Term: term}}})
	}
	answer()
	select {
	case <-slow.stuck:
	case <-time.After(20 * time.Second):
		require.Fail(t, "no answer has come")
	}
	for range 50 {
		answer()
	}
	for term := uint64(1); term <= 50; term++ {
		raft(term)
		select {
		case got := <-slow.raft:
			require.Equal(t, term, got)
		case <-time.After(20 * time.Second):
			require.Fail(t, fmt.Sprintf("message %d of Raft waits behind answers", term))
		}
	}
	p := network.Peers()[peer]
	require.LessOrEqual(t, p.Bytes, 20<<20)
	require.Greater(t, p.Bytes, 10<<20)
	require.GreaterOrEqual(t, p.Dropped, uint64(51-20/3-4)) // some are in gRPC's hands
	mu.Lock()
	defer mu.Unlock()
	require.NotEmpty(t, told)
	for _, d := range told {
		require.Equal(t, peer, d.Peer)
	}
}

// Who is no member has one connection to a node: there is no Raft to speak.
func TestGuestsHaveOneConnection(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	var connections atomic.Int64
	go func() {
		for {
			if _, err := l.Accept(); err != nil {
				return
			}
			connections.Add(1)
		}
	}()
	guest, network := system(t, "", actors.Identity{})
	defer func() { require.NoError(t, network.Detach()) }()
	guest.Root.Send(actor.NewPID(l.Addr().String(), "raft/1"), asking(1, guest.Address()))
	guest.Root.Send(actor.NewPID(l.Addr().String(), "member"), &messages.ConfigPull{})
	require.Eventually(t, func() bool { return connections.Load() > 0 }, 10*time.Second, time.Millisecond)
	require.Len(t, network.Peers(), 1)
	require.Equal(t, 2, network.Peers()[l.Addr().String()].Messages)
	require.EqualValues(t, 1, connections.Load())
}
