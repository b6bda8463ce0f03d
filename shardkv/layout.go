package shardkv

import (
	"encoding/binary"
	"errors"

	"github.com/eraft-io/eraft/persistence"
)

// The store of a shard group. <bucket> is 4 bytes, <session>, <seq> and <position> 8, all big endian, so that what belongs to
// one bucket is one range for each kind, and a migration copies or deletes ranges:
//
//	d<bucket><key>            data: the version as a varint, then the value
//	r<bucket><session><seq>   a saved reply: an encoded messages.Reply that its session has not acknowledged
//	t<bucket><position>       the change log of a bucket that migrates: change_log.go
//	o<bucket>                 the record of the bucket in this group: encodeBucket
//	f<session>                a session, for all buckets of the group: encodeSession
//
// A store of a program that had no saved replies of their own also has
//
//	s<bucket><session>        a session record as it travels with a bucket: encodeMigratedSession

// bucketKey is a kind and a bucket: a whole key, or the prefix of one.
func bucketKey(kind byte, bucket uint32) []byte { return recordKey(kind, bucket, 0) }

// recordKey is a bucketKey with capacity for the rest of a key.
func recordKey(kind byte, bucket uint32, capacity int) []byte {
	return binary.BigEndian.AppendUint32(append(make([]byte, 0, 5+capacity), kind), bucket)
}

// DataRange is the range of a bucket's data in the store: low is in it, high is not.
func DataRange(bucket uint32) (low, high []byte) {
	low = bucketKey('d', bucket)
	return low, persistence.PrefixEnd(low)
}

func dataKey(bucket uint32, key []byte) []byte {
	return append(recordKey('d', bucket, len(key)), key...)
}

func sessionKey(session uint64) []byte {
	return binary.BigEndian.AppendUint64(append(make([]byte, 0, 9), 'f'), session)
}

func replyKey(r *savedReply) []byte {
	return append(recordKey('r', r.bucket, 16), commandName(r.session, r.seq)...)
}

// commandName names a command of a client: its session and seq, 16 bytes.
func commandName(session, seq uint64) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(make([]byte, 0, 16), session), seq)
}

func encodeValue(version uint64, value []byte) []byte {
	return append(binary.AppendUvarint(make([]byte, 0, len(value)+5), version), value...)
}

// errCorrupt is why a stored or received record is not taken: its bytes do not have the layout.
var errCorrupt = errors.New("record cannot be read")

func decodeValue(stored []byte) (version uint64, value []byte, err error) {
	version, n := binary.Uvarint(stored)
	if n <= 0 {
		return 0, nil, errCorrupt
	}
	return version, stored[n:], nil
}

// recordReader reads varints and length-prefixed bytes one after the other. After the first error every read gives zero.
type recordReader struct {
	rest []byte
	err  error
}

func (f *recordReader) number() uint64 {
	v, n := binary.Uvarint(f.rest)
	if n <= 0 {
		f.err, f.rest = errCorrupt, nil
		return 0
	}
	f.rest = f.rest[n:]
	return v
}

func (f *recordReader) bytes() []byte {
	n := f.number()
	if uint64(len(f.rest)) < n {
		f.err, f.rest = errCorrupt, nil
		return nil
	}
	part := f.rest[:n:n]
	f.rest = f.rest[n:]
	return part
}

func appendBytes(to, part []byte) []byte {
	return append(binary.AppendUvarint(to, uint64(len(part))), part...)
}

func boolByte(set bool) byte {
	if set {
		return 1
	}
	return 0
}

// encodeBucket is the record of a bucket: the layout's number, the state, copied, then the numbers as varints, then the cursor.
// Layout 3 has minTimeMs; layout 2, of a bucket whose minTimeMs is 0, does not.
func encodeBucket(b *bucket) []byte {
	numbers, out := b.numbers(), []byte{3, byte(b.state), boolByte(b.copied)}
	if b.minTimeMs == 0 {
		numbers, out[0] = numbers[:len(numbers)-1], 2
	}
	for _, n := range numbers {
		out = binary.AppendUvarint(out, *n)
	}
	return appendBytes(out, b.cursor)
}

// numbers are the numeric fields in the order in which they are stored.
func (b *bucket) numbers() []*uint64 {
	return []*uint64{
		&b.configVersion, &b.counterpart, &b.versionCounter, &b.base, &b.logPosition, &b.moveVersion, &b.changedBytes, &b.maxChangedBytes,
		&b.nextChunk, &b.stalls, &b.receivedBytes, &b.backlogBytes, &b.minTimeMs,
	}
}

func decodeBucket(stored []byte) (*bucket, error) {
	if len(stored) < 3 || stored[0] < 2 || stored[0] > 3 || State(stored[1]) > Importing {
		return nil, errCorrupt
	}
	f := recordReader{rest: stored[3:]}
	b := &bucket{state: State(stored[1]), copied: stored[2] == 1}
	numbers := b.numbers()
	for _, n := range numbers[:len(numbers)-3+int(stored[0])] {
		*n = f.number()
	}
	b.cursor = append([]byte(nil), f.bytes()...)
	return b, f.err
}
