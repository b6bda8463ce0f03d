package remoting

import "math/bits"

// MessagesDropped tells that messages to another system were dropped because too many wait for it, or were lost with a connection. It
// is told for the first and for every power of two.
type MessagesDropped struct {
	Peer  string // address; guests count together, as "guest/"
	Count uint64
}

func (MessagesDropped) EventName() string { return "messages dropped" }

func (n *Network) full(peer string) {
	n.guard.Drop("queue is full")
	n.drop(peer, 1)
}

// lost counts what was on its way when a connection ended.
func (n *Network) lost(peer string, messages int) {
	for range messages {
		n.guard.Drop("connection lost")
	}
	n.drop(peer, uint64(messages))
}

func (n *Network) drop(peer string, messages uint64) {
	n.mu.Lock()
	before := n.dropped[peer]
	if _, known := n.dropped[peer]; !known && len(n.dropped) >= maxEndpoints {
		clear(n.dropped) // most of them are gone for long
	}
	n.dropped[peer] = before + messages
	n.mu.Unlock()
	if bits.Len64(before) != bits.Len64(before+messages) {
		n.sys.Events(MessagesDropped{Peer: peer, Count: before + messages})
	}
}

// Peer is what waits for another system.
type Peer struct {
	Address  string // guests count together, as "guest/"
	Messages int    // of nodes, over all connections
	Bytes    int
	Dropped  uint64 // messages, since this system began
}

// Peers are the systems that this one sends to, or had messages dropped for.
func (n *Network) Peers() map[string]Peer {
	n.mu.RLock()
	defer n.mu.RUnlock()
	all := map[string]Peer{}
	for address, dropped := range n.dropped {
		all[address] = Peer{Address: address, Dropped: dropped}
	}
	for way, e := range n.endpoints {
		p := all[way.address]
		count, bytes := e.queue.waits()
		all[way.address] = Peer{way.address, p.Messages + count, p.Bytes + bytes, p.Dropped}
	}
	if used := n.guests.budget.used.Load(); used > 0 || all[guestAddress].Dropped > 0 {
		all[guestAddress] = Peer{Address: guestAddress, Bytes: int(used), Dropped: all[guestAddress].Dropped}
	}
	return all
}
