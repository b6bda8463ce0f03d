package messages

// Limits of what may be how large. docs/LIMITS.md lists them with the error that tells of each; bounds.go says of every
// field that crosses nodes which of them holds for it.
const (
	// MaxMessageBytes is more than any message between two systems that is made here, encoded. What makes messages of
	// many parts cuts them at 1 MiB, so that only a single large part makes a larger message.
	MaxMessageBytes = 4 << 20
	// MaxLegacyBytes is what a message with an entry may have that an older version wrote into a log.
	MaxLegacyBytes = MaxMessageBytes + 1<<20

	// MaxCommandBytes bounds an encoded Command, so that the entry of a log that it is alone in can be sent: keys and
	// values of the largest batch or compare-and-swap, or a chunk of a bucket, and what is around them.
	MaxCommandBytes = 2<<20 + 128<<10
	// MaxQueryBytes bounds an encoded Query.
	MaxQueryBytes = 16 << 10
	// MaxReplyBytes bounds an encoded Reply: a page or a chunk with one value beyond its size, or the answers of a batch.
	MaxReplyBytes = 3 << 20
	// MaxTextBytes bounds what a Reply or an Error says to people; more is cut off.
	MaxTextBytes = 1 << 10

	// MaxConfigBytes bounds an encoded Config: a command that would make a larger one is refused.
	MaxConfigBytes = 2 << 20

	MaxKeyBytes   = 1 << 10
	MaxValueBytes = 1 << 20 // also of a value that a condition expects
	MaxBatchOps   = 128     // conditions and writes of one Batch
	MaxBatchBytes = 2 << 20 // keys and values of one Batch

	MaxScanKeys     = 10_000  // looked at for one page
	MaxScanBytes    = 1 << 20 // of the same; the value that passes the limit still comes
	CursorBits      = 39      // of the number of a key, see Page.cursor: with that of a bucket, 53 bits
	MaxPatternBytes = 256     // bytes of a Scan's match: it is tried on every key

	MaxNameBytes      = 64  // of a node
	MaxAddressBytes   = 300 // host:port
	MaxPathBytes      = 128 // of an actor's path
	MaxLabels         = 16  // of a node
	MaxLabelBytes     = 128 // of each
	MaxForcedQuorums  = 64  // quorums made by hand on one node that it tells of
	MaxReplicas       = 64  // nodes that a group may be on
	MaxGroups         = 4096
	MaxBootstrapPeers = 1000 // nodes without a cluster that one of them tells of, and seeds
	MaxNodes          = 8192 // that a config has, removed ones among them
)
