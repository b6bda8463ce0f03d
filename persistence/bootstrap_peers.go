package persistence

import (
	"encoding/binary"

	"github.com/eraft-io/eraft/messages"
)

// What a node without a cluster has told others that it knows is on its disk before it says so: the nodes that may found a
// cluster, by the tokens of their directories.
var bootstrapPeerPrefix = []byte("node/peer/")

// SaveBootstrapPeers makes durable that a node may found a cluster, unless it is nil, and forgets others, by their tokens.
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

// LoadBootstrapPeers gives all of them, by token.
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

// DeleteBootstrapPeers forgets all of them: the node belongs to a cluster. It need not be durable.
func DeleteBootstrapPeers(engine Engine) error {
	batch := new(Batch)
	batch.DeleteRange(bootstrapPeerPrefix, PrefixEnd(bootstrapPeerPrefix))
	return engine.Write(batch, false)
}
