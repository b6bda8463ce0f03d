package router

import (
	"slices"

	"github.com/eraft-io/eraft/messages"
)

// AddressBook is where the nodes of a cluster are. Who they are the config says; where they are the node itself, by its boot
// epoch: its newest word counts, whether or not the config has it yet. It is pure.
type AddressBook struct {
	config *messages.Config
	newer  map[uint64]*messages.NodeAddress // by node: what is newer than the config
}

// Update takes a newer config.
func (b *AddressBook) Update(config *messages.Config) {
	b.config = config
	for id, a := range b.newer {
		if n := b.node(id); n == nil || n.Epoch >= a.Epoch || n.DirectoryToken != a.DirectoryToken {
			delete(b.newer, id)
		}
	}
}

// Hear takes what a member has said of a node, and tells whether it is news.
func (b *AddressBook) Learn(a *messages.NodeAddress) bool {
	n := b.node(a.GetNode())
	if n == nil || n.DirectoryToken != a.DirectoryToken || a.Epoch <= n.Epoch || a.Address == "" || len(a.Address) > maxAddressBytes {
		return false
	}
	if was := b.newer[a.Node]; was != nil && was.Epoch >= a.Epoch {
		return false
	}
	if b.newer == nil {
		b.newer = map[uint64]*messages.NodeAddress{}
	}
	b.newer[a.Node] = a
	return true
}

// maxAddressBytes is more bytes than an address has.
const maxAddressBytes = 300

// At is where a node is, "" if nobody knows or it is not in the cluster.
func (b *AddressBook) Address(node uint64) string {
	if a := b.newer[node]; a != nil {
		return a.Address
	}
	return b.node(node).GetAddress()
}

// Heard is all that is newer than the config, by node.
func (b *AddressBook) Newer() []*messages.NodeAddress {
	var all []*messages.NodeAddress
	for _, n := range b.config.GetNodes() {
		if a := b.newer[n.Id]; a != nil {
			all = append(all, a)
		}
	}
	return all
}

// node is a node of the cluster; nil if there is none of that number.
func (b *AddressBook) node(id uint64) *messages.Node {
	i := slices.IndexFunc(b.config.GetNodes(), func(n *messages.Node) bool { return n.Id == id && !n.Removed })
	if i < 0 {
		return nil
	}
	return b.config.Nodes[i]
}
