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
		m.adopt(tx, op.CreateBuckets)
	case *messages.ShardCommand_StartMigration:
		return m.give(tx, op.StartMigration), nil
	case *messages.ShardCommand_FreezeBucket:
		if pull := op.FreezeBucket.GetPull(); pull != nil {
			return m.freeze(tx, at, pull)
		}
	case *messages.ShardCommand_ImportChunk:
		return m.install(tx, at, op.ImportChunk)
	case *messages.ShardCommand_DeleteMigrated:
		return m.drop(tx, op.DeleteMigrated), nil
	case *messages.ShardCommand_ResumeServing:
		m.keep(tx, op.ResumeServing)
	default:
		return nil, fmt.Errorf("unknown shard command %T in the log: a newer eraft wrote it", c.Op)
	}
	return &messages.Reply{}, nil
}

// give begins a hand-over. What never served here is given up: from then on no chunk can make it serve, so the group that
// asks, which had it before, may keep it.
func (m *Machine) give(tx persistence.Tx, g *messages.StartMigration) *messages.Reply {
	if int64(g.Bucket) >= int64(m.count) {
		return m.noBucket(g.Bucket)
	}
	b, v := m.buckets[g.Bucket], g.ConfigVersion
	switch {
	case m.absent(g.Bucket, v) || b.state == Installing && b.configVersion < v:
		if b != nil && b.state == Installing {
			m.clear(tx, g.Bucket)
		}
		m.set(tx, g.Bucket, &bucket{state: None, configVersion: v, other: g.Destination})
	case b.serves() && b.configVersion < v && b.move < v:
		m.clearTail(tx, g.Bucket, b)
		m.set(tx, g.Bucket, &bucket{
			state: Giving, configVersion: b.configVersion, other: g.Destination, counter: b.counter, base: b.tail, tail: b.tail, move: v, limit: g.MaxChangeLogBytes,
			timeMs: b.timeMs,
		})
	}
	chunk := m.standing(&messages.BucketPull{Bucket: g.Bucket, ConfigVersion: v})
	if b := m.buckets[g.Bucket]; !chunk.Abandoned && !chunk.NotReady {
		chunk.Base, chunk.ChangeLogPosition, chunk.VersionCounter, chunk.BacklogBytes = b.base, b.base, b.counter, b.changed
		chunk.Checksum = Checksum(chunk)
	}
	return &messages.Reply{Chunk: chunk}
}

// standing is a chunk without content: it says where a bucket stands with respect to a move.
func (m *Machine) standing(p *messages.BucketPull) *messages.BucketChunk {
	chunk := &messages.BucketChunk{Bucket: p.Bucket, ConfigVersion: p.ConfigVersion, Base: p.Base, Number: p.Number}
	switch b := m.buckets[p.Bucket]; {
	case b == nil:
		chunk.NotReady = true
	case b.state == None && b.configVersion >= p.ConfigVersion:
		chunk.Abandoned = true
	default:
		given := b.state == Giving && b.move == p.ConfigVersion || b.state == Frozen && b.configVersion == p.ConfigVersion
		chunk.NotReady = !given
	}
	return chunk
}

// freeze ends what give began, if it is still what the taker has copied from.
func (m *Machine) freeze(tx persistence.Tx, at persistence.Position, p *messages.BucketPull) (*messages.Reply, error) {
	if b := m.buckets[p.Bucket]; b != nil && b.state == Giving && b.move == p.ConfigVersion && b.base == p.Base {
		m.set(tx, p.Bucket, &bucket{
			state: Frozen, configVersion: b.move, other: b.other, counter: b.counter, base: b.base, tail: b.tail, changed: b.changed,
			timeMs: m.bucketTime(b, at),
		})
	}
	return m.pull(tx, p)
}

// bucketTime is what a bucket takes along when it is frozen, so that its time does not go back where it goes.
func (m *Machine) bucketTime(b *bucket, at persistence.Position) uint64 {
	if at.Level < messages.DeadlineLevel {
		return b.timeMs
	}
	return max(at.TimeMs, b.timeMs)
}

// keep takes a bucket back that is not frozen, or that the other group has given up.
func (m *Machine) keep(tx persistence.Tx, k *messages.ResumeServing) {
	b := m.buckets[k.Bucket]
	if b == nil || b.configVersion >= k.ConfigVersion || b.move >= k.ConfigVersion {
		return
	}
	if b.serves() || b.state == Frozen && k.DestinationAbandoned {
		m.clearTail(tx, k.Bucket, b)
		m.set(tx, k.Bucket, &bucket{state: Serving, configVersion: k.ConfigVersion, counter: b.counter, tail: b.tail, timeMs: b.timeMs})
	}
}

func (m *Machine) drop(tx persistence.Tx, d *messages.DeleteMigrated) *messages.Reply {
	if b := m.buckets[d.Bucket]; b != nil && b.state == Frozen && b.configVersion == d.ConfigVersion {
		m.clear(tx, d.Bucket)
		m.set(tx, d.Bucket, &bucket{state: None, configVersion: b.configVersion, other: b.other})
	}
	return &messages.Reply{Chunk: m.standing(&messages.BucketPull{Bucket: d.Bucket, ConfigVersion: d.ConfigVersion})}
}

func (m *Machine) noBucket(id uint32) *messages.Reply {
	return refusal(messages.Errorf(messages.Code_INVALID, "there is no bucket %d: the cluster has %d", id, m.count))
}
