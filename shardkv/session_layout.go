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

// encodeSession: layout, low-water mark, log time and order of the last use; with layout 2 also until when commands may be
// applied. Layout 1 is for sessions whose commands do not say it, as in clusters of nodes that do not know that.
func encodeSession(s *session) []byte {
	numbers, out := s.numbers(), []byte{2}
	if s.untilMs == 0 {
		numbers, out = numbers[:3], []byte{1}
	}
	for _, n := range numbers {
		out = binary.AppendUvarint(out, *n)
	}
	return out
}

func (s *session) numbers() []*uint64 { return []*uint64{&s.acked, &s.usedMs, &s.used, &s.untilMs} }

// readSession reads a session record that other things may follow.
func readSession(stored []byte) (*session, *fields) {
	if len(stored) < 1 || stored[0] < 1 || stored[0] > 2 {
		return nil, &fields{err: errDamaged}
	}
	f, s := &fields{rest: stored[1:]}, &session{}
	for _, n := range s.numbers()[:2+stored[0]] {
		*n = f.number()
	}
	return s, f
}

func decodeSession(stored []byte) (*session, error) {
	s, f := readSession(stored)
	return s, f.err
}

// encodeRecord is what travels of a session with a bucket: a session record, the number of answers, and their replies. Of one
// session several records may come; all that they say counts.
func encodeRecord(s *session, answers []*answer) ([]byte, error) {
	out := binary.AppendUvarint(encodeSession(s), uint64(len(answers)))
	for _, a := range answers {
		reply, err := a.encode()
		if err != nil {
			return nil, err
		}
		out = appendBytes(out, reply)
	}
	return out, nil
}

// decodeRecord also reads the records of before: their replies may be of any size, and are cut to what is kept.
func decodeRecord(stored []byte, bucket uint32, id uint64) (*session, error) {
	s, f := readSession(stored)
	if f.err != nil {
		return nil, f.err
	}
	s.id = id
	for n := f.number(); n > 0 && f.err == nil; n-- {
		r := new(messages.Reply)
		if proto.Unmarshal(f.bytes(), r) != nil {
			return nil, errDamaged
		}
		r.Session = id
		s.answers = append(s.answers, newAnswer(bucket, r))
	}
	return s, f.err
}

// recordBytes is about how much of a session travels in one record.
const recordBytes = 64 << 10

// export gives the next record of a session that travels with a bucket: of answers from a seq on, and up to which seq it goes.
func (s *session) export(bucket uint32, from uint64) (record []byte, upTo uint64, err error) {
	i, _ := slices.BinarySearchFunc(s.answers, from, func(a *answer, seq uint64) int {
		if a.seq < seq {
			return -1
		}
		return 1
	})
	var part []*answer
	size := 0
	for _, a := range s.answers[i:] {
		if a.bucket != bucket {
			continue
		}
		if size += a.bytes; size > recordBytes && len(part) > 0 {
			record, err = encodeRecord(s, part)
			return record, part[len(part)-1].seq, err
		}
		part = append(part, a)
	}
	record, err = encodeRecord(s, part)
	return record, math.MaxUint64, err
}

// load reads the session table from a store.
func (t *sessions) load(store persistence.Reader) error {
	known := map[uint64]*session{}
	get := func(id uint64) *session {
		if known[id] == nil {
			known[id] = &session{id: id}
		}
		return known[id]
	}
	var answers []*answer
	err := scanRecords(store, 'f', 9, func(key, value []byte) error {
		s, err := decodeSession(value)
		if err == nil {
			s.id = binary.BigEndian.Uint64(key[1:])
			known[s.id] = s
		}
		return err
	})
	err = errors.Join(err, scanRecords(store, 'r', 21, func(key, value []byte) error {
		answers = append(answers, &answer{
			bucket: binary.BigEndian.Uint32(key[1:]), session: binary.BigEndian.Uint64(key[5:]), seq: binary.BigEndian.Uint64(key[13:]),
			encoded: slices.Clone(value), bytes: answerBytes + len(value), stored: true,
		})
		return nil
	}))
	// Records of before are read as if they had just been made, and are replaced at the end of the first turn.
	err = errors.Join(err, scanRecords(store, 's', 13, func(key, value []byte) error {
		id := binary.BigEndian.Uint64(key[5:])
		old, err := decodeRecord(value, binary.BigEndian.Uint32(key[1:]), id)
		if err != nil {
			return err
		}
		s := get(id)
		s.acked, s.usedMs, s.used, s.untilMs = max(s.acked, old.acked), max(s.usedMs, old.usedMs), max(s.used, old.used), max(s.untilMs, old.untilMs)
		answers = append(answers, old.answers...)
		t.mark(s)
		t.gone = append(t.gone, slices.Clone(key))
		return nil
	}))
	if err != nil {
		return err
	}
	for _, a := range answers {
		get(a.session)
	}
	all := make([]*session, 0, len(known))
	for _, s := range known {
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b *session) int { return cmp.Or(cmp.Compare(a.used, b.used), cmp.Compare(a.id, b.id)) })
	for _, s := range all {
		t.insert(s)
	}
	slices.SortFunc(answers, func(a, b *answer) int { return cmp.Or(cmp.Compare(a.seq, b.seq), cmp.Compare(a.bucket, b.bucket)) })
	for _, a := range answers {
		t.keep(t.all[a.session], a)
	}
	return nil
}

// scanRecords shows all records of a kind, whose keys have a fixed length.
func scanRecords(store persistence.Reader, kind byte, length int, visit func(key, value []byte) error) error {
	var bad error
	err := store.Scan([]byte{kind}, []byte{kind + 1}, func(key, value []byte) bool {
		if bad = errDamaged; len(key) == length {
			bad = visit(key, value)
		}
		return bad == nil
	})
	if err = errors.Join(err, bad); err != nil {
		return fmt.Errorf("read records %c: %w", kind, err)
	}
	return nil
}
