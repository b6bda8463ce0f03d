package cluster

import (
	"slices"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/eraft-io/eraft/messages"
)

// How members find each other again when addresses have changed, without a quorum: each says where it is, in which boot, to
// all others and to its seeds, until all of them know, and tells on what it has heard. The Member's part of it; which word
// counts router.AddressBook decides.

// announceAddress tells those who may not know it where this node is: at the addresses that the others had last, and, as
// long as some of them are not heard, at the seeds.
func (m *Member) announceAddress() {
	alive := m.n.status.snapshot().alive
	missing := false
	var to []string
	for _, node := range m.config.GetNodes() {
		id := messages.NodeID(node.Id)
		if node.Removed || id == m.n.identity().Node {
			continue
		}
		if missing = missing || !alive(id); !alive(id) || m.ackedEpochs[id] == 0 || m.ackedEpochs[id] < m.heardEpochs[id] {
			to = append(to, m.n.addressBook.Address(node.Id))
		}
	}
	if missing || m.config == nil {
		to = append(to, m.n.config.Seeds...)
	}
	slices.Sort(to)
	for _, address := range slices.Compact(to) {
		if address != m.n.address() {
			m.sendAddresses(address, &messages.NodeAddresses{ReplyAddress: m.n.address()})
		}
	}
}

// whereabouts are where this node is.
func (n *node) ownAddress() *messages.NodeAddress {
	id := n.identity()
	return &messages.NodeAddress{Node: uint64(id.Node), DirectoryToken: id.Token, Epoch: uint64(id.Epoch), Address: n.address()}
}

// publishAddresses tells all of this node where the nodes of the config are, itself among them.
func (m *Member) publishAddresses() {
	m.n.addressBook.Learn(m.n.ownAddress())
	m.n.status.setAddresses(m.config, &m.n.addressBook)
	if heard := m.n.addressBook.Newer(); len(heard) > 0 {
		m.n.send(m.n.pids.router, &messages.NodeAddresses{Nodes: heard})
	}
}

// sendAddresses tells what this node knows of where nodes are beside the config, itself last.
func (m *Member) sendAddresses(to string, a *messages.NodeAddresses) {
	a.Nodes = append(m.n.addressBook.Newer(), m.n.ownAddress())
	m.n.send(actor.NewPID(to, memberPath), a)
}

// outlived tells whether there was a later boot of this node than this one. A boot epoch is on disk before its first word, so then
// this is an older disk.
func (m *Member) hasLaterEpoch(token, epoch uint64) bool {
	id := m.n.identity()
	return token == id.Token && epoch > uint64(id.Epoch)
}

// onAddresses learns where nodes are, and passes on what is news. Its sender is the last of them.
func (m *Member) onAddresses(a *messages.NodeAddresses) {
	if !m.joined || len(a.Nodes) == 0 {
		return
	}
	news, self, sender := false, uint64(m.n.identity().Node), a.Nodes[len(a.Nodes)-1]
	for _, n := range a.Nodes {
		if n.Node != self {
			news = m.n.addressBook.Learn(n) || news
		} else if m.hasLaterEpoch(n.DirectoryToken, n.Epoch) {
			m.n.fail(ErrOlderCopy)
			return
		}
	}
	if a.To == self {
		m.ackedEpochs[messages.NodeID(sender.Node)] = sender.Epoch
	}
	if a.ReplyAddress != "" {
		m.sendAddresses(a.ReplyAddress, &messages.NodeAddresses{To: sender.Node})
		if m.config == nil {
			m.n.send(actor.NewPID(a.ReplyAddress, memberPath), &messages.ConfigPull{ReplyAddress: m.n.address(), ReplyId: memberPath})
		}
	}
	if !news {
		return
	}
	m.publishAddresses()
	for _, address := range m.otherAddresses() {
		m.sendAddresses(address, &messages.NodeAddresses{})
	}
}
