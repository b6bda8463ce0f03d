package raftactor

import (
	"github.com/asynkron/protoactor-go/actor"
	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/actors"
	"github.com/eraft-io/eraft/messages"
)

// HeartbeatCoalescerPath is the path of the HeartbeatCoalescer on every node.
const HeartbeatCoalescerPath = "heartbeats"

// HeartbeatCoalescer sends heartbeats and the replies to them: those of all groups between two nodes travel in one message. The Ticker
// ticks all Peers together, so at a tick all have something to send. It waits for no Peer: what is in its mailbox when it runs goes, and
// what comes later goes with the next message. Heartbeats that a read waits for do not take this way.
//
//	receives                from                 does
//	outgoingHeartbeat       Peers                sends it to the HeartbeatCoalescer of a node, together with the others for it
//	*messages.RaftMessages  HeartbeatCoalescers  passes each message to the Peer of its group
//
// It is spawned batching, once per node, under HeartbeatCoalescerPath. It may lose anything, as the network may.
type HeartbeatCoalescer struct{ system *actors.System }

// outgoingHeartbeat is a heartbeat or a reply to one, for the replica on the node at an address.
type outgoingHeartbeat struct {
	address string
	message *messages.RaftMessage
}

// incomingHeartbeat is a message that came through a HeartbeatCoalescer; replies to it go the same way.
type incomingHeartbeat struct{ message *messages.RaftMessage }

// NewHeartbeatCoalescer makes the node's HeartbeatCoalescer.
func NewHeartbeatCoalescer(system *actors.System) *HeartbeatCoalescer {
	return &HeartbeatCoalescer{system}
}

func (p *HeartbeatCoalescer) Receive(ctx actor.Context) {
	batch, ok := ctx.Message().([]any)
	if !ok {
		return
	}
	frames := map[string]*heartbeatFrame{}
	var order []string
	for _, element := range batch {
		message, _ := actors.Unwrap(element)
		switch m := message.(type) {
		case outgoingHeartbeat:
			if frames[m.address] == nil {
				frames[m.address] = new(heartbeatFrame)
				order = append(order, m.address)
			}
			if all := frames[m.address]; !all.add(m.message) {
				p.send(m.address, all)
				all.add(m.message)
			}
		case *messages.RaftMessages:
			for _, r := range m.Messages {
				p.system.Root.Send(actor.NewPID(p.system.Address(), PeerPath(messages.GroupID(r.GetGroup()))), incomingHeartbeat{r})
			}
		}
	}
	for _, address := range order {
		p.send(address, frames[address])
	}
}

// send sends what is gathered for a node, and empties the frame.
func (p *HeartbeatCoalescer) send(address string, all *heartbeatFrame) {
	p.system.Root.Send(actor.NewPID(address, HeartbeatCoalescerPath), &messages.RaftMessages{Messages: all.messages})
	*all = heartbeatFrame{}
}

// heartbeatFrame is what goes to one node in one message.
type heartbeatFrame struct {
	messages []*messages.RaftMessage
	bytes    int
}

// add adds a message, unless the frame is full. It reports whether it did.
func (h *heartbeatFrame) add(m *messages.RaftMessage) bool {
	size := proto.Size(m) + messageFrame
	if h.bytes > 0 && h.bytes+size > sendBytes {
		return false
	}
	h.messages, h.bytes = append(h.messages, m), h.bytes+size
	return true
}
