package raftactor

import (
	"github.com/asynkron/protoactor-go/actor"
	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/actors"
	"github.com/eraft-io/eraft/messages"
)

// HeartbeatCoalescerPath is the path of the Pulse on every node.
const HeartbeatCoalescerPath = "heartbeats"

// Pulse carries heartbeats and their answers: those of all groups between two nodes travel in one message. The Ticker ticks
// all Peers together, so at a tick they all have something to say. Pulse waits for nobody: what is in its mailbox
// when its turn comes goes, and what comes later goes with the next. Heartbeats that a read waits for do not take this way.
//
//	receives                from    does
//	pulse                   Peers   goes to the Pulse of a node, together with the others for it
//	*messages.RaftMessages  Pulses  each goes to the Peer of its group
//
// It is spawned batching, once per node, under HeartbeatCoalescerPath. It may lose anything, as the network may.
type HeartbeatCoalescer struct{ system *actors.System }

// pulse is a heartbeat or an answer to one, for the replica on the node at an address.
type outgoingHeartbeat struct {
	address string
	message *messages.RaftMessage
}

// pulsed is what came by Pulse; answers to it go the same way.
type incomingHeartbeat struct{ message *messages.RaftMessage }

// NewHeartbeatCoalescer makes the node's Pulse.
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

// send lets what is gathered for a node leave.
func (p *HeartbeatCoalescer) send(address string, all *heartbeatFrame) {
	p.system.Root.Send(actor.NewPID(address, HeartbeatCoalescerPath), &messages.RaftMessages{Messages: all.messages})
	*all = heartbeatFrame{}
}

// heartbeats are what goes to one node in one message.
type heartbeatFrame struct {
	messages []*messages.RaftMessage
	bytes    int
}

// add tells whether there was room for a message.
func (h *heartbeatFrame) add(m *messages.RaftMessage) bool {
	size := proto.Size(m) + messageFrame
	if h.bytes > 0 && h.bytes+size > sendBytes {
		return false
	}
	h.messages, h.bytes = append(h.messages, m), h.bytes+size
	return true
}
