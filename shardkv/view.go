package shardkv

import (
	"cmp"
	"maps"
	"slices"
)

// View is what the group knows of its buckets at one moment. It is immutable and may be shared between actors. A View made
// while only migrations have progressed shares Buckets with the one before.
type View struct {
	Buckets    []BucketView // every bucket the group has a record of, ascending by bucket
	Migrations []Migration  // those of Buckets that are Migrating, Frozen or Importing, ascending by bucket
	minTimeMs  uint64       // the highest minTimeMs of a bucket that the group serves, or has served since Open; 0: none
}

// LogTime implements raftactor.Timed: log time in ms below which the group's log time should not stay, because a bucket has
// come with a later time.
func (v *View) LogTime() uint64 { return v.minTimeMs }

// BucketView is the ownership of one bucket.
type BucketView struct {
	Bucket        uint32
	State         State
	ConfigVersion uint64 // config since which the State holds; Migrating: since which the bucket was Serving
	Counterpart   uint64 // the group at the other end of its newest migration: Importing, Serving: the source; otherwise the destination; 0: none
}

// Migration is the progress of one migration, as this group sees it.
type Migration struct {
	Bucket        uint32
	State         State  // Migrating or Frozen: this group is the source; Importing: the destination
	ConfigVersion uint64 // of the config that orders the migration
	Counterpart   uint64 // the group at the other end
	Base          uint64 // position in the source's change log at which the migration began; a later attempt has a higher one
	NextChunk     uint64 // destination only: number of the chunk expected next
	Cursor        []byte // destination only: record behind which the copy goes on
	Copied        bool   // destination only: every record was copied once
	LogPosition   uint64 // of the newest change: appended, at the source; received, at the destination
	Stalls        uint64 // destination only: chunks of changes that left the backlog no smaller
	ReceivedBytes uint64 // destination only: keys and values received
	BacklogBytes  uint64 // destination: changed at the source and not received; source: changed since the migration began
}

// Find returns the view of a bucket: Absent if the group has no record of it.
func (v *View) Find(id uint32) BucketView {
	i, found := slices.BinarySearchFunc(v.Buckets, id, func(b BucketView, id uint32) int { return cmp.Compare(b.Bucket, id) })
	if !found {
		return BucketView{Bucket: id}
	}
	return v.Buckets[i]
}

// View implements raftactor.Viewer. It returns a *View: the same one until a record of a bucket changes.
func (m *Machine) View() any {
	if !m.ownershipChanged && !m.migrationsChanged {
		return m.view
	}
	next := &View{}
	if m.view != nil {
		next.Buckets, next.minTimeMs = m.view.Buckets, m.view.minTimeMs
	}
	if m.ownershipChanged {
		next.Buckets = make([]BucketView, 0, len(m.buckets))
		for _, id := range slices.Sorted(maps.Keys(m.buckets)) {
			b := m.buckets[id]
			next.Buckets = append(next.Buckets, BucketView{id, b.state, b.configVersion, b.counterpart})
			if b.serves() {
				next.minTimeMs = max(next.minTimeMs, b.minTimeMs)
			}
		}
	}
	for _, id := range slices.Sorted(maps.Keys(m.migrations)) {
		next.Migrations = append(next.Migrations, m.buckets[id].migration(id))
	}
	m.view, m.ownershipChanged, m.migrationsChanged = next, false, false
	return m.view
}

func (b *bucket) migration(id uint32) Migration {
	p := Migration{
		Bucket: id, State: b.state, ConfigVersion: b.configVersion, Counterpart: b.counterpart, Base: b.base, NextChunk: b.nextChunk, Cursor: b.cursor,
		Copied: b.copied, LogPosition: b.logPosition, Stalls: b.stalls, ReceivedBytes: b.receivedBytes, BacklogBytes: b.backlogBytes,
	}
	if b.state == Migrating {
		p.ConfigVersion = b.moveVersion
	}
	if b.state != Importing {
		p.BacklogBytes = b.changedBytes
	}
	return p
}
