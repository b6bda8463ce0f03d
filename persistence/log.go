package persistence

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/messages"
)

// Log is the layout of all groups' Raft logs on one engine:
//
//	e<group><index>  an entry
//	h<group>         hard state: term, vote and commit in one record
//	s<group>         start of the log: what the state is at before the first entry
//
// <group> and <index> are 8 bytes, big endian. Each value is followed by a CRC-32C over key and value.
type Log struct{ engine Engine }

// OpenLog makes a Log on an engine. It reads nothing yet.
func OpenLog(engine Engine) *Log { return &Log{engine} }

const (
	kindEntry = 'e'
	kindHard  = 'h'
	kindStart = 's'
)

func groupKey(kind byte, group messages.GroupID) []byte {
	return binary.BigEndian.AppendUint64([]byte{kind}, uint64(group))
}

func entryKey(group messages.GroupID, index uint64) []byte {
	return binary.BigEndian.AppendUint64(groupKey(kindEntry, group), index)
}

// putRecord adds a record to batch whose checksum covers its key.
func putRecord(batch *Batch, key []byte, m proto.Message) error {
	if err := PutRecord(batch, key, key, m); err != nil {
		return fmt.Errorf("encode record %q: %w", key[:1], err)
	}
	return nil
}

// decodeRecord checks a record and decodes it into m. A damaged one is a CorruptError.
func decodeRecord(key, value []byte, m proto.Message) error {
	if err := DecodeRecord(value, key, m); err != nil {
		return corruptRecord(key, err.Error())
	}
	return nil
}

func corruptRecord(key []byte, what string) error {
	return &CorruptError{Where: describeKey(key), What: what + "; " + ReplaceNode}
}

func describeKey(key []byte) string {
	if string(key) == string(configKey) {
		return "copy of the config"
	}
	if bytes.HasPrefix(key, bootstrapPeerPrefix) {
		return "note of a node that may found a cluster"
	}
	if len(key) < 9 {
		return fmt.Sprintf("record %q", key)
	}
	group := binary.BigEndian.Uint64(key[1:])
	switch {
	case key[0] == kindHard:
		return fmt.Sprintf("hard state of group %d", group)
	case key[0] == kindStart:
		return fmt.Sprintf("start of the log of group %d", group)
	case key[0] == kindEntry && len(key) == 17:
		return fmt.Sprintf("log entry %d of group %d", binary.BigEndian.Uint64(key[9:]), group)
	}
	return fmt.Sprintf("record %q of group %d", key[0], group)
}

// Add adds the writes of a LogUpdate to batch. It does not touch the disk.
func (l *Log) Add(batch *Batch, s LogUpdate) error {
	all := groupKey(kindEntry, s.Group)
	if s.HardState != nil {
		if err := putRecord(batch, groupKey(kindHard, s.Group), s.HardState); err != nil {
			return err
		}
	}
	if s.Remove {
		batch.DeleteRange(all, PrefixEnd(all))
		batch.Delete(groupKey(kindStart, s.Group))
		return nil
	}
	if s.Snapshot != nil {
		batch.DeleteRange(all, PrefixEnd(all))
		if err := putRecord(batch, groupKey(kindStart, s.Group), s.Snapshot); err != nil {
			return err
		}
	}
	if s.Truncate != 0 {
		batch.DeleteRange(entryKey(s.Group, s.Truncate), PrefixEnd(all))
	}
	for _, entry := range s.Entries {
		if err := putRecord(batch, entryKey(s.Group, entry.Index), entry); err != nil {
			return err
		}
	}
	if s.Compact != nil {
		drop := s.Compact.Index + 1
		if s.Keep != 0 {
			drop = min(drop, s.Keep)
		}
		batch.DeleteRange(all, entryKey(s.Group, drop))
		return putRecord(batch, groupKey(kindStart, s.Group), s.Compact)
	}
	return nil
}

// Load reads a group's log and checks all of it. A group without a log has Snapshot.Index 0 and nothing else.
func (l *Log) Load(group messages.GroupID) (LoadedLog, error) {
	loaded := LoadedLog{HardState: &messages.HardState{}, Snapshot: &messages.SnapshotMeta{Conf: &messages.ConfState{}}}
	hard, err := readRecord(l.engine, groupKey(kindHard, group), loaded.HardState)
	if err != nil {
		return LoadedLog{}, err
	}
	start, err := readRecord(l.engine, groupKey(kindStart, group), loaded.Snapshot)
	if err != nil {
		return LoadedLog{}, err
	}
	if loaded.Entries, err = l.entries(group, loaded.Snapshot); err != nil {
		return LoadedLog{}, err
	}
	if loaded.FirstOnDisk, err = l.firstOnDisk(group); err != nil {
		return LoadedLog{}, err
	}
	if !hard && (start || len(loaded.Entries) > 0) {
		return LoadedLog{}, &CorruptError{
			Where: describeKey(groupKey(kindHard, group)), What: "it is missing though the log is there; " + ReplaceNode,
		}
	}
	return loaded, nil
}

func readRecord(r Reader, key []byte, into proto.Message) (bool, error) {
	value, found, err := r.Get(key)
	if err != nil || !found {
		return false, err
	}
	return true, decodeRecord(key, value, into)
}

// RecordReader reads single records of a group's log from any Reader, without owning the log: for tests and checks. A
// record that does not exist, or cannot be read, is nil.
type RecordReader struct {
	Reader Reader
	Group  messages.GroupID
}

