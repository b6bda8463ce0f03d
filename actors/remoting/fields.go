package remoting

import (
	"github.com/asynkron/protoactor-go/actor"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/eraft-io/eraft/actors"
)

// Numbers of fields.
const (
	ofBatch      = 1 // in RemoteMessage
	ofTypes      = 1 // in MessageBatch
	ofTargets    = 2
	ofEnvelopes  = 3
	ofSenders    = 4
	ofKind       = 1 // in MessageEnvelope
	ofData       = 2
	ofTarget     = 3
	ofSender     = 4
	ofSerializer = 5
	ofHeader     = 6
	ofPairs      = 1 // in MessageHeader
	ofKey        = 1 // in each
	ofValue      = 2
	ofAddress    = 1 // in PID
	ofID         = 2
)

// eachField shows visit the fields of an encoded message: the value of each number, and the content of each field with a length.
func eachField(encoded []byte, visit func(field protowire.Number, number uint64, content []byte) error) error {
	for len(encoded) > 0 {
		field, kind, n := protowire.ConsumeTag(encoded)
		if n < 0 {
			return errMessage
		}
		encoded = encoded[n:]
		var number uint64
		var content []byte
		switch kind {
		case protowire.VarintType:
			number, n = protowire.ConsumeVarint(encoded)
		case protowire.BytesType:
			content, n = protowire.ConsumeBytes(encoded)
		default:
			n = protowire.ConsumeFieldValue(field, kind, encoded)
		}
		if n < 0 {
			return errMessage
		}
		if err := visit(field, number, content); err != nil {
			return err
		}
		encoded = encoded[n:]
	}
	return nil
}

func appendPIDs(b []byte, field protowire.Number, all []*actor.PID) []byte {
	for _, pid := range all {
		b = appendBytes(b, field, string(appendBytes(appendBytes(nil, ofAddress, pid.Address), ofID, pid.Id)))
	}
	return b
}

func appendLength(b []byte, field protowire.Number, length int) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, field, protowire.BytesType), uint64(length))
}

func appendBytes(b []byte, field protowire.Number, content string) []byte {
	return append(appendLength(b, field, len(content)), content...)
}

func appendNumber(b []byte, field protowire.Number, v uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, field, protowire.VarintType), v)
}

func sizeNumber(field protowire.Number, v uint64) int {
	return protowire.SizeTag(field) + protowire.SizeVarint(v)
}

// identityHeader is the identity of a system, encoded as the header of an envelope, which seldom changes.
type identityHeader struct {
	id     actors.Identity
	header []byte
}

func (s *identityHeader) of(sys *actors.System) []byte {
	if id := sys.Identity(); s.header == nil || id != s.id {
		s.id, s.header = id, encodeHeader(id)
	}
	return s.header
}

// encodeHeader encodes the field of an envelope that names the sender.
func encodeHeader(id actors.Identity) []byte {
	pair := appendBytes(appendBytes(nil, ofKey, identityKey), ofValue, formatIdentity(id))
	return appendBytes(nil, ofHeader, string(appendBytes(nil, ofPairs, string(pair))))
}
