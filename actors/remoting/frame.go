package remoting

import (
	"github.com/asynkron/protoactor-go/actor"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// frame is messages that travel together. On the wire it is a remote.RemoteMessage with a MessageBatch; to make those would take one more
// copy of every message.
type frame struct {
	n         *Network
	header    []byte // of every envelope, encoded: the sender's identity
	envelopes []envelope
	types     []string
	targets   []*actor.PID
	senders   []*actor.PID
	bytes     int // about its encoded size, never less than it
}

type envelope struct {
	message              proto.Message
	size                 int
	kind, target, sender uint64
}

// envelopeBytes is more than the bytes that an envelope takes besides its message and its header.
const envelopeBytes = 40

func (p *frame) add(l outgoingMessage) {
	pids := len(p.targets) + len(p.senders)
	e := envelope{message: l.message, size: l.size}
	e.kind, p.types = indexOf(p.types, string(l.message.ProtoReflect().Descriptor().FullName()), func(a, b string) bool { return a == b })
	e.target, p.targets = indexOf(p.targets, l.to, samePID)
	if l.sender != nil {
		e.sender, p.senders = indexOf(p.senders, l.sender, samePID)
		e.sender++
	}
	p.envelopes = append(p.envelopes, e)
	p.bytes += l.size + len(p.header) + envelopeBytes
	if len(p.targets)+len(p.senders) > pids {
		p.bytes += pidBytes(l.to) + pidBytes(l.sender)
	}
}

func pidBytes(pid *actor.PID) int { return envelopeBytes + len(pid.GetAddress()) + len(pid.GetId()) }

func samePID(a, b *actor.PID) bool { return a.Id == b.Id && a.Address == b.Address }

// indexOf returns the index of v in all, to which it appends v if it is missing.
func indexOf[T any](all []T, v T, same func(T, T) bool) (uint64, []T) {
	for i, known := range all {
		if same(known, v) {
			return uint64(i), all
		}
	}
	return uint64(len(all)), append(all, v)
}

// encode encodes the frame, in a buffer of the pool.
func (p *frame) encode() mem.BufferSlice {
	room := p.bytes
	for _, kind := range p.types {
		room += envelopeBytes + len(kind)
	}
	body := buffers.Get(room)
	b := (*body)[:0]
	for _, e := range p.envelopes {
		b = p.append(b, e)
	}
	for _, kind := range p.types {
		b = appendBytes(b, ofTypes, kind)
	}
	b = appendPIDs(appendPIDs(b, ofTargets, p.targets), ofSenders, p.senders)
	*body = b
	return mem.BufferSlice{mem.SliceBuffer(appendLength(nil, ofBatch, len(b))), mem.NewBuffer(body, buffers)}
}

// append encodes an envelope, or drops it if it cannot be encoded: a string may be no UTF-8, or an actor has changed the message after it
// was sent.
func (p *frame) append(b []byte, e envelope) []byte {
	before := len(b)
	fixed := len(p.header) + sizeNumber(ofKind, e.kind) + sizeNumber(ofTarget, e.target) + sizeNumber(ofSender, e.sender)
	b = appendLength(b, ofEnvelopes, fixed+protowire.SizeTag(ofData)+protowire.SizeBytes(e.size))
	b = append(b, p.header...)
	b = appendNumber(appendNumber(appendNumber(b, ofKind, e.kind), ofTarget, e.target), ofSender, e.sender)
	b = appendLength(b, ofData, e.size)
	end := len(b) + e.size
	b, err := proto.MarshalOptions{UseCachedSize: true}.MarshalAppend(b, e.message)
	if err != nil || len(b) != end {
		p.n.guard.CountDrop("cannot be encoded")
		return b[:before]
	}
	return b
}
