package shardkv

import (
	"encoding/binary"
	"errors"

	"github.com/eraft-io/eraft/persistence"
)

// The store of a shard group. <bucket> is 4 bytes big endian, so that what belongs to one bucket is one range that
// touches no other:
//
//	d<bucket><key>      version as a varint, then the value
//	r<bucket><session><seq>  the reply to a command that its session has not acknowledged
//	t<bucket><seq>      what has changed while the bucket is given: see note
//	o<bucket>           the bucket's state here: see encodeBucket
//	f<session>          up to where a session has acknowledged replies, in whatever bucket: see encodeSession
//
// Before replies had records of their own there was
//
//	s<bucket><session>  a record as one travels with a bucket: see encodeMigratedSession
func bucketKey(kind byte, bucket uint32) []byte { return recordKey(kind, bucket, 0) }

// recordKey is a bucketKey with room for the rest of a key.
func recordKey(kind byte, bucket uint32, room int) []byte {
	return binary.BigEndian.AppendUint32(append(make([]byte, 0, 5+room), kind), bucket)
}

// DataRange is where a bucket's keys and values are in the store.
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

func replyKey(a *savedReply) []byte {
	return append(recordKey('r', a.bucket, 16), commandName(a.session, a.seq)...)
}

// commandName names a command: its session and seq, big endian.
func commandName(session, seq uint64) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(make([]byte, 0, 16), session), seq)
}

func encodeValue(version uint64, value []byte) []byte {
	return append(binary.AppendUvarint(make([]byte, 0, len(value)+5), version), value...)
}

var errCorrupt = errors.New("record cannot be read")

func decodeValue(stored []byte) (version uint64, value []byte, err error) {
	version, n := binary.Uvarint(stored)
	if n <= 0 {
		return 0, nil, errCorrupt
	}
	return version, stored[n:], nil
}

// fields reads varints and length-prefixed bytes one after the other; the first mistake sticks.
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

// encodeBucket: layout, state, copied, then the numbers, then the cursor. Layout 3 is for buckets that have a time.
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

func (b *bucket) numbers() []*uint64 {
	return []*uint64{
		&b.configVersion, &b.counterpart, &b.versionCounter, &b.base, &b.logPosition, &b.moveVersion, &b.changedBytes, &b.maxChangedBytes, &b.nextChunk, &b.stalls, &b.receivedBytes, &b.backlogBytes,
		&b.minTimeMs,
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
