package cluster

import (
	"slices"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/persistence"
	"github.com/eraft-io/eraft/router"
)

// addressExchange lets members find each other again when addresses have changed, without a quorum. Each node announces its
// address and boot epoch to all others, and to its seeds, until all have acknowledged it; whoever learns an address forwards it.
// router.AddressBook decides which announcement counts. The Member owns it.
type addressExchange struct {
	node   addressNode
	status *statusBoard
	book   *router.AddressBook // belongs to the node: a Member that is restarted goes on with it
	seeds  []string
	router *actor.PID
	acked  map[messages.NodeID]uint64 // boot epoch in which a node has acknowledged this node's address
}

// addressNode is what an addressExchange uses of its node.
type addressNode interface {
	sender
	identity() persistence.Identity
	fail(error)
}

func newAddressExchange(n addressNode, status *statusBoard, book *router.AddressBook, seeds []string, router *actor.PID) *addressExchange {
	return &addressExchange{node: n, status: status, book: book, seeds: seeds, router: router, acked: map[messages.NodeID]uint64{}}
}

// others returns the addresses of the other nodes of a config.
func (x *addressExchange) others(config *messages.Config) []string {
	var all []string
	for _, n := range config.GetNodes() {
		if !n.Removed && n.Id != uint64(x.node.identity().Node) {
			all = append(all, x.book.Address(n.Id))
		}
	}
	return all
}

// announce sends this node's address to every node that may not know it: at its last known address, and, while some nodes are
// silent, at the seeds. lastEpoch returns the boot epoch in which a node was heard last.
func (x *addressExchange) announce(config *messages.Config, lastEpoch func(messages.NodeID) uint64) {
	alive := x.status.snapshot().alive
	missing := false
	var to []string
	for _, n := range config.GetNodes() {
		id := messages.NodeID(n.Id)
		if n.Removed || id == x.node.identity().Node {
			continue
		}
		if missing = missing || !alive(id); !alive(id) || x.acked[id] == 0 || x.acked[id] < lastEpoch(id) {
			to = append(to, x.book.Address(n.Id))
		}
	}
	if missing || config == nil {
		to = append(to, x.seeds...)
	}
	slices.Sort(to)
	for _, address := range slices.Compact(to) {
		if address != x.node.address() {
			x.tell(address, &messages.NodeAddresses{ReplyAddress: x.node.address()})
		}
	}
}

// own is this node's address.
func (x *addressExchange) own() *messages.NodeAddress {
	id := x.node.identity()
	return &messages.NodeAddress{Node: uint64(id.Node), DirectoryToken: id.Token, Epoch: uint64(id.Epoch), Address: x.node.address()}
}

// update takes the addresses of a newer config.
func (x *addressExchange) update(config *messages.Config) { x.book.Update(config) }

// publish passes the addresses of the nodes of a config, this node included, to the status board and the Router.
func (x *addressExchange) publish(config *messages.Config) {
	x.book.Learn(x.own())
	x.status.setAddresses(config, x.book)
	if heard := x.book.Newer(); len(heard) > 0 {
		x.node.send(x.router, &messages.NodeAddresses{Nodes: heard})
	}
}

// tell sends the addresses that this node has learned beside the config; its own is the last one.
func (x *addressExchange) tell(to string, a *messages.NodeAddresses) {
	a.Nodes = append(x.book.Newer(), x.own())
	x.node.send(actor.NewPID(to, memberPath), a)
}

// onAddresses learns addresses and forwards those that are new. The sender is the last of them.
func (x *addressExchange) onAddresses(a *messages.NodeAddresses, config *messages.Config) {
	if len(a.Nodes) == 0 {
		return
	}
	id := x.node.identity()
	news, self, sender := false, uint64(id.Node), a.Nodes[len(a.Nodes)-1]
	for _, n := range a.Nodes {
		if n.Node != self {
			news = x.book.Learn(n) || news
		} else if hasLaterEpoch(id, n.DirectoryToken, n.Epoch) {
			x.node.fail(ErrOlderCopy)
			return
		}
	}
	if a.To == self {
		x.acked[messages.NodeID(sender.Node)] = sender.Epoch
	}
	if a.ReplyAddress != "" {
		x.tell(a.ReplyAddress, &messages.NodeAddresses{To: sender.Node})
		if config == nil {
			x.node.send(actor.NewPID(a.ReplyAddress, memberPath), &messages.ConfigPull{ReplyAddress: x.node.address(), ReplyId: memberPath})
		}
	}
	if !news {
		return
	}
	x.publish(config)
	for _, address := range x.others(config) {
		x.tell(address, &messages.NodeAddresses{})
	}
}
