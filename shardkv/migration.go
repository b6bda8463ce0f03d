package shardkv

import (
	"fmt"

	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/persistence"
)

// This file carries out the commands of a migration. Each comes from the group's log, asks the state machine (bucket.go)
// for a transition, and writes it in the same atomic batch. Every command is idempotent: one that comes late, or twice,
// changes nothing.

// applyShard applies a command about the ownership of buckets.
func (m *Machine) applyShard(tx persistence.Tx, at persistence.Position, c *messages.ShardCommand) (*messages.Reply, error) {
	switch op := c.Op.(type) {
	case *messages.ShardCommand_CreateBuckets:
		m.createBuckets(tx, op.CreateBuckets)
	case *messages.ShardCommand_StartMigration:
		return m.startMigration(tx, op.StartMigration), nil
	case *messages.ShardCommand_FreezeBucket:
		if pull := op.FreezeBucket.GetPull(); pull != nil {
			return m.freezeBucket(tx, at, pull)
		}
	case *messages.ShardCommand_ImportChunk:
		return m.importChunk(tx, at, op.ImportChunk)
	case *messages.ShardCommand_DeleteMigrated:
		return m.deleteMigrated(tx, op.DeleteMigrated), nil
	case *messages.ShardCommand_ResumeServing:
		m.apply(tx, op.ResumeServing.Bucket, m.buckets[op.ResumeServing.Bucket].resume(op.ResumeServing))
	default:
		return nil, fmt.Errorf("unknown shard command %T in the log: a newer eraft wrote it", c.Op)
	}
	return &messages.Reply{}, nil
}

func (m *Machine) createBuckets(tx persistence.Tx, c *messages.CreateBuckets) {
	for _, id := range c.Buckets {
		if int(id) < m.bucketCount {
			m.apply(tx, id, m.buckets[id].create(c.ConfigVersion))
		}
	}
}

// startMigration replies with chunk 0, which has no pairs: it says at which position of the change log the migration
// begins, or that the bucket is released.
func (m *Machine) startMigration(tx persistence.Tx, s *messages.StartMigration) *messages.Reply {
	if int64(s.Bucket) >= int64(m.bucketCount) {
		return m.noSuchBucket(s.Bucket)
	}
	m.apply(tx, s.Bucket, m.buckets[s.Bucket].startMigration(s))
	return &messages.Reply{Chunk: m.source(tx, s.Bucket).first(s.ConfigVersion)}
}

// freezeBucket replies with what a read of the pull would give now: after the transition that is the rest of the changes,
// or the first part of it.
func (m *Machine) freezeBucket(tx persistence.Tx, at persistence.Position, p *messages.BucketPull) (*messages.Reply, error) {
	b := m.buckets[p.Bucket]
	m.apply(tx, p.Bucket, b.freeze(p, frozenTimeMs(b, at)))
	return m.readChunk(tx, p)
}

// frozenTimeMs is the log time in ms that a bucket takes along, so that its time does not go back where it goes.
func frozenTimeMs(b *bucket, at persistence.Position) uint64 {
	switch {
	case b == nil:
		return 0
	case at.Level < messages.DeadlineLevel:
		return b.minTimeMs
	}
	return max(at.TimeMs, b.minTimeMs)
}

func (m *Machine) deleteMigrated(tx persistence.Tx, d *messages.DeleteMigrated) *messages.Reply {
	m.apply(tx, d.Bucket, m.buckets[d.Bucket].deleteMigrated(d.ConfigVersion))
	pull := &messages.BucketPull{Bucket: d.Bucket, ConfigVersion: d.ConfigVersion}
	return &messages.Reply{Chunk: m.source(tx, d.Bucket).status(pull)}
}

// importChunk takes the next chunk of a bucket that comes from another group.
func (m *Machine) importChunk(tx persistence.Tx, at persistence.Position, i *messages.ImportChunk) (*messages.Reply, error) {
	if why := checkImport(i); why != nil {
		return errorReply(why), nil
	}
	c := i.Chunk
	if int64(c.Bucket) >= int64(m.bucketCount) {
		return m.noSuchBucket(c.Bucket), nil
	}
	t := m.buckets[c.Bucket].importChunk(i.Source, c, pairBytes(c))
	if t.next == nil {
		return &messages.Reply{}, nil
	}
	m.delete(tx, c.Bucket, t.deletes)
	d := &destination{tx: tx, id: c.Bucket, sessions: m.sessions, nowMs: at.TimeMs}
	for _, p := range c.Pairs {
		if p.Key[0] == sessionPair {
			m.ordinal++
		}
		if err := d.write(p, m.logOrder()); err != nil {
			return nil, err
		}
	}
	m.putBucket(tx, c.Bucket, t.next)
	return &messages.Reply{}, nil
}

// readChunk answers a pull: a query, which writes nothing, or the second half of a freeze.
func (m *Machine) readChunk(store persistence.Reader, p *messages.BucketPull) (*messages.Reply, error) {
	chunk, err := m.source(store, p.Bucket).read(p)
	if err != nil {
		return nil, err
	}
	return &messages.Reply{Chunk: chunk}, nil
}

func (m *Machine) source(store persistence.Reader, id uint32) *source {
	return &source{store: store, id: id, bucket: m.buckets[id], sessions: m.sessions}
}

func (m *Machine) noSuchBucket(id uint32) *messages.Reply {
	return errorReply(messages.Errorf(messages.Code_INVALID, "there is no bucket %d: the cluster has %d", id, m.bucketCount))
}

// apply carries a transition out.
func (m *Machine) apply(tx persistence.Tx, id uint32, t transition) {
	if t.next == nil {
		return
	}
	m.delete(tx, id, t.deletes)
	m.putBucket(tx, id, t.next)
}

// delete deletes what is stored of a bucket, but not its record.
func (m *Machine) delete(tx persistence.Tx, id uint32, what deletion) {
	switch what {
	case deleteChangeLog:
		tx.DeletePrefix(bucketKey('t', id))
	case deleteContents:
		for _, kind := range []byte{'d', 'r', 't'} {
			tx.DeletePrefix(bucketKey(kind, id))
		}
		m.sessions.clearBucket(id)
	}
}

// putBucket replaces the record of a bucket; b must be a new record.
func (m *Machine) putBucket(tx persistence.Tx, id uint32, b *bucket) {
	m.track(id, b)
	tx.Put(bucketKey('o', id), encodeBucket(b))
}

// track takes a record into memory, and notes what of the View it changes.
func (m *Machine) track(id uint32, b *bucket) {
	old := m.buckets[id]
	if old == nil || old.state != b.state || old.configVersion != b.configVersion || old.counterpart != b.counterpart {
		m.ownershipChanged = true
	}
	m.buckets[id] = b
	delete(m.migrations, id)
	if b.state == Migrating || b.state == Frozen || b.state == Importing {
		m.migrations[id] = true
	}
	m.migrationsChanged = true
}