// HardState is the group's term, vote and commit index.
func (g RecordReader) HardState() *messages.HardState {
	return readOrNil(g.Reader, groupKey(kindHard, g.Group), new(messages.HardState))
}

// Start is the state before the first entry.
func (g RecordReader) Start() *messages.SnapshotMeta {
	return readOrNil(g.Reader, groupKey(kindStart, g.Group), new(messages.SnapshotMeta))
}

// Entry is the entry at an index.
func (g RecordReader) Entry(index uint64) *messages.Entry {
	return readOrNil(g.Reader, entryKey(g.Group, index), new(messages.Entry))
}

// Term is the term of the entry at an index; 0: there is none. The entry's data is not copied.
func (g RecordReader) Term(index uint64) (term uint64) {
	key := entryKey(g.Group, index)
	value, _, err := g.Reader.Get(key)
	if err != nil {
		return 0
	}
	body, err := CheckRecord(value, key)
	if err != nil {
		return 0
	}
	for len(body) > 0 {
		number, kind, n := protowire.ConsumeTag(body)
		if n < 0 {
			return 0
		}
		if body = body[n:]; number == termField && kind == protowire.VarintType {
			term, _ = protowire.ConsumeVarint(body)
		}
		if n = protowire.ConsumeFieldValue(number, kind, body); n < 0 {
			return 0
		}
		body = body[n:]
	}
	return term
}

// termField is the number of the field term of an Entry.
const termField = 2

func readOrNil[M proto.Message](from Reader, key []byte, into M) (none M) {
	if found, err := readRecord(from, key, into); !found || err != nil {
		return none
	}
	return into
}

// firstOnDisk is the index of the first entry, 0 if there is none.
func (l *Log) firstOnDisk(group messages.GroupID) (first uint64, err error) {
	prefix := groupKey(kindEntry, group)
	err = l.engine.Scan(prefix, PrefixEnd(prefix), func(key, _ []byte) bool {
		if len(key) == 17 {
			first = binary.BigEndian.Uint64(key[9:])
		}
		return false
	})
	return first, err
}

// entries are all entries behind the start of the log.
func (l *Log) entries(group messages.GroupID, start *messages.SnapshotMeta) ([]*messages.Entry, error) {
	var entries []*messages.Entry
	var bad error
	next, term := start.Index+1, start.Term
	err := l.engine.Scan(entryKey(group, next), PrefixEnd(groupKey(kindEntry, group)), func(key, value []byte) bool {
		var entry *messages.Entry
		if entry, bad = decodeEntry(key, value, next, term); bad != nil {
			return false
		}
		entries = append(entries, entry)
		next, term = next+1, entry.Term
		return true
	})
	return entries, cmp.Or(err, bad)
}

// ReadRange reads the entries from, ..., to: at least two of them, and of the others as many as fit into a number of bytes; none if the
// entry at from has been deleted. It may be called while the Writer writes or compacts the log.
func (l *Log) ReadRange(group messages.GroupID, from, to uint64, bytes int) ([]*messages.Entry, error) {
	var entries []*messages.Entry
	var bad error
	next, term := from, uint64(0)
	err := l.engine.Scan(entryKey(group, from), entryKey(group, to+1), func(key, value []byte) bool {
		if bytes -= len(value); bytes < 0 && len(entries) >= 2 || next == from && string(key) != string(entryKey(group, from)) {
			return false
		}
		var entry *messages.Entry
		if entry, bad = decodeEntry(key, value, next, term); bad != nil {
			return false
		}
		entries = append(entries, entry)
		next, term = next+1, entry.Term
		return true
	})
	if err = cmp.Or(err, bad); err != nil {
		return nil, err
	}
	return entries, nil
}

// decodeEntry checks the record of an entry that must be at index, in this term or a later one, and decodes it.
func decodeEntry(key, value []byte, index, term uint64) (*messages.Entry, error) {
	entry := new(messages.Entry)
	if err := decodeRecord(key, value, entry); err != nil {
		return nil, err
	}
	if entry.Index != index || len(key) != 17 || binary.BigEndian.Uint64(key[9:]) != index {
		return nil, &CorruptError{Where: describeKey(key), What: fmt.Sprintf("entry %d should be here; %s", index, ReplaceNode)}
	}
	if entry.Term < term {
		return nil, &CorruptError{Where: describeKey(key), What: fmt.Sprintf("its term %d is below %d; %s", entry.Term, term, ReplaceNode)}
	}
	return entry, nil
}

// Groups lists the groups that have a log, ascending. Of a group that was removed only the hard state is left, which is checked here: no
// one else reads it before the replica is a member again.
func (l *Log) Groups() ([]messages.GroupID, error) {
	var known, groups []messages.GroupID
	var bad error
	err := l.engine.Scan([]byte{kindHard}, []byte{kindHard + 1}, func(key, value []byte) bool {
		if len(key) != 9 {
			return true
		}
		bad = decodeRecord(key, value, new(messages.HardState))
		known = append(known, messages.GroupID(binary.BigEndian.Uint64(key[1:])))
		return bad == nil
	})
	if err = cmp.Or(err, bad); err != nil {
		return nil, err
	}
	for _, group := range known {
		_, found, err := l.engine.Get(groupKey(kindStart, group))
		if err != nil {
			return nil, err
		}
		if found {
			groups = append(groups, group)
		}
	}
	return groups, nil
}
