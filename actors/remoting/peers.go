package remoting

import (
	"context"
	"math/bits"
	"net"
)

// MessagesDropped tells that messages to another system were dropped because too many wait for it, or were lost with a connection: of each
// system whenever the count reaches another power of two.
type MessagesDropped struct {
	Peer  string // address; clients count together, as "client/"
	Count uint64
}

func (MessagesDropped) EventName() string { return "messages dropped" }

func (n *Network) countQueueFull(peer string) {
	n.guard.CountDrop("queue is full")
	n.countDropped(peer, 1)
}

// countLost counts the messages that were on their way when a connection ended.
func (n *Network) countLost(peer string, messages int) {
	for range messages {
		n.guard.CountDrop("connection lost")
	}
	n.countDropped(peer, uint64(messages))
}

func (n *Network) countDropped(peer string, messages uint64) {
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

// Peer is how many messages wait for another system, and how many were dropped.
type Peer struct {
	Address  string // clients count together, as "client/"
	Messages int    // over all connections to a node; of clients not counted
	Bytes    int
	Dropped  uint64 // messages, since this system started
}

// Peers are the systems that this one sends to, or has dropped messages for, by address.
func (n *Network) Peers() map[string]Peer {
	n.mu.RLock()
	defer n.mu.RUnlock()
	all := map[string]Peer{}
	for address, dropped := range n.dropped {
		all[address] = Peer{Address: address, Dropped: dropped}
	}
	for way, e := range n.endpoints {
		p := all[way.address]
		count, bytes := e.queue.size()
		all[way.address] = Peer{way.address, p.Messages + count, p.Bytes + bytes, p.Dropped}
	}
	if used := n.clients.budget.used.Load(); used > 0 || all[clientAddress].Dropped > 0 {
		all[clientAddress] = Peer{Address: clientAddress, Bytes: int(used), Dropped: all[clientAddress].Dropped}
	}
	return all
}

// PeerUnreachable tells that no connection to another system can be made, and why: once, until one can be made again.
type PeerUnreachable struct {
	Peer   string
	Reason error
}

func (PeerUnreachable) EventName() string { return "peer unreachable" }

// connect dials an address, and remembers why it cannot.
func (n *Network) connect(ctx context.Context, address string) (net.Conn, error) {
	c, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if n.ctx.Err() != nil {
		return c, err
	}
	n.mu.Lock()
	before := n.dialErrors[address]
	if delete(n.dialErrors, address); err != nil && len(n.dialErrors) < maxEndpoints {
		n.dialErrors[address] = err
	}
	n.mu.Unlock()
	if err != nil && before == nil {
		n.sys.Events(PeerUnreachable{Peer: address, Reason: err})
	}
	return c, err
}

// DialError is why an address could not be reached at the last attempt; nil: it could, or there was no attempt.
func (n *Network) DialError(address string) error {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return n.dialErrors[address]
}
