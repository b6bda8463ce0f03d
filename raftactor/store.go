package raftactor

import (
	"encoding/binary"
	"fmt"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/persistence"
)

// store is a group's part of the node's state engine:
//
//	d<group><key>     the Machine's data
//	a<group>          applied record: index, term, log time and conf that the data is at
//	s<group>c<n>      chunk n of a snapshot that is arriving
//	s<group>m         that snapshot is complete and durable; its meta
//	s<group>p         how many chunks of which transfer there are, a SnapshotAck
//	i<group>          that snapshot is being installed: until this record goes, the data is half old, half new
//
// <group> is 8 bytes, big endian. The records a, m and i are SnapshotMeta with a CRC-32C.
type store struct {
	engine persistence.Engine
	group  messages.GroupID
}

const (
	kindData       = 'd'
	kindApplied    = 'a'
	kindStaging    = 's'
	kindInstalling = 'i'
)

func (s store) key(kind byte, rest ...byte) []byte {
	key := make([]byte, 1, 9+len(rest))
	key[0] = kind
	return append(binary.BigEndian.AppendUint64(key, uint64(s.group)), rest...)
}

func (s store) dataPrefix() []byte    { return s.key(kindData) }
func (s store) stagingPrefix() []byte { return s.key(kindStaging) }
func (s store) stagedKey() []byte     { return s.key(kindStaging, 'm') }

func (s store) progressKey() []byte { return s.key(kindStaging, 'p') }

// progress is how much of an arriving snapshot is staged: which transfer, and the number of the next chunk.
func (s store) progress() (*messages.SnapshotAck, error) {
	progress := new(messages.SnapshotAck)
	value, _, err := s.engine.Get(s.progressKey())
	if err != nil {
		return nil, fmt.Errorf("read progress of a snapshot of group %d: %w", s.group, err)
	}
	if err := proto.Unmarshal(value, progress); err != nil {
		return nil, &persistence.CorruptError{
			Where: fmt.Sprintf("staging area of group %d", s.group), What: "a record cannot be read",
		}
	}
	return progress, nil
}

func (s store) chunkKey(number uint64) []byte {
	return binary.BigEndian.AppendUint64(s.key(kindStaging, 'c'), number)
}

// data reads the Machine's keys.
func (s store) data() persistence.Reader { return persistence.Scope(s.engine, s.dataPrefix()) }

// Size is about how many bytes the Machine's keys of [low, high) take that a group has on an engine. Safe from anywhere.
func Size(engine persistence.Engine, group messages.GroupID, low, high []byte) (uint64, error) {
	prefix := store{engine, group}.dataPrefix()
	return engine.Size(append(slices.Clone(prefix), low...), append(slices.Clone(prefix), high...))
}

// meta reads a record of kind a, m or i; nil if there is none.
func (s store) meta(r persistence.Reader, key []byte) (*messages.SnapshotMeta, error) {
	value, found, err := r.Get(key)
	if err != nil {
		return nil, fmt.Errorf("read state record of group %d: %w", s.group, err)
	}
	if !found {
		return nil, nil
	}
	meta := new(messages.SnapshotMeta)
	if persistence.DecodeRecord(value, nil, meta) != nil {
		return nil, &persistence.CorruptError{
			Where: fmt.Sprintf("state record %q of group %d", key[0], s.group),
			What:  "checksum or format is wrong; remove this node and let it join again with an empty data directory",
		}
	}
	return meta, nil
}

// applied is what the data is at; without a record it is at index 0.
func (s store) applied(r persistence.Reader) (*messages.SnapshotMeta, error) {
	meta, err := s.meta(r, s.key(kindApplied))
	if meta == nil && err == nil {
		meta = &messages.SnapshotMeta{Conf: &messages.ConfState{}}
	}
	return meta, err
}

func (s store) putMeta(batch *persistence.Batch, key []byte, meta *messages.SnapshotMeta) error {
	if err := persistence.PutRecord(batch, key, nil, meta); err != nil {
		return fmt.Errorf("encode state record: %w", err)
	}
	return nil
}

// recoverStore finishes an installation that a crash interrupted, and returns what the data is at. logStart is the state before the first
// entry of the log: data that is older must come from a staged snapshot, or the disk has lost something.
func (s store) recoverStore(logStart *messages.SnapshotMeta) (*messages.SnapshotMeta, error) {
	installing, err := s.meta(s.engine, s.key(kindInstalling))
	if err != nil {
		return nil, err
	}
	if installing != nil {
		return installing, s.install(installing)
	}
	applied, err := s.applied(s.engine)
	if err != nil || applied.Index >= logStart.GetIndex() {
		return applied, err
	}
	if applied.Index == 0 && logStart.Index == 1 {
		// A new group: its log starts behind an empty state.
		batch := new(persistence.Batch)
		if err := s.putMeta(batch, s.key(kindApplied), logStart); err != nil {
			return nil, err
		}
		return logStart, s.engine.Write(batch, true)
	}
	staged, err := s.meta(s.engine, s.stagedKey())
	if err != nil {
		return nil, err
	}
	if staged == nil || staged.Index < logStart.Index {
		return nil, &persistence.CorruptError{
			Where: fmt.Sprintf("state of group %d", s.group),
			What: fmt.Sprintf("it is at index %d but its log starts after %d; remove this node and let it join "+
				"again with an empty data directory", applied.Index, logStart.Index),
		}
	}
	return staged, s.install(staged)
}

