package shardkv

import (
	"fmt"

	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/persistence"
)

// applyShard runs a command about ownership. Each is idempotent: one that comes too late changes nothing.
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
		m.resumeServing(tx, op.ResumeServing)
	default:
		return nil, fmt.Errorf("unknown shard command %T in the log: a newer eraft wrote it", c.Op)
	}
	return &messages.Reply{}, nil
}

// give begins a hand-over. What never served here is given up: from then on no chunk can make it serve, so the group that
// asks, which had it before, may keep it.
func (m *Machine) startMigration(tx persistence.Tx, g *messages.StartMigration) *messages.Reply {
	if int64(g.Bucket) >= int64(m.bucketCount) {
		return m.noSuchBucket(g.Bucket)
	}
	b, v := m.buckets[g.Bucket], g.ConfigVersion
	switch {
	case m.absentBefore(g.Bucket, v) || b.state == Importing && b.configVersion < v:
		if b != nil && b.state == Importing {
			m.deleteContents(tx, g.Bucket)
		}
		m.putBucket(tx, g.Bucket, &bucket{state: Absent, configVersion: v, counterpart: g.Destination})
	case b.serves() && b.configVersion < v && b.moveVersion < v:
		m.clearChangeLog(tx, g.Bucket, b)
		m.putBucket(tx, g.Bucket, &bucket{
			state: Migrating, configVersion: b.configVersion, counterpart: g.Destination, versionCounter: b.versionCounter, base: b.logPosition, logPosition: b.logPosition, moveVersion: v, maxChangedBytes: g.MaxChangeLogBytes,
			minTimeMs: b.minTimeMs,
		})
	}
	chunk := m.statusChunk(&messages.BucketPull{Bucket: g.Bucket, ConfigVersion: v})
	if b := m.buckets[g.Bucket]; !chunk.Abandoned && !chunk.NotReady {
		chunk.Base, chunk.ChangeLogPosition, chunk.VersionCounter, chunk.BacklogBytes = b.base, b.base, b.versionCounter, b.changedBytes
		chunk.Checksum = Checksum(chunk)
	}
	return &messages.Reply{Chunk: chunk}
}

// standing is a chunk without content: it says where a bucket stands with respect to a move.
func (m *Machine) statusChunk(p *messages.BucketPull) *messages.BucketChunk {
	chunk := &messages.BucketChunk{Bucket: p.Bucket, ConfigVersion: p.ConfigVersion, Base: p.Base, Number: p.Number}
	switch b := m.buckets[p.Bucket]; {
	case b == nil:
		chunk.NotReady = true
	case b.state == Absent && b.configVersion >= p.ConfigVersion:
		chunk.Abandoned = true
	default:
		given := b.state == Migrating && b.moveVersion == p.ConfigVersion || b.state == Frozen && b.configVersion == p.ConfigVersion
		chunk.NotReady = !given
	}
	return chunk
}

// freeze ends what give began, if it is still what the taker has copied from.
func (m *Machine) freezeBucket(tx persistence.Tx, at persistence.Position, p *messages.BucketPull) (*messages.Reply, error) {
	if b := m.buckets[p.Bucket]; b != nil && b.state == Migrating && b.moveVersion == p.ConfigVersion && b.base == p.Base {
		m.putBucket(tx, p.Bucket, &bucket{
			state: Frozen, configVersion: b.moveVersion, counterpart: b.counterpart, versionCounter: b.versionCounter, base: b.base, logPosition: b.logPosition, changedBytes: b.changedBytes,
			minTimeMs: m.frozenTimeMs(b, at),
		})
	}
	return m.readChunk(tx, p)
}

// frozenTimeMs is what a bucket takes along when it is frozen, so that its time does not go back where it goes.
func (m *Machine) frozenTimeMs(b *bucket, at persistence.Position) uint64 {
	if at.Level < messages.DeadlineLevel {
		return b.minTimeMs
	}
	return max(at.TimeMs, b.minTimeMs)
}

// keep takes a bucket back that is not frozen, or that the other group has given up.
func (m *Machine) resumeServing(tx persistence.Tx, k *messages.ResumeServing) {
	b := m.buckets[k.Bucket]
	if b == nil || b.configVersion >= k.ConfigVersion || b.moveVersion >= k.ConfigVersion {
		return
	}
	if b.serves() || b.state == Frozen && k.DestinationAbandoned {
		m.clearChangeLog(tx, k.Bucket, b)
		m.putBucket(tx, k.Bucket, &bucket{state: Serving, configVersion: k.ConfigVersion, versionCounter: b.versionCounter, logPosition: b.logPosition, minTimeMs: b.minTimeMs})
	}
}

func (m *Machine) deleteMigrated(tx persistence.Tx, d *messages.DeleteMigrated) *messages.Reply {
	if b := m.buckets[d.Bucket]; b != nil && b.state == Frozen && b.configVersion == d.ConfigVersion {
		m.deleteContents(tx, d.Bucket)
		m.putBucket(tx, d.Bucket, &bucket{state: Absent, configVersion: b.configVersion, counterpart: b.counterpart})
	}
	return &messages.Reply{Chunk: m.statusChunk(&messages.BucketPull{Bucket: d.Bucket, ConfigVersion: d.ConfigVersion})}
}

func (m *Machine) noSuchBucket(id uint32) *messages.Reply {
	return errorReply(messages.Errorf(messages.Code_INVALID, "there is no bucket %d: the cluster has %d", id, m.bucketCount))
}
