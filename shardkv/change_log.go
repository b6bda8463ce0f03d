package shardkv

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/persistence"
)

// The change log of a bucket has what was changed since its migration began, in order. Reading it is one scan, and needs none
// of the bucket's other records.
//
//	t<bucket><position>  changedBytes up to and with this entry, as a varint; then the kind of the record, its name behind
//	                     its length, and its value
//
// An entry of kind 'd' has a key and its new value, empty if the key was deleted. An entry of kind 's' has the name of a
// command that was answered, and no value: most replies are acknowledged before the destination asks for them, so the
// reader looks up what is still kept.

func changeKey(id uint32, position uint64) []byte {
	return binary.BigEndian.AppendUint64(bucketKey('t', id), position)
}

// changeOverhead is the bytes that an entry counts beside the record's name and value.
const changeOverhead = 16

// appendChange appends an entry if the bucket migrates.
func (m *Machine) appendChange(tx persistence.Tx, id uint32, b *bucket, kind byte, name, value []byte) {
	if b.state != Migrating {
		return
	}
	b.appendChange(tx, id, kind, name, value)
	m.markDirty(id, b)
}

// appendReply appends the name of a command that was answered, if the bucket migrates. Its reply counts as changed bytes.
func (m *Machine) appendReply(tx persistence.Tx, id uint32, b *bucket, r *savedReply) {
	if b.state == Migrating {
		b.changedBytes += uint64(r.bytes - savedReplyOverhead)
		m.appendChange(tx, id, b, sessionPair, commandName(r.session, r.seq), nil)
	}
}

// appendChange writes the entry behind the newest one. The caller has the record of the bucket written (markDirty).
func (b *bucket) appendChange(tx persistence.Tx, id uint32, kind byte, name, value []byte) {
	b.logPosition++
	b.changedBytes += uint64(changeOverhead + len(name) + len(value))
	entry := append(binary.AppendUvarint(make([]byte, 0, len(name)+len(value)+changeOverhead), b.changedBytes), kind)
	tx.Put(changeKey(id, b.logPosition), append(appendBytes(entry, name), value...))
}

func decodeChange(entry []byte) (changedBytes uint64, p *messages.Pair, err error) {
	f := recordReader{rest: entry}
	changedBytes = f.number()
	if len(f.rest) == 0 {
		return 0, nil, errCorrupt
	}
	kind := f.rest[0]
	f.rest = f.rest[1:]
	key := append([]byte{kind}, f.bytes()...)
	return changedBytes, &messages.Pair{Key: key, Value: bytes.Clone(f.rest)}, f.err
}

// changedBytesAt is how many bytes had been changed at a position of the change log; 0 at its beginning.
func (s *source) changedBytesAt(position uint64) (uint64, error) {
	entry, found, err := s.store.Get(changeKey(s.id, position))
	if err != nil || !found || position <= s.bucket.base {
		return 0, err
	}
	changedBytes, _, err := decodeChange(entry)
	return changedBytes, err
}

// readChanges fills a chunk with what was changed behind the pull's position. A record that changed several times is there
// once, with its newest value. With ChangesOnly a record behind the cursor is left out: the copy reads it later.
func (s *source) readChanges(p *messages.BucketPull, chunk *messages.BucketChunk) error {
	chunk.Copied, chunk.ChangeLogPosition = p.Copied, p.ChangeLogPosition
	if !p.Copied {
		chunk.Cursor = p.After
	}
	r := &changeReader{
		source: s, pull: p, chunk: chunk, maxBytes: uint64(limit(p.MaxBytes, defaultChunkBytes, maxChunkBytes)), pairs: map[string]*messages.Pair{},
		replies: changedReplies{sessions: s.sessions, bucket: s.id, parts: map[uint64]*session{}},
	}
	prefix := bucketKey('t', s.id)
	var bad error
	err := s.store.Scan(changeKey(s.id, p.ChangeLogPosition), persistence.PrefixEnd(prefix), func(key, entry []byte) (more bool) {
		more, bad = r.take(binary.BigEndian.Uint64(key[len(prefix):]), entry)
		return more && bad == nil
	})
	b := s.bucket
	chunk.BacklogBytes, chunk.Last = b.changedBytes-r.endBytes, p.Copied && b.state == Frozen && !r.full
	if err = errors.Join(err, bad); err != nil {
		return fmt.Errorf("read the change log of bucket %d: %w", s.id, err)
	}
	sessions, err := r.replies.encode()
	chunk.Pairs = append(chunk.Pairs, sessions...)
	return err
}

