package persistence

import (
	"encoding/binary"
	"errors"
	"hash/crc32"

	"google.golang.org/protobuf/proto"
)

// A record is what an engine holds under one key: an encoded protobuf message, and behind it, in 4 bytes, big endian, its CRC-32C. In the
// engine of the logs the checksum covers the key as well, so that a record under a wrong key is found.

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// CRC32C continues a CRC-32C over the parts, as if they were one slice; 0 begins one.
func CRC32C(sum uint32, parts ...[]byte) uint32 {
	for _, part := range parts {
		sum = crc32.Update(sum, castagnoli, part)
	}
	return sum
}

// checksumBytes is the length of the checksum of a record.
const checksumBytes = 4

// PutRecord adds the record of a message to a batch, under key. The checksum covers the message and, before it, covered. It fails, and
// adds nothing, if the message cannot be encoded.
func PutRecord(batch *Batch, key, covered []byte, m proto.Message) error {
	return batch.PutInPlace(key, proto.Size(m)+checksumBytes, func(to []byte) ([]byte, error) {
		out, err := proto.MarshalOptions{Deterministic: true}.MarshalAppend(to, m)
		if err != nil {
			return nil, err
		}
		return binary.BigEndian.AppendUint32(out, CRC32C(0, covered, out[len(to):])), nil
	})
}

// Why a record cannot be read.
var (
	errRecordShort    = errors.New("it is cut off")
	errRecordChecksum = errors.New("its checksum is wrong")
	errRecordFormat   = errors.New("its format is wrong")
)

// CheckRecord returns the encoded message of a record whose checksum is right, with covered as in PutRecord. The result is a part of value.
func CheckRecord(value, covered []byte) (encoded []byte, err error) {
	if len(value) < checksumBytes {
		return nil, errRecordShort
	}
	encoded, sum := value[:len(value)-checksumBytes], binary.BigEndian.Uint32(value[len(value)-checksumBytes:])
	if CRC32C(0, covered, encoded) != sum {
		return nil, errRecordChecksum
	}
	return encoded, nil
}

// DecodeRecord checks a record, with covered as in PutRecord, and decodes its message into m.
func DecodeRecord(value, covered []byte, m proto.Message) error {
	encoded, err := CheckRecord(value, covered)
	if err == nil && proto.Unmarshal(encoded, m) != nil {
		err = errRecordFormat
	}
	return err
}
