package main

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/actors"
	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/raftactor"
)

// session asks the group for one thing after another. It names each command by (session, sequence), and asks again with the same
// name until it is answered: which node leads it learns from refusals. Package router's Session does this for many requests at once.
//
//	receives           from     does
//	addition           program  asks the group to add, answers *messages.Reply when that is done
//	*messages.Replies  Peers    done, or a hint who leads: asks there
//	attemptOver        itself   no answer came: asks the next node
type session struct {
	system    *actors.System
	addresses []string
	id, seq   uint64

	leader  int        // index in addresses of the node to ask
	command []byte     // encoded, nil: nothing is asked
	client  *actor.PID // gets the answer
	attempt int        // of this command; a timer of an older one means nothing
}

type (
	addition    struct{ by int64 }
	attemptOver struct {
		seq     uint64
		attempt int
	}
)

// attemptTime is how long an attempt may take.
const attemptTime = 300 * time.Millisecond

func (s *session) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case addition:
		s.onAddition(ctx, m)
	case *messages.Replies:
		s.onReplies(ctx, m)
	case attemptOver:
		if s.command != nil && m.seq == s.seq && m.attempt == s.attempt {
			s.leader = (s.leader + 1) % len(s.addresses)
			s.ask(ctx)
		}
	}
}

func (s *session) onAddition(ctx actor.Context, m addition) {
	s.seq++
	command, err := proto.Marshal(&messages.Command{
		Session: s.id, Seq: s.seq, Op: &messages.Command_Custom{Custom: binary.BigEndian.AppendUint64(nil, uint64(m.by))},
	})
	if err != nil {
		ctx.Respond(&messages.Reply{Code: messages.Code_INVALID, Text: err.Error()})
		return
	}
	s.command, s.client, s.attempt = command, ctx.Sender(), 0
	s.ask(ctx)
}

func (s *session) ask(ctx actor.Context) {
	s.attempt++
	ctx.Send(s.system.PID(s.addresses[s.leader], raftactor.PeerPath(group)), &messages.Requests{
		Group:    uint64(group),
		Sessions: []*messages.SessionRequests{{Address: s.system.Address(), Id: ctx.Self().Id, Commands: [][]byte{s.command}}},
	})
	timer, self := attemptOver{s.seq, s.attempt}, ctx.Self()
	s.system.Clock.After(attemptTime, func() { s.system.Root.Send(self, timer) })
}

func (s *session) onReplies(ctx actor.Context, m *messages.Replies) {
	for _, r := range m.Replies {
		if s.command == nil || r.GetSeq() != s.seq {
			continue // of an attempt that was answered by another node meanwhile
		}
		switch r.Code {
		case messages.Code_NOT_LEADER:
			if leader := r.GetHint().GetLeader(); leader != 0 && s.leader != int(leader)-1 {
				s.leader = int(leader) - 1
				s.ask(ctx)
			} // else the timer asks the next one
		case messages.Code_UNAVAILABLE, messages.Code_OVERLOADED: // later
		default:
			s.command = nil
			ctx.Send(s.client, r)
		}
	}
}

// add lets a session add to the counter, and gives the total after it.
func add(system *actors.System, session *actor.PID, by int64) (int64, error) {
	answer, err := system.Root.RequestFuture(session, addition{by}, 30*time.Second).Result()
	if err != nil {
		return 0, err
	}
	reply, ok := answer.(*messages.Reply)
	if !ok {
		return 0, fmt.Errorf("unexpected answer %T", answer)
	}
	return reply.Number, reply.Err()
}
