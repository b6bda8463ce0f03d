package remoting

import (
	"bytes"
	"errors"
	"io"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/remote"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/eraft-io/eraft/actors"
)

// server is Proto.Actor's service. Of its calls it has only the stream of messages.
type server struct {
	remote.UnimplementedRemotingServer
	n *Network
}

// Receive takes what another system sends. Whatever it is, it can end its own stream only.
func (s server) Receive(stream remote.Remoting_ReceiveServer) (err error) {
	defer func() {
		if r := recover(); r != nil {
			s.n.guard.Drop("panic")
			err = status.Errorf(codes.Internal, "message could not be handled: %v", r)
		}
	}()
	in := inbox{n: s.n}
	for {
		var w wire
		if err := stream.RecvMsg(&w); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		reply, err := in.read(w.ReadOnlyData())
		w.Free()
		if err == nil && reply != nil {
			err = stream.Send(reply)
		}
		if err != nil {
			return err
		}
	}
}

// wire is an encoded remote.RemoteMessage.
type wire struct{ mem.Buffer }

// inbox is one stream of another system.
type inbox struct {
	n      *Network
	header []byte // of the last envelope
	from   actors.Identity

	types            []string
	targets, senders []*actor.PID
	envelopes        [][]byte
}

// maxHeader is more than a header of an envelope has, or a message that is no batch.
const maxHeader = 1 << 10

var errMessage = status.Error(codes.InvalidArgument, "unknown message")

// read delivers what is in a message, and tells what to say to it.
func (in *inbox) read(data []byte) (*remote.RemoteMessage, error) {
	if number, kind, n := protowire.ConsumeTag(data); n > 0 && number == ofBatch && kind == protowire.BytesType {
		if body, size := protowire.ConsumeBytes(data[n:]); size == len(data)-n {
			return nil, in.batch(body)
		}
	}
	m := new(remote.RemoteMessage)
	switch {
	case len(data) > maxHeader || proto.Unmarshal(data, m) != nil:
		return nil, errMessage
	case m.GetDisconnectRequest() != nil:
		return nil, nil
	case m.GetConnectRequest() == nil:
		return nil, errMessage
	case m.GetConnectRequest().GetServerConnection() == nil:
		return nil, status.Error(codes.InvalidArgument, "only servers may connect")
	}
	return &remote.RemoteMessage{MessageType: &remote.RemoteMessage_ConnectResponse{
		ConnectResponse: &remote.ConnectResponse{MemberId: in.n.sys.ID},
	}}, nil
}

// batch delivers those of its envelopes that are well formed and admitted.
func (in *inbox) batch(body []byte) error {
	in.types, in.targets, in.senders, in.envelopes = in.types[:0], in.targets[:0], in.senders[:0], in.envelopes[:0]
	err := eachField(body, func(field protowire.Number, _ uint64, content []byte) (err error) {
		switch field {
		case ofTypes:
			in.types = append(in.types, string(content))
		case ofTargets:
			in.targets, err = appendPID(in.targets, content)
		case ofSenders:
			in.senders, err = appendPID(in.senders, content)
		case ofEnvelopes:
			in.envelopes = append(in.envelopes, content)
		}
		if max(len(in.types), len(in.targets), len(in.senders), len(in.envelopes)) > maxParts {
			return errMessage
		}
		return err
	})
	if err != nil {
		return err
	}
	for _, encoded := range in.envelopes {
		if err := in.envelope(encoded); err != nil {
			return err
		}
	}
	return nil
}

func appendPID(all []*actor.PID, encoded []byte) ([]*actor.PID, error) {
	pid := new(actor.PID)
	if proto.Unmarshal(encoded, pid) != nil {
		return all, errMessage
	}
	return append(all, pid), nil
}

func (in *inbox) envelope(encoded []byte) error {
	var e struct{ kind, target, sender, serializer uint64 }
	var data, header []byte
	err := eachField(encoded, func(field protowire.Number, v uint64, content []byte) error {
		switch field {
		case ofKind:
			e.kind = v
		case ofTarget:
			e.target = v
		case ofSender:
			e.sender = v
		case ofSerializer:
			e.serializer = v
		case ofData:
			data = content
		case ofHeader:
			header = content
		}
		return nil
	})
	if err != nil {
		return err
	}
	reason := ""
	switch {
	case e.serializer != 0 || e.kind >= uint64(len(in.types)) || e.target >= uint64(len(in.targets)) || e.sender > uint64(len(in.senders)):
		reason = "malformed envelope"
	case in.targets[e.target].Address != in.n.sys.Address():
		reason = "other address"
	case len(data) > maxMessageBytes:
		reason = "too large"
	case !in.speaker(header):
		reason = "no identity"
	}
	if reason != "" {
		in.n.guard.Drop(reason)
		return nil
	}
	to, kind := in.targets[e.target], in.types[e.kind]
	if !in.n.guard.Admit(in.from, kind, to.Id, data) {
		return nil
	}
	message, err := decode(kind, data)
	if err != nil {
		return err
	}
	if e.sender > 0 {
		message = &actor.MessageEnvelope{Message: message, Sender: in.senders[e.sender-1]}
	}
	in.n.sys.Root.Send(to, message)
	return nil
}

// decode makes a message of a type that the guard knows.
func decode(kind string, data []byte) (any, error) {
	known, err := protoregistry.GlobalTypes.FindMessageByName(protoreflect.FullName(kind))
	if err != nil {
		return nil, errMessage
	}
	message := known.New().Interface()
	if err := proto.Unmarshal(data, message); err != nil {
		return nil, status.Errorf(codes.InvalidArgument, "%s cannot be read", kind)
	}
	return message, nil
}

// speaker learns from a header who speaks. Mostly it is who spoke before.
func (in *inbox) speaker(header []byte) bool {
	if len(header) > 0 && bytes.Equal(header, in.header) {
		return true
	}
	var m remote.MessageHeader
	if len(header) > maxHeader || proto.Unmarshal(header, &m) != nil {
		return false
	}
	from, ok := parse(m.HeaderData[identityKey])
	if ok {
		in.header, in.from = bytes.Clone(header), from
	}
	return ok
}
