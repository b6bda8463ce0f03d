package persistence

import (
	"encoding/binary"

	"github.com/eraft-io/eraft/messages"
)

// bootstrapPeerPrefix begins the keys of the nodes that may take part in the bootstrap of a cluster, by the tokens of their directories. A
// node without a cluster has them on its disk before it tells others that it knows them.
var bootstrapPeerPrefix = []byte("node/peer/")

// SaveBootstrapPeers makes durable that a node may take part in the bootstrap, unless it is nil, and deletes those with the tokens lost.
func SaveBootstrapPeers(engine Engine, peer *messages.BootstrapPeer, lost []uint64) error {
	batch := new(Batch)
	for _, token := range lost {
		batch.Delete(binary.BigEndian.AppendUint64(bootstrapPeerPrefix[:len(bootstrapPeerPrefix):len(bootstrapPeerPrefix)], token))
	}
	if peer != nil {
		if err := putRecord(batch, binary.BigEndian.AppendUint64(bootstrapPeerPrefix[:len(bootstrapPeerPrefix):len(bootstrapPeerPrefix)], peer.DirectoryToken), peer); err != nil {
			return err
		}
	}
	return engine.Write(batch, true)
}

// LoadBootstrapPeers returns all of them, ascending by token.
func LoadBootstrapPeers(r Reader) (all []*messages.BootstrapPeer, err error) {
	var bad error
	err = r.Scan(bootstrapPeerPrefix, PrefixEnd(bootstrapPeerPrefix), func(key, value []byte) bool {
		peer := new(messages.BootstrapPeer)
		bad = decodeRecord(key, value, peer)
		all = append(all, peer)
		return bad == nil
	})
	if err == nil {
		err = bad
	}
	return all, err
}

// DeleteBootstrapPeers deletes all of them, when the node has joined a cluster. It is not synced: what a crash brings back does no harm.
func DeleteBootstrapPeers(engine Engine) error {
	batch := new(Batch)
	batch.DeleteRange(bootstrapPeerPrefix, PrefixEnd(bootstrapPeerPrefix))
	return engine.Write(batch, false)
}