// wipe deletes everything of the group.
func (s store) wipe(batch *persistence.Batch) {
	for _, kind := range []byte{kindData, kindApplied, kindStaging, kindInstalling} {
		batch.DeleteRange(s.key(kind), persistence.PrefixEnd(s.key(kind)))
	}
}

// DeleteOrphans deletes what an engine has of groups that have no log any more: a crash may bring back the data of a replica that
// was destroyed, or leave a snapshot that never arrived as a whole. It is called before any replica starts.
func DeleteOrphans(engine persistence.Engine, logs []messages.GroupID) error {
	batch := new(persistence.Batch)
	for _, kind := range []byte{kindData, kindApplied, kindStaging, kindInstalling} {
		for low, more := []byte{kind}, true; more; {
			more = false
			err := engine.Scan(low, []byte{kind + 1}, func(key, _ []byte) bool {
				if len(key) < 9 {
					return true // not of a group
				}
				s := store{engine, messages.GroupID(binary.BigEndian.Uint64(key[1:]))}
				if !slices.Contains(logs, s.group) {
					s.wipe(batch)
				}
				low, more = persistence.PrefixEnd(s.key(kind)), true
				return false
			})
			if err != nil {
				return fmt.Errorf("look for groups without a log: %w", err)
			}
		}
	}
	if batch.Len() == 0 {
		return nil
	}
	return engine.Write(batch, false)
}

// installBytes is about how much of a staged snapshot goes into one engine write.
const installBytes = 1 << 20

// install replaces the data by the staged snapshot. If a crash interrupts it, recoverStore finishes it.
func (s store) install(meta *messages.SnapshotMeta) error {
	batch := new(persistence.Batch)
	if err := s.putMeta(batch, s.key(kindInstalling), meta); err != nil {
		return err
	}
	batch.DeleteRange(s.dataPrefix(), persistence.PrefixEnd(s.dataPrefix()))
	if err := s.engine.Write(batch, true); err != nil {
		return fmt.Errorf("install snapshot of group %d: %w", s.group, err)
	}
	if err := s.copyStaged(); err != nil {
		return fmt.Errorf("install snapshot of group %d: %w", s.group, err)
	}
	batch = new(persistence.Batch)
	if err := s.putMeta(batch, s.key(kindApplied), meta); err != nil {
		return err
	}
	batch.Delete(s.key(kindInstalling))
	batch.DeleteRange(s.stagingPrefix(), persistence.PrefixEnd(s.stagingPrefix()))
	if err := s.engine.Write(batch, true); err != nil {
		return fmt.Errorf("install snapshot of group %d: %w", s.group, err)
	}
	return nil
}

// copyStaged copies one staged chunk after the other into the data: an engine must not be written from within a scan of it.
func (s store) copyStaged() error {
	progress, err := s.progress()
	if err != nil {
		return err
	}
	batch, prefix := new(persistence.Batch), s.dataPrefix()
	var record *messages.Pair // the record read last; more of its value may follow in the next chunk
	put := func() {
		if record != nil {
			batch.Put(append(prefix[:len(prefix):len(prefix)], record.Key...), record.Value)
		}
	}
	for number := range progress.Number {
		value, found, err := s.engine.Get(s.chunkKey(number))
		if err != nil {
			return err
		}
		chunk := new(messages.SnapshotChunk)
		if !found || proto.Unmarshal(value, chunk) != nil {
			return &persistence.CorruptError{
				Where: fmt.Sprintf("staging area of group %d", s.group),
				What:  fmt.Sprintf("chunk %d of %d is missing or cannot be read; %s", number, progress.Number, persistence.ReplaceNode),
			}
		}
		for i, pair := range chunk.Pairs {
			if i == 0 && chunk.Offset > 0 && record != nil {
				record.Value = append(record.Value, pair.Value...)
				continue
			}
			put()
			record = pair
		}
		if batch.Bytes() < installBytes {
			continue
		}
		if err := s.engine.Write(batch, false); err != nil {
			return err
		}
		batch = new(persistence.Batch)
	}
	if put(); batch.Len() == 0 {
		return nil
	}
	return s.engine.Write(batch, false)
}

// checksum covers the pairs of a chunk, and the offset if there is one: a receiver of an older version, which knows no values in several
// chunks, must not accept such a chunk.
func checksum(c *messages.SnapshotChunk) uint32 {
	var sum uint32
	cover := func(size uint64, part []byte) {
		sum = persistence.CRC32C(sum, binary.BigEndian.AppendUint32(nil, uint32(size)), part)
	}
	if c.Offset > 0 {
		cover(c.Offset, nil)
	}
	for _, pair := range c.Pairs {
		cover(uint64(len(pair.Key)), pair.Key)
		cover(uint64(len(pair.Value)), pair.Value)
	}
	return sum
}
