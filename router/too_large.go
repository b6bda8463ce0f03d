package router

import (
	"slices"

	"github.com/asynkron/protoactor-go/actor"
	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/messages"
)

// maxEncodedBytes is the most bytes that a message of that type may have.
func maxEncodedBytes(m proto.Message) int { return messages.MostBytes(m.ProtoReflect().Descriptor()) }

// requestsTooLarge answers the requests of a message that was too large to be sent.
func requestsTooLarge(_ *actor.PID, message proto.Message, tell func(*actor.PID, proto.Message)) {
	m := message.(*messages.Requests)
	for _, a := range m.Sessions {
		var refused []*messages.Reply
		for _, request := range slices.Concat(a.Retries, a.Commands, a.Queries, a.ReplicaQueries) {
			session, seq := messages.RequestID(request)
			refused = append(refused, &messages.Reply{
				Session: session, Seq: seq, Code: messages.Code_TOO_LARGE, Text: "the request is too large to be sent",
			})
		}
		tellAll(actor.NewPID(a.Address, a.Id), m.Group, 0, refused, tell)
	}
}

// repliesTooLarge answers the sessions whose replies were too large to be sent. Their commands may have been applied.
func repliesTooLarge(to *actor.PID, message proto.Message, tell func(*actor.PID, proto.Message)) {
	m := message.(*messages.Replies)
	var instead []*messages.Reply
	for _, r := range m.Replies {
		instead = append(instead, &messages.Reply{
			Session: r.Session, Seq: r.Seq, Code: messages.Code_INTERNAL, Text: "the answer is too large to be sent; a command has been carried out",
		})
	}
	tellAll(to, m.FromGroup, m.FromNode, instead, tell)
}

// tellAll sends small replies in messages that are small as well.
func tellAll(to *actor.PID, group, node uint64, all []*messages.Reply, tell func(*actor.PID, proto.Message)) {
	for some := range slices.Chunk(all, 1000) {
		tell(to, &messages.Replies{FromGroup: group, FromNode: node, Replies: some})
	}
}
