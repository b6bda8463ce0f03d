package persistence

import (
	"encoding/binary"

	"github.com/eraft-io/eraft/messages"
)

// A quorum that was forced on this node stays on record beside its identity, f<group><index> in the engine of the log:
// the node tells of it whenever it starts, until the config chain knows, and after.
const kindForcedQuorum = 'f'

// PutForcedQuorum writes a record into batch.
func PutForcedQuorum(batch *Batch, f *messages.ForcedQuorum) error {
	key := binary.BigEndian.AppendUint64(groupKey(kindForcedQuorum, messages.GroupID(f.Group)), f.Index)
	return putRecord(batch, key, f)
}

// LoadForcedQuorums gives all records, by group.
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
