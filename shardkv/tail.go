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

// The tail of a bucket that is given is what has changed since the giving began, in order: reading it is one scan, and
// asks for nothing where the bucket's other records are.
//
//	t<bucket><seq>  bytes changed up to and with this entry, as a varint; then a record's kind, name behind its length, and value

func changeKey(id uint32, seq uint64) []byte {
	return binary.BigEndian.AppendUint64(bucketKey('t', id), seq)
}

// note appends an entry, if the bucket is given. The value is the record's new one, empty if it is deleted. The bucket's own
// record is written at the end of the turn.
func (m *Machine) appendChange(tx persistence.Tx, id uint32, b *bucket, kind byte, name, value []byte) {
	if b.state != Migrating {
		return
	}
	b.logPosition++
	b.changedBytes += uint64(changeOverhead + len(name) + len(value))
	entry := append(binary.AppendUvarint(make([]byte, 0, len(name)+len(value)+changeOverhead), b.changedBytes), kind)
	tx.Put(changeKey(id, b.logPosition), append(appendBytes(entry, name), value...))
	m.markDirty(id, b)
}

// appendReply notes that a command has been answered. The entry has its name only: most replies are acknowledged before the
// taker asks for them, and then it hears only of that.
func (m *Machine) appendReply(tx persistence.Tx, id uint32, b *bucket, a *savedReply) {
	if b.state == Migrating {
		b.changedBytes += uint64(a.bytes - savedReplyOverhead)
		m.appendChange(tx, id, b, 's', commandName(a.session, a.seq), nil)
	}
}

// changeOverhead is what a change costs beside its key and value.
const changeOverhead = 16

// bound calls a hand-over off whose tail grows without anybody taking it.
func (m *Machine) abortOversized(tx persistence.Tx, id uint32, b *bucket) {
	if b.state == Migrating && b.changedBytes > b.maxChangedBytes {
		m.clearChangeLog(tx, id, b)
		m.putBucket(tx, id, &bucket{state: Serving, configVersion: b.configVersion, versionCounter: b.versionCounter, logPosition: b.logPosition, minTimeMs: b.minTimeMs})
	}
}

func (m *Machine) clearChangeLog(tx persistence.Tx, id uint32, b *bucket) {
	if b.logPosition > b.base {
		tx.DeletePrefix(bucketKey('t', id))
	}
}

// fillChangesChunk fills a chunk with what has changed behind a position of the tail. A record that changed often is there once;
// one that is copied later is not there.
func (m *Machine) fillChangesChunk(store persistence.Reader, b *bucket, p *messages.BucketPull, chunk *messages.BucketChunk) error {
	var came, reached uint64 // bytes changed up to where the chunk begins, and ends
	known, full, bad, size := map[string]*messages.Pair{}, false, error(nil), uint64(limit(p.MaxBytes, defaultChunkBytes, maxChunkBytes))
	noted := changedSessions{machine: m, bucket: p.Bucket, parts: map[uint64]*session{}}
	chunk.Copied, chunk.ChangeLogPosition = p.Copied, p.ChangeLogPosition
	if !p.Copied {
		chunk.Cursor = p.After
	}
	prefix := bucketKey('t', p.Bucket)
	err := store.Scan(changeKey(p.Bucket, p.ChangeLogPosition), persistence.PrefixEnd(prefix), func(key, value []byte) bool {
		changed, pair, err := decodeChange(value)
		if bad = err; bad != nil {
			return false
		}
		seq := binary.BigEndian.Uint64(key[len(prefix):])
		if seq == p.ChangeLogPosition {
			came, reached = changed, changed
			return true
		}
		many := len(chunk.Pairs)+len(noted.parts) >= maxChunkPairs && b.state != Frozen
		if full = seq > p.ChangeLogPosition+1 && changed-came+noted.extraBytes > size || many; full {
			return false
		}
		if before := known[string(pair.Key)]; before != nil {
			before.Value = pair.Value
		} else if p.Copied || alreadyCopied(p.After, pair.Key) {
			known[string(pair.Key)] = pair
			if pair.Key[0] == 's' {
				bad = noted.add(pair.Key[1:])
			} else {
				chunk.Pairs = append(chunk.Pairs, pair)
			}
		}
		chunk.ChangeLogPosition, reached = seq, changed
		return bad == nil
	})
	chunk.BacklogBytes, chunk.Last = b.changedBytes-reached, p.Copied && b.state == Frozen && !full
	if err = errors.Join(err, bad); err != nil {
		return fmt.Errorf("read the tail of bucket %d: %w", p.Bucket, err)
	}
	sessions, err := noted.pairs()
	chunk.Pairs = append(chunk.Pairs, sessions...)
	return err
}

// changedSessions are those of which a chunk of the tail tells: up to where they have acknowledged replies, and the replies that
// were noted and are still kept. They come from memory: they may not be in the store before the end of the turn. One that is
// forgotten since is left out; that the taker knows it longer does no harm.
type changedSessions struct {
	machine    *Machine
	bucket     uint32
	parts      map[uint64]*session
	order      []*session
	extraBytes uint64 // bytes beyond those that the entries count
}

// add takes the name of an answer. Versions before noted only the session: then all that is kept of it in the bucket goes along.
func (n *changedSessions) add(name []byte) error {
	if len(name) != 8 && len(name) != 16 {
		return errCorrupt
	}
	s := n.machine.sessions.all[binary.BigEndian.Uint64(name)]
	if s == nil {
		return nil
	}
	part := n.parts[s.id]
	if part == nil {
		part = &session{id: s.id, acked: s.acked, noDeadlineUseMs: s.noDeadlineUseMs, lastUse: s.lastUse, deadlineMs: s.deadlineMs}
		n.parts[s.id] = part
		n.order = append(n.order, part)
	}
	if len(name) == 16 {
		if i, found := s.find(n.bucket, binary.BigEndian.Uint64(name[8:])); found {
			part.replies = append(part.replies, s.replies[i])
		}
		return nil
	}
	for _, a := range s.replies {
		if a.bucket == n.bucket {
			part.replies = append(part.replies, a)
			n.extraBytes += uint64(a.bytes - savedReplyOverhead)
		}
	}
	return nil
}

func (n *changedSessions) pairs() (all []*messages.Pair, err error) {
	for _, s := range n.order {
		slices.SortFunc(s.replies, func(a, b *savedReply) int { return cmp.Compare(a.seq, b.seq) })
		s.replies = slices.Compact(s.replies)
		key := binary.BigEndian.AppendUint64([]byte{'s'}, s.id)
		record, err := encodeMigratedSession(s, s.replies)
		if err != nil {
			return nil, err
		}
		all = append(all, &messages.Pair{Key: key, Value: record})
	}
	return all, nil
}

// changedBytesAt is how many bytes have changed up to where a pull stands in the tail.
func changedBytesAt(store persistence.Reader, b *bucket, p *messages.BucketPull) (uint64, error) {
	entry, found, err := store.Get(changeKey(p.Bucket, p.ChangeLogPosition))
	if err != nil || !found || p.ChangeLogPosition <= b.base {
		return 0, err
	}
	changed, _, err := decodeChange(entry)
	return changed, err
}

func decodeChange(value []byte) (changed uint64, p *messages.Pair, err error) {
	f := recordReader{rest: value}
	changed = f.number()
	if len(f.rest) == 0 {
		return 0, nil, errCorrupt
	}
	kind := f.rest[0]
	f.rest = f.rest[1:]
	key := append([]byte{kind}, f.bytes()...)
	return changed, &messages.Pair{Key: key, Value: bytes.Clone(f.rest)}, f.err
}
