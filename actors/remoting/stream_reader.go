package remoting

import (
	"bytes"
	"io"
	"time"

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
	"github.com/eraft-io/eraft/messages"
)

// encodedMessage is an encoded remote.RemoteMessage.
type encodedMessage struct{ mem.Buffer }

// streamReader reads one stream from another system, and delivers its messages to the actors of this one.
type streamReader struct {
	n            *Network
	header       []byte // of the last envelope
	from         actors.Origin
	onIdentified func() error               // called when the sender has named itself, and again when it becomes a member; optional
	onSuperseded func(messages.Epoch) error // called when the sender is an earlier boot of a member, with the newest epoch; optional
	rate         tokenBucket                // of this sender, see withinRate
	dialed       string                     // address at which this system has opened the stream; "": the other system has opened it

	// Of the newest batch; reused:
	types            []string
	targets, senders []*actor.PID
	envelopes        [][]byte
}

// maxHeader bounds the bytes of a header of an envelope, and of a message that is no batch.
const maxHeader = 1 << 10

var errMessage = status.Error(codes.InvalidArgument, "unknown message")

// next reads one message from a stream, and handles it: a batch itself, any other message by control.
func (in *streamReader) next(from interface{ RecvMsg(m any) error }, control func(*remote.RemoteMessage) error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			in.n.guard.CountDrop("panic")
			err = status.Errorf(codes.Internal, "message could not be handled: %v", r)
		}
	}()
	var w encodedMessage
	if err := from.RecvMsg(&w); err != nil {
		return err
	}
	defer w.Free()
	return in.read(w.ReadOnlyData(), control)
}

// read handles an encoded message.
func (in *streamReader) read(data []byte, control func(*remote.RemoteMessage) error) error {
	if number, kind, n := protowire.ConsumeTag(data); n > 0 && number == ofBatch && kind == protowire.BytesType {
		if body, size := protowire.ConsumeBytes(data[n:]); size == len(data)-n {
			return in.batch(body)
		}
	}
	m := new(remote.RemoteMessage)
	if len(data) > maxHeader || proto.Unmarshal(data, m) != nil {
		return errMessage
	}
	return control(m)
}

// control handles the messages that are no batches, of a stream that this system has opened.
func (in *streamReader) control(m *remote.RemoteMessage) error {
	switch {
	case m.GetConnectResponse() != nil:
		id, ok := parseIdentity(m.GetConnectResponse().MemberId)
		self := in.n.sys.Identity()
		switch {
		case ok && id.Cluster == self.Cluster && id.Node == self.Node && in.n.memberAt(in.dialed) != 0:
			in.n.sys.ReportSuperseded(id.Epoch) // a member knows of a later boot of this node
		case ok && in.n.memberAt(in.dialed) == id.Node:
			in.n.guard.ConfirmEpoch(id)
		}
		return nil
	case m.GetDisconnectRequest() != nil:
		return io.EOF
	}
	return errMessage
}

// batch delivers the envelopes of a batch that are well formed and admitted. It fails, which ends the stream, if the batch cannot be read.
func (in *streamReader) batch(body []byte) error {
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

func (in *streamReader) envelope(encoded []byte) error {
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
	default:
		if reason, err = in.senderIdentity(header); err != nil {
			return err
		}
	}
	if reason != "" {
		in.n.guard.CountDrop(reason)
		return nil
	}
	// Under whatever address the sender knows this system, it has reached it.
	to, kind := actor.NewPID(in.n.sys.Address(), in.targets[e.target].Id), in.types[e.kind]
	if !in.n.guard.Admit(in.from, kind, to.Id, data) {
		if newest := in.n.guard.SupersededBy(in.from.Identity); newest != 0 && in.onSuperseded != nil {
			return in.onSuperseded(newest)
		}
		return nil
	}
	if !in.withinRate(kind) {
		in.n.guard.CountDrop("rate exceeded")
		return nil
	}
	message, err := decode(kind, data)
	if err != nil {
		return err
	}
	if !in.n.guard.CheckSender(in.from, kind, message) {
		return nil
	}
	if e.sender > 0 && in.mayReplyTo(in.senders[e.sender-1]) {
		message = &actor.MessageEnvelope{Message: message, Sender: in.senders[e.sender-1]}
	}
	in.n.sys.Root.Send(to, message)
	return nil
}

// mayReplyTo tells whether actors may reply to a sender. Replies to senders that are no members go to their own stream only.
func (in *streamReader) mayReplyTo(sender *actor.PID) bool {
	return !in.n.guard.Outsider(in.from.Identity) || sender.Address == in.from.ReplyAddress
}

// withinRate tells whether a sender that is no member sends no more than its share of messages; requests for data have a budget of their
// own, and are not counted.
func (in *streamReader) withinRate(kind string) bool {
	if in.n.bulk[kind] || in.dialed != "" || !in.n.guard.Outsider(in.from.Identity) {
		return true
	}
	now := time.Now()
	return in.rate.take(now) && in.n.clientRate.take(now)
}

// decode decodes a message of a type that the guard has admitted.
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

// senderIdentity takes the identity of the sender from a header, or returns why the envelope is dropped. The identity is the same for the
// whole stream, except that an unauthenticated sender may become a member.
func (in *streamReader) senderIdentity(header []byte) (reason string, err error) {
	if len(header) > 0 && bytes.Equal(header, in.header) {
		return "", nil
	}
	var m remote.MessageHeader
	if len(header) > maxHeader || proto.Unmarshal(header, &m) != nil {
		return "no identity", nil
	}
	from, ok := parseIdentity(m.HeaderData[identityKey])
	switch {
	case !ok:
		return "no identity", nil
	case in.header != nil && !in.from.Unauthenticated() && from != in.from.Identity:
		return "identity changed", nil
	}
	in.header, in.from.Identity = bytes.Clone(header), from
	if in.onIdentified != nil {
		err = in.onIdentified()
	}
	return "", err
}
