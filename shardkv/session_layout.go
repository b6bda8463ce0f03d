package shardkv

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/persistence"
)

// encodeSession is the record of a session: the layout's number, then acked, noDeadlineUseMs and lastUse as varints. Layout 2
// also has deadlineMs; layout 1 is of a session whose commands had no deadline.
func encodeSession(s *session) []byte {
	numbers, out := s.numbers(), []byte{2}
	if s.deadlineMs == 0 {
		numbers, out = numbers[:3], []byte{1}
	}
	for _, n := range numbers {
		out = binary.AppendUvarint(out, *n)
	}
	return out
}

func (s *session) numbers() []*uint64 {
	return []*uint64{&s.acked, &s.noDeadlineUseMs, &s.lastUse, &s.deadlineMs}
}

// readSession reads a session record; the reader is left behind it.
func readSession(stored []byte) (*session, *recordReader) {
	if len(stored) < 1 || stored[0] < 1 || stored[0] > 2 {
		return nil, &recordReader{err: errCorrupt}
	}
	f, s := &recordReader{rest: stored[1:]}, &session{}
	for _, n := range s.numbers()[:2+stored[0]] {
		*n = f.number()
	}
	return s, f
}

func decodeSession(stored []byte) (*session, error) {
	s, f := readSession(stored)
	return s, f.err
}

// encodeMigratedSession is what travels of a session with a bucket: a session record, the number of replies, and the replies,
// each behind its length. Several records of one session may travel; the destination merges them.
func encodeMigratedSession(s *session, replies []*savedReply) ([]byte, error) {
	out := binary.AppendUvarint(encodeSession(s), uint64(len(replies)))
	for _, r := range replies {
		reply, err := r.encode()
		if err != nil {
			return nil, err
		}
		out = appendBytes(out, reply)
	}
	return out, nil
}

// decodeMigratedSession also reads records of programs that kept replies of any size: what is above MaxSavedReply is trimmed.
func decodeMigratedSession(stored []byte, bucket uint32, id uint64) (*session, error) {
	s, f := readSession(stored)
	if f.err != nil {
		return nil, f.err
	}
	s.id = id
	for n := f.number(); n > 0 && f.err == nil; n-- {
		r := new(messages.Reply)
		if proto.Unmarshal(f.bytes(), r) != nil {
			return nil, errCorrupt
		}
		r.Session = id
		s.replies = append(s.replies, newSavedReply(bucket, r))
	}
	return s, f.err
}

// migratedSessionBytes bounds the replies in one such record; one reply that is larger is alone.
const migratedSessionBytes = 64 << 10

// exportFrom is the next record of a session that travels with a bucket: of the replies of that bucket from a seq on. upTo is the
// last seq in it, math.MaxUint64 if none is left.
func (s *session) exportFrom(bucket uint32, from uint64) (record []byte, upTo uint64, err error) {
	i, _ := slices.BinarySearchFunc(s.replies, from, func(r *savedReply, seq uint64) int {
		if r.seq < seq {
			return -1
		}
		return 1
	})
	var part []*savedReply
	size := 0
	for _, r := range s.replies[i:] {
		if r.bucket != bucket {
			continue
		}
		if size += r.bytes; size > migratedSessionBytes && len(part) > 0 {
			record, err = encodeMigratedSession(s, part)
			return record, part[len(part)-1].seq, err
		}
		part = append(part, r)
	}
	record, err = encodeMigratedSession(s, part)
	return record, math.MaxUint64, err
}

// load fills an empty table from a store.
func (t *sessionTable) load(store persistence.Reader) error {
	known := map[uint64]*session{}
	get := func(id uint64) *session {
		if known[id] == nil {
			known[id] = &session{id: id}
		}
		return known[id]
	}
	var replies []*savedReply
	err := scanRecords(store, 'f', 9, func(key, value []byte) error {
		s, err := decodeSession(value)
		if err == nil {
			s.id = binary.BigEndian.Uint64(key[1:])
			known[s.id] = s
		}
		return err
	})
	err = errors.Join(err, scanRecords(store, 'r', 21, func(key, value []byte) error {
		replies = append(replies, &savedReply{
			bucket: binary.BigEndian.Uint32(key[1:]), session: binary.BigEndian.Uint64(key[5:]), seq: binary.BigEndian.Uint64(key[13:]),
			encoded: slices.Clone(value), bytes: savedReplyOverhead + len(value), stored: true,
		})
		return nil
	}))
	// Records of programs that kept all replies of a session in one are replaced by the next flush.
	err = errors.Join(err, scanRecords(store, 's', 13, func(key, value []byte) error {
		id := binary.BigEndian.Uint64(key[5:])
		old, err := decodeMigratedSession(value, binary.BigEndian.Uint32(key[1:]), id)
		if err != nil {
			return err
		}
		s := get(id)
		s.acked, s.noDeadlineUseMs = max(s.acked, old.acked), max(s.noDeadlineUseMs, old.noDeadlineUseMs)
		s.lastUse, s.deadlineMs = max(s.lastUse, old.lastUse), max(s.deadlineMs, old.deadlineMs)
		replies = append(replies, old.replies...)
		t.markDirty(s)
		t.deletions = append(t.deletions, slices.Clone(key))
		return nil
	}))
	if err != nil {
		return err
	}
	for _, r := range replies {
		get(r.session)
	}
	all := make([]*session, 0, len(known))
	for _, s := range known {
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b *session) int { return cmp.Or(cmp.Compare(a.lastUse, b.lastUse), cmp.Compare(a.id, b.id)) })
	for _, s := range all {
		t.insert(s)
	}
	slices.SortFunc(replies, func(a, b *savedReply) int { return cmp.Or(cmp.Compare(a.seq, b.seq), cmp.Compare(a.bucket, b.bucket)) })
	for _, r := range replies {
		t.save(t.all[r.session], r)
	}
	return nil
}

// scanRecords visits all records of a kind, whose keys have a fixed length.
func scanRecords(store persistence.Reader, kind byte, length int, visit func(key, value []byte) error) error {
	var bad error
	err := store.Scan([]byte{kind}, []byte{kind + 1}, func(key, value []byte) bool {
		if bad = errCorrupt; len(key) == length {
			bad = visit(key, value)
		}
		return bad == nil
	})
	if err = errors.Join(err, bad); err != nil {
		return fmt.Errorf("read records %c: %w", kind, err)
	}
	return nil
}
