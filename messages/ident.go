package messages

import "google.golang.org/protobuf/encoding/protowire"

// Ident reads session and seq off an encoded Command or Query without decoding the rest. Both are fields 1 and 2
// of either. Bytes that are no protobuf give zeros: such a request has nobody to answer.
func RequestID(encoded []byte) (session, seq uint64) {
	for len(encoded) > 0 {
		number, kind, n := protowire.ConsumeTag(encoded)
		if n < 0 {
			return 0, 0
		}
		encoded = encoded[n:]
		if kind == protowire.VarintType && number <= 2 {
			v, n := protowire.ConsumeVarint(encoded)
			if n < 0 {
				return 0, 0
			}
			if number == 1 {
				session = v
			} else {
				seq = v
			}
			encoded = encoded[n:]
			continue
		}
		return session, seq // fields are written in order: whatever follows is not ours to read
	}
	return session, seq
}
