package raftactor

import (
	"github.com/asynkron/protoactor-go/actor"
	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/messages"
)

// transport sends the messages of one replica to the replicas on other nodes. It groups them by receiver, so that what a mailbox drain
// has for one replica travels together, and gives heartbeats to the HeartbeatCoalescer of the node in drains that began with a tick
// or with a heartbeat.
type transport struct {
	o           *Options
	coalescer   *actor.PID
	coalescing  bool              // heartbeats, and replies to them, go by the coalescer in this drain
	unreachable func(node uint64) // told of each message whose receiver has no address
}

// sendBytes is the size from which a message to one replica is full: what comes after it goes into another one.
const sendBytes = 1 << 20

// messageFrame is more than the bytes that RaftMessages adds to each message in it.
const messageFrame = 8

// send sends messages: one RaftMessages per replica, or more if that gets too large. The order of messages to one replica is kept.
func (t *transport) send(all []*messages.RaftMessage) {
	for len(all) > 0 {
		to, size, full := all[0].To, 0, false
		address := t.o.Address(messages.NodeID(to))
		var batch, rest []*messages.RaftMessage
		for _, m := range all {
			t.stampClock(m)
			n := proto.Size(m) + messageFrame
			full = full || m.To == to && size > 0 && size+n > sendBytes
			if m.To != to || full {
				rest = append(rest, m)
				continue
			}
			if t.coalesces(m) && address != "" {
				t.o.System.Root.Send(t.coalescer, outgoingHeartbeat{address, m})
				continue
			}
			batch, size = append(batch, m), size+n
		}
		all = rest
		if address == "" {
			t.unreachable(to)
			continue
		}
		if len(batch) > 0 {
			t.o.System.Root.Send(actor.NewPID(address, PeerPath(t.o.Group)), &messages.RaftMessages{Messages: batch})
		}
	}
}

// coalesces tells whether a message goes by the coalescer.
func (t *transport) coalesces(m *messages.RaftMessage) bool {
	return t.coalescing && (m.Kind == messages.RaftKind_HEARTBEAT || m.Kind == messages.RaftKind_HEARTBEAT_REPLY)
}

// stampClock has replies tell other replicas what the time of day is here.
func (t *transport) stampClock(m *messages.RaftMessage) {
	switch m.Kind {
	case messages.RaftKind_HEARTBEAT_REPLY, messages.RaftKind_VOTE_REPLY, messages.RaftKind_PRE_VOTE_REPLY:
		m.ClockMs = uint64(t.o.System.Clock.Wall().UnixMilli())
	}
}
