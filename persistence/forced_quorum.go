package persistence

import (
	"encoding/binary"

	"github.com/eraft-io/eraft/messages"
)

// kindForcedQuorum begins the keys, f<group><index> in the engine of the logs, of the quorums that were forced on this node. The records stay
// for ever: the node tells the cluster of them at every start, until the config has them, and after.
const kindForcedQuorum = 'f'

// PutForcedQuorum adds the record of a forced quorum to batch.
func PutForcedQuorum(batch *Batch, f *messages.ForcedQuorum) error {
	key := binary.BigEndian.AppendUint64(groupKey(kindForcedQuorum, messages.GroupID(f.Group)), f.Index)
	return putRecord(batch, key, f)
}

// LoadForcedQuorums returns all of them, ascending by group.
func LoadForcedQuorums(r Reader) (all []*messages.ForcedQuorum, err error) {
	prefix := []byte{kindForcedQuorum}
	var bad error
	err = r.Scan(prefix, PrefixEnd(prefix), func(key, value []byte) bool {
		f := new(messages.ForcedQuorum)
		bad = decodeRecord(key, value, f)
		all = append(all, f)
		return bad == nil
	})
	if err == nil {
		err = bad
	}
	return all, err
}
