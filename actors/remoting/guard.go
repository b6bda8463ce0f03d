package remoting

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/remote"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/eraft-io/eraft/actors"
	"github.com/eraft-io/eraft/messages"
)

// identityKey is the envelope header that says who speaks: cluster/node/epoch.
const identityKey = "e"

func format(id actors.Identity) string {
	return fmt.Sprintf("%x/%d/%d", id.Cluster, id.Node, id.Epoch)
}

func parse(text string) (actors.Identity, bool) {
	parts := strings.Split(text, "/")
	if len(parts) != 3 {
		return actors.Identity{}, false
	}
	cluster, err1 := strconv.ParseUint(parts[0], 16, 64)
	node, err2 := strconv.ParseUint(parts[1], 10, 64)
	epoch, err3 := strconv.ParseUint(parts[2], 10, 64)
	if err1 != nil || err2 != nil || err3 != nil {
		return actors.Identity{}, false
	}
	return actors.Identity{Cluster: cluster, Node: messages.NodeID(node), Epoch: messages.Epoch(epoch)}, true
}

// receive wraps every incoming stream: a panic ends the stream, not the process, and the firewall sees each message
// before Proto.Actor does.
func (n *Network) receive(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) (err error) {
	defer func() {
		if r := recover(); r != nil {
			n.guard.Drop("panic")
			err = status.Errorf(codes.Internal, "message could not be handled: %v", r)
		}
	}()
	return handler(srv, &firewall{ServerStream: stream, n: n})
}

type firewall struct {
	grpc.ServerStream
	n    *Network
	last string
	from actors.Identity
}

func (f *firewall) RecvMsg(m any) error {
	if err := f.ServerStream.RecvMsg(m); err != nil {
		return err
	}
	message, ok := m.(*remote.RemoteMessage)
	if !ok {
		return status.Error(codes.InvalidArgument, "unknown message")
	}
	switch kind := message.MessageType.(type) {
	case *remote.RemoteMessage_MessageBatch:
		f.filter(kind.MessageBatch)
	case *remote.RemoteMessage_ConnectRequest:
		if kind.ConnectRequest.GetServerConnection() == nil {
			return status.Error(codes.InvalidArgument, "only servers may connect")
		}
	case *remote.RemoteMessage_DisconnectRequest:
	default:
		return status.Error(codes.InvalidArgument, "unknown message")
	}
	return nil
}

// filter keeps the envelopes that are well formed and admitted. Proto.Actor indexes without checking.
func (f *firewall) filter(b *remote.MessageBatch) {
	if b == nil {
		return
	}
	keep := b.Envelopes[:0]
	for _, e := range b.Envelopes {
		if reason := f.malformed(b, e); reason != "" {
			f.n.guard.Drop(reason)
			continue
		}
		if f.n.guard.Admit(f.from, b.TypeNames[e.TypeId], b.Targets[e.Target].Id, e.MessageData) {
			keep = append(keep, e)
		}
	}
	b.Envelopes = keep
}

func (f *firewall) malformed(b *remote.MessageBatch, e *remote.MessageEnvelope) string {
	switch {
	case e == nil || e.SerializerId != 0 ||
		e.TypeId < 0 || int(e.TypeId) >= len(b.TypeNames) ||
		e.Target < 0 || int(e.Target) >= len(b.Targets) || b.Targets[e.Target] == nil ||
		e.Sender < 0 || int(e.Sender) > len(b.Senders) || e.Sender > 0 && b.Senders[e.Sender-1] == nil:
		return "malformed envelope"
	case b.Targets[e.Target].Address != f.n.sys.Address():
		return "other address"
	case len(e.MessageData) > maxMessageBytes:
		return "too large"
	}
	text := e.MessageHeader.GetHeaderData()[identityKey]
	if text != f.last || text == "" {
		from, ok := parse(text)
		if !ok {
			return "no identity"
		}
		f.last, f.from = text, from
	}
	return ""
}

// send wraps every outgoing stream: it connects as soon as the peer listens, gives up after a while or when this
// node stops, and stamps every envelope with this node's identity.
func (n *Network) send(ctx context.Context, d *grpc.StreamDesc, cc *grpc.ClientConn, method string,
	open grpc.Streamer, options ...grpc.CallOption,
) (grpc.ClientStream, error) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(n.ctx, cancel)
	timer := time.AfterFunc(dialFor, cancel)
	stream, err := open(ctx, d, cc, method, append(options, grpc.WaitForReady(true))...)
	timer.Stop()
	if err != nil {
		stop()
		cancel()
		return nil, err
	}
	return &stamping{ClientStream: stream, n: n}, nil
}

type stamping struct {
	grpc.ClientStream
	n     *Network
	stamp atomic.Pointer[stamp]
}

type stamp struct {
	id     actors.Identity
	header *remote.MessageHeader
}

func (s *stamping) SendMsg(m any) error {
	b := m.(*remote.RemoteMessage).GetMessageBatch()
	if b == nil {
		return s.ClientStream.SendMsg(m)
	}
	header, keep, size := s.header(), b.Envelopes[:0], 0
	send := func() error {
		part := &remote.MessageBatch{TypeNames: b.TypeNames, Targets: b.Targets, Senders: b.Senders, Envelopes: keep}
		keep, size = keep[len(keep):], 0
		return s.ClientStream.SendMsg(&remote.RemoteMessage{MessageType: &remote.RemoteMessage_MessageBatch{MessageBatch: part}})
	}
	for _, e := range b.Envelopes {
		if len(e.MessageData) > maxMessageBytes {
			s.n.guard.Drop("too large to send")
			continue
		}
		if size > 0 && size+len(e.MessageData) > partBytes {
			if err := send(); err != nil {
				return err
			}
		}
		e.MessageHeader = header
		keep, size = append(keep, e), size+len(e.MessageData)
	}
	return send()
}

// header is shared by all envelopes until the identity changes.
func (s *stamping) header() *remote.MessageHeader {
	id := s.n.sys.Identity()
	now := s.stamp.Load()
	if now == nil || now.id != id {
		now = &stamp{id, &remote.MessageHeader{HeaderData: map[string]string{identityKey: format(id)}}}
		s.stamp.Store(now)
	}
	return now.header
}
