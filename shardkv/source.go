package shardkv

import (
	"encoding/binary"
	"errors"
	"math"
	"slices"

	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/persistence"
)

// source reads a bucket for the group that imports it, chunk by chunk. It writes nothing and keeps nothing: the pull says
// where the destination is, so any replica of the source may answer the next one.
//
// The destination first pulls a copy of every record, in the order of pairKinds and of keys, each chunk as the records are at
// that moment. Then it pulls what has changed since the migration began (changeReader). If much changes while the copy is
// under way, a pull asks for changes of what was copied already (ChangesOnly).
type source struct {
	store    persistence.Reader
	id       uint32  // the bucket
	bucket   *bucket // its record; nil: unknown here
	sessions *sessionTable
}

// status is a chunk without pairs. It says how the bucket stands with respect to the pull's migration.
func (s *source) status(p *messages.BucketPull) *messages.BucketChunk {
	chunk := &messages.BucketChunk{Bucket: s.id, ConfigVersion: p.ConfigVersion, Base: p.Base, Number: p.Number}
	chunk.NotReady, chunk.Abandoned = s.bucket.standing(p.ConfigVersion)
	return chunk
}

// first is chunk 0 of a migration, the answer to StartMigration: it says where the change log begins.
func (s *source) first(version uint64) *messages.BucketChunk {
	chunk := s.status(&messages.BucketPull{ConfigVersion: version})
	if b := s.bucket; !chunk.Abandoned && !chunk.NotReady {
		chunk.Base, chunk.ChangeLogPosition, chunk.VersionCounter, chunk.BacklogBytes = b.base, b.base, b.versionCounter, b.changedBytes
		chunk.Checksum = Checksum(chunk)
	}
	return chunk
}

// read answers a pull.
func (s *source) read(p *messages.BucketPull) (*messages.BucketChunk, error) {
	chunk := s.status(p)
	b := s.bucket
	chunk.NotReady = chunk.NotReady || !chunk.Abandoned && b.base != p.Base
	if chunk.Abandoned || chunk.NotReady {
		return chunk, nil
	}
	chunk.VersionCounter = b.versionCounter
	if b.state == Frozen {
		chunk.TimeMs = b.minTimeMs
	}
	fill := s.copyRecords
	if p.Copied || p.ChangesOnly {
		fill = s.readChanges
	}
	if err := fill(p, chunk); err != nil {
		return nil, err
	}
	chunk.Checksum = Checksum(chunk)
	return chunk, nil
}

// copyRecords fills a chunk with the records behind the pull's cursor, as they are now.
func (s *source) copyRecords(p *messages.BucketPull, chunk *messages.BucketChunk) error {
	received, err := s.changedBytesAt(p.ChangeLogPosition)
	if err != nil {
		return err
	}
	chunk.ChangeLogPosition, chunk.BacklogBytes = p.ChangeLogPosition, s.bucket.changedBytes-received
	b := &chunkBuilder{chunk: chunk, maxBytes: limit(p.MaxBytes, defaultChunkBytes, maxChunkBytes)}
	if len(p.After) == 0 || p.After[0] == sessionPair {
		err = s.copySessions(p.After, b)
	}
	if err == nil && !b.full {
		err = s.copyData(p.After, b)
	}
	chunk.Copied = !b.full
	return err
}

// copySessions copies what sessions did in the bucket: of every session of the group up to where it has acknowledged
// replies, and the replies of this bucket that it has not. after is the cursor: the session copied last, and up to which seq.
func (s *source) copySessions(after []byte, b *chunkBuilder) error {
	var last, lastSeq uint64
	low := []byte{'f'}
	if len(after) >= 9 {
		last, lastSeq = binary.BigEndian.Uint64(after[1:]), math.MaxUint64
		if len(after) == 17 { // a cursor of a program that had one record for each session has no seq
			lastSeq = binary.BigEndian.Uint64(after[9:])
		}
		low = sessionKey(last)
	}
	var bad error
	err := s.store.Scan(low, []byte{'f' + 1}, func(key, _ []byte) bool {
		id, from := binary.BigEndian.Uint64(key[1:]), uint64(0)
		if len(after) > 0 && id == last {
			if lastSeq == math.MaxUint64 {
				return true
			}
			from = lastSeq + 1
		}
		for session := s.sessions.all[id]; session != nil; {
			record, upTo, err := session.exportFrom(s.id, from)
			if bad = err; bad != nil {
				return false
			}
			cursor := append([]byte{sessionPair}, commandName(id, upTo)...)
			if !b.add(cursor[:9:9], record, cursor) {
				return false
			}
			if upTo == math.MaxUint64 {
				break
			}
			from = upTo + 1
		}
		return true
	})
	return errors.Join(err, bad)
}

// copyData copies keys and values. after is the cursor: the key copied last.
func (s *source) copyData(after []byte, b *chunkBuilder) error {
	prefix := bucketKey('d', s.id)
	low := prefix
	if len(after) > 0 && after[0] == dataPair {
		low = append(append(slices.Clone(prefix), after[1:]...), 0)
	}
	return s.store.Scan(low, persistence.PrefixEnd(prefix), func(key, value []byte) bool {
		key = append([]byte{dataPair}, key[len(prefix):]...)
		return b.add(key, slices.Clone(value), key)
	})
}
