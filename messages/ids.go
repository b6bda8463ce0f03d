package messages

import (
	"fmt"
	"strconv"
)

// ID types keep numbers that name different things apart. On the wire all of them are plain integers.
type (
	NodeID    uint64 // one life of a data directory; never reused. 0 is nobody
	GroupID   uint64 // a Raft group; 0 is meta
	BucketID  uint32 // 0 … buckets-1
	ClusterID uint64 // drawn at random when it is founded; people read it in hexadecimal, everywhere. 0: none
	SessionID uint64 // who asks; drawn at random. 0 is nobody
	Epoch     uint64 // of a boot of a node, raised and fsynced before the node speaks
)

// Meta is the group that keeps the config chain.
const Meta GroupID = 0

func (n NodeID) String() string    { return strconv.FormatUint(uint64(n), 10) }
func (g GroupID) String() string   { return strconv.FormatUint(uint64(g), 10) }
func (c ClusterID) String() string { return fmt.Sprintf("%016x", uint64(c)) }
func (s SessionID) String() string { return strconv.FormatUint(uint64(s), 16) }

// MarshalText has logs in JSON show it as everything else does.
func (c ClusterID) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// epochDrawn are the low bits of an Epoch, which are drawn: two boots that began with equal copies of a directory have other ones. All
// together fit into a JSON number.
const epochDrawn = 20

// Next is the Epoch of the next boot, above every earlier one.
func (e Epoch) Next(drawn uint64) Epoch {
	return (e>>epochDrawn+1)<<epochDrawn | Epoch(drawn)&(1<<epochDrawn-1)
}
