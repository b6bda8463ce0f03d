package router

import (
	"slices"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/eraft-io/eraft/actors"
)

// What an unauthenticated client may ask for, by the numbers of the protobuf fields of Command, Query and MetaCommand (kv.proto,
// meta.proto). Everything else comes from members only: the commands of bucket migrations, and those that change who is in the
// cluster.
var (
	clientCommands     = []protowire.Number{10, 11, 12, 13, 14, 15, 21, 30} // not shard
	clientQueries      = []protowire.Number{10, 11, 21, 30}                 // not bucket_pull
	clientMetaCommands = []protowire.Number{3, 4, 5, 6, 7, 8, 10, 11, 12}   // not bootstrap, add_node, complete_moves
	identityFields     = []protowire.Number{1, 2, 3, 4, 5}                  // session, seq, acked, max_reply_bytes, deadline_ms
	metaOptions        = []protowire.Number{30, 31, 32}                     // if_version, reason, requested_by
)

const (
	sessionsField = 2  // of Requests
	metaField     = 21 // of Command
)

// maxUnauthenticatedBytes is more than any unauthenticated message other than Requests has.
const maxUnauthenticatedBytes = 64 << 10

// clientMaySend reports whether encoded Requests contain only what clients may ask for, with replies to the connection's own
// address. It does not decode the requests.
func clientMaySend(requests []byte, replyAddress string) bool {
	return eachField(requests, func(number protowire.Number, session []byte) bool {
		if number != sessionsField {
			return true
		}
		answerable := false
		return eachField(session, func(number protowire.Number, field []byte) bool {
			switch number {
			case 1: // address
				answerable = replyAddress != "" && string(field) == replyAddress
				return answerable
			case 3, 6: // commands, retries
				return eachField(field, clientMayPropose)
			case 4, 5: // queries, replica_queries
				return eachField(field, func(number protowire.Number, _ []byte) bool {
					return slices.Contains(clientQueries, number) || slices.Contains(identityFields, number)
				})
			}
			return true
		}) && answerable
	})
}

// repliesToSender accepts a message whose field number at is the reply address of its connection, and which has none of the fields
// that unauthenticated senders may not use.
func repliesToSender(at protowire.Number, not ...protowire.Number) actors.Validator {
	return func(encoded []byte, replyAddress string) bool {
		answerable := false
		return len(encoded) <= maxUnauthenticatedBytes && eachField(encoded, func(number protowire.Number, content []byte) bool {
			if number == at {
				answerable = replyAddress != "" && string(content) == replyAddress
				return answerable
			}
			return !slices.Contains(not, number)
		}) && answerable
	}
}

func clientMayPropose(number protowire.Number, op []byte) bool {
	if number == metaField {
		return eachField(op, func(number protowire.Number, _ []byte) bool {
			return slices.Contains(clientMetaCommands, number) || slices.Contains(metaOptions, number)
		})
	}
	return slices.Contains(clientCommands, number) || slices.Contains(identityFields, number)
}

// eachField calls ok for each field of an encoded message, with its content if it has a length. It reports whether the message is
// well formed and every call returned true.
func eachField(encoded []byte, ok func(number protowire.Number, content []byte) bool) bool {
	for len(encoded) > 0 {
		number, kind, n := protowire.ConsumeTag(encoded)
		if n < 0 {
			return false
		}
		encoded = encoded[n:]
		size := protowire.ConsumeFieldValue(number, kind, encoded)
		if size < 0 {
			return false
		}
		var content []byte
		if kind == protowire.BytesType {
			content, _ = protowire.ConsumeBytes(encoded)
		}
		if !ok(number, content) {
			return false
		}
		encoded = encoded[size:]
	}
	return true
}
