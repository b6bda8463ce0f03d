package persistence

import (
	"encoding/binary"

	"github.com/eraft-io/eraft/messages"
)

// What a node without a cluster has told others that it knows is on its disk before it says so: the nodes that may found a
// cluster, by the tokens of their directories.
var peerKey = []byte("node/peer/")

// SavePeers makes durable that a node may found a cluster, unless it is nil, and forgets others, by their tokens.
func SavePeers(engine Engine, peer *messages.BootstrapPeer, lost []uint64) error {
	batch := new(Batch)
	for _, token := range lost {
		batch.Delete(binary.BigEndian.AppendUint64(peerKey[:len(peerKey):len(peerKey)], token))
	}
	if peer != nil {
		if err := putRecord(batch, binary.BigEndian.AppendUint64(peerKey[:len(peerKey):len(peerKey)], peer.DirectoryToken), peer); err != nil {
			return err
		}
	}
	return engine.Write(batch, true)
}

// LoadPeers gives all of them, by token.
func LoadPeers(r Reader) (all []*messages.BootstrapPeer, err error) {
	var bad error
	err = r.Scan(peerKey, PrefixEnd(peerKey), func(key, value []byte) bool {
		peer := new(messages.BootstrapPeer)
		bad = openRecord(key, value, peer)
		all = append(all, peer)
		return bad == nil
	})
	if err == nil {
		err = bad
	}
	return all, err
}

// DropPeers forgets all of them: the node belongs to a cluster. It need not be durable.
func DropPeers(engine Engine) error {
	batch := new(Batch)
	batch.DeleteRange(peerKey, PrefixEnd(peerKey))
	return engine.Write(batch, false)
}
