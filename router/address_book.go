package router

import (
	"slices"

	"github.com/eraft-io/eraft/messages"
)

// AddressBook holds the addresses of a cluster's nodes. The config says which nodes there are and where they were; a node that
// has started at another address since says so itself, with its boot epoch. The address of the highest epoch counts, whether
// or not the config has it yet. It is pure. The zero value is an empty book.
type AddressBook struct {
	config *messages.Config
	newer  map[uint64]*messages.NodeAddress // node -> address that is newer than the config's
}

// Update adopts a newer config, and forgets the addresses that the config has by now.
func (b *AddressBook) Update(config *messages.Config) {
	b.config = config
	for id, a := range b.newer {
		if n := b.node(id); n == nil || n.Epoch >= a.Epoch || n.DirectoryToken != a.DirectoryToken {
			delete(b.newer, id)
		}
	}
}

// Learn records the address of a node, as a member has said it, and reports whether it is news. The address of a node that
// is not in the cluster, or of an earlier boot epoch, is ignored.
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

// maxAddressBytes is more than any address has.
const maxAddressBytes = 300

// Address is where a node is, host:port; "" if it is not known, or the node is not in the cluster.
func (b *AddressBook) Address(node uint64) string {
	if a := b.newer[node]; a != nil {
		return a.Address
	}
	return b.node(node).GetAddress()
}

// Newer are all addresses that are newer than the config's, in the order of the config's nodes.
func (b *AddressBook) Newer() []*messages.NodeAddress {
	var all []*messages.NodeAddress
	for _, n := range b.config.GetNodes() {
		if a := b.newer[n.Id]; a != nil {
			all = append(all, a)
		}
	}
	return all
}

// node is the node of a number; nil if there is none in the cluster.
func (b *AddressBook) node(id uint64) *messages.Node {
	i := slices.IndexFunc(b.config.GetNodes(), func(n *messages.Node) bool { return n.Id == id && !n.Removed })
	if i < 0 {
		return nil
	}
	return b.config.Nodes[i]
}
