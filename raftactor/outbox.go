package raftactor

import (
	"github.com/asynkron/protoactor-go/actor"

	"github.com/eraft-io/eraft/actors"
	"github.com/eraft-io/eraft/messages"
)

// outbox gathers the replies of one mailbox drain, so that each session gets one message.
type outbox struct {
	system *actors.System
	group  messages.GroupID
	node   messages.NodeID
	order  []*outgoingFrame
	index  map[recipient]*outgoingFrame
	timeMs uint64 // log time, in ms, that the replies tell their sessions; 0: not known in this drain
}

type recipient struct{ address, id string }

type outgoingFrame struct {
	to      recipient
	replies []*messages.Reply
	bytes   int
}

// frameBytes bounds the replies in one message, encoded; a single larger reply is still sent, alone.
const frameBytes = 1 << 20

func newOutbox(o *Options) *outbox {
	return &outbox{system: o.System, group: o.Group, node: o.Node, index: map[recipient]*outgoingFrame{}}
}

func (b *outbox) add(to recipient, reply *messages.Reply) {
	frame := b.index[to]
	if frame == nil {
		frame = &outgoingFrame{to: to}
		b.index[to] = frame
		b.order = append(b.order, frame)
	}
	reply, size := sendable(reply)
	if frame.bytes > 0 && frame.bytes+size > frameBytes {
		b.send(frame)
	}
	frame.replies, frame.bytes = append(frame.replies, reply), frame.bytes+size
}

const emptyReplyBytes = messages.ReplyOverheadBytes

// sendable returns a reply that can be sent, and about how many bytes it takes, never less than it does. A Machine must not make one that is
// larger than messages.MaxReplyBytes; if it does, the session gets an error instead.
func sendable(reply *messages.Reply) (*messages.Reply, int) {
	size := messages.ReplyBytes(reply) - emptyReplyBytes
	if size <= messages.MaxReplyBytes {
		return reply, emptyReplyBytes + size
	}
	why := messages.Errorf(messages.Code_INTERNAL, "the answer is %d bytes long, %d can be sent; a command has been carried out", size, messages.MaxReplyBytes)
	return &messages.Reply{Session: reply.Session, Seq: reply.Seq, Code: why.Code, Text: why.Text}, emptyReplyBytes + len(why.Text)
}

// setTime sets the log time that all replies until the next flush tell.
func (b *outbox) setTime(timeMs uint64) { b.timeMs = timeMs }

func (b *outbox) send(frame *outgoingFrame) {
	if len(frame.replies) == 0 {
		return
	}
	b.system.Root.Send(actor.NewPID(frame.to.address, frame.to.id), &messages.Replies{
		FromGroup: uint64(b.group), FromNode: uint64(b.node), Replies: frame.replies, TimeMs: b.timeMs,
	})
	frame.replies, frame.bytes = nil, 0
}

// flush sends everything that is left; afterwards the outbox is empty.
func (b *outbox) flush() {
	if len(b.order) == 0 {
		return
	}
	for _, frame := range b.order {
		b.send(frame)
	}
	b.order, b.timeMs = b.order[:0], 0
	clear(b.index)
}

// refuse adds an error reply for an encoded command or query.
func (b *outbox) refuse(to recipient, encoded []byte, why *messages.Error) {
	session, seq := messages.RequestID(encoded)
	if to.id == "" || seq == 0 {
		return // no session waits for it
	}
	b.add(to, &messages.Reply{Session: session, Seq: seq, Code: why.Code, Text: why.Text, Hint: why.Hint})
}

func sessionOf(a *messages.SessionRequests) recipient { return recipient{a.Address, a.Id} }