// changeReader collects the changes of one chunk.
type changeReader struct {
	source   *source
	pull     *messages.BucketPull
	chunk    *messages.BucketChunk
	pairs    map[string]*messages.Pair // those taken, by key
	replies  changedReplies            // those taken of kind 's'
	maxBytes uint64                    // changed bytes that one chunk covers; the first entry is taken whatever its size
	full     bool

	beginBytes, endBytes uint64 // changedBytes where the chunk begins and ends
}

// take takes one entry of the change log, and reports whether the next one may follow.
func (r *changeReader) take(position uint64, entry []byte) (more bool, err error) {
	changedBytes, pair, err := decodeChange(entry)
	if err != nil {
		return false, err
	}
	if position == r.pull.ChangeLogPosition { // received already; it only says how many bytes lie before it
		r.beginBytes, r.endBytes = changedBytes, changedBytes
		return true, nil
	}
	many := len(r.chunk.Pairs)+len(r.replies.parts) >= maxChunkPairs && r.source.bucket.state != Frozen
	large := position > r.pull.ChangeLogPosition+1 && changedBytes-r.beginBytes+r.replies.extraBytes > r.maxBytes
	if r.full = large || many; r.full {
		return false, nil
	}
	if known := r.pairs[string(pair.Key)]; known != nil {
		known.Value = pair.Value
	} else if r.pull.Copied || alreadyCopied(r.pull.After, pair.Key) {
		r.pairs[string(pair.Key)] = pair
		if pair.Key[0] == sessionPair {
			err = r.replies.add(pair.Key[1:])
		} else {
			r.chunk.Pairs = append(r.chunk.Pairs, pair)
		}
	}
	r.chunk.ChangeLogPosition, r.endBytes = position, changedBytes
	return true, err
}

// changedReplies are the sessions that a chunk of changes tells of: up to where each has acknowledged replies, and those of
// the named commands whose replies are still kept. They come from memory, since the store has them only at the end of the state
// batch. A session that was forgotten since is left out; that the destination knows it longer does no harm.
type changedReplies struct {
	sessions   *sessionTable
	bucket     uint32
	parts      map[uint64]*session // by session id, with the replies that travel
	order      []*session          // parts, in the order in which they were first named
	extraBytes uint64              // bytes of replies that the entries do not count
}

// add takes the name of an answered command. A name of 8 bytes has the session only, as older programs wrote it: then all
// replies kept of it in the bucket travel.
func (c *changedReplies) add(name []byte) error {
	if len(name) != 8 && len(name) != 16 {
		return errCorrupt
	}
	s := c.sessions.all[binary.BigEndian.Uint64(name)]
	if s == nil {
		return nil
	}
	part := c.parts[s.id]
	if part == nil {
		part = &session{id: s.id, acked: s.acked, noDeadlineUseMs: s.noDeadlineUseMs, lastUse: s.lastUse, deadlineMs: s.deadlineMs}
		c.parts[s.id] = part
		c.order = append(c.order, part)
	}
	if len(name) == 16 {
		if i, found := s.find(c.bucket, binary.BigEndian.Uint64(name[8:])); found {
			part.replies = append(part.replies, s.replies[i])
		}
		return nil
	}
	for _, r := range s.replies {
		if r.bucket == c.bucket {
			part.replies = append(part.replies, r)
			c.extraBytes += uint64(r.bytes - savedReplyOverhead)
		}
	}
	return nil
}

// encode makes a pair of each session.
func (c *changedReplies) encode() (all []*messages.Pair, err error) {
	for _, s := range c.order {
		slices.SortFunc(s.replies, func(a, b *savedReply) int { return cmp.Compare(a.seq, b.seq) })
		s.replies = slices.Compact(s.replies)
		key := binary.BigEndian.AppendUint64([]byte{sessionPair}, s.id)
		record, err := encodeMigratedSession(s, s.replies)
		if err != nil {
			return nil, err
		}
		all = append(all, &messages.Pair{Key: key, Value: record})
	}
	return all, nil
}
