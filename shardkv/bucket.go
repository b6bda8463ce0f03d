package shardkv

import (
	"cmp"
	"maps"
	"slices"

	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/persistence"
)

// State of a bucket in a group.
type State byte

const (
	Absent    State = iota // not here; its record, if there is one, tells until which config it was
	Serving                // this group reads and writes it
	Migrating              // the same, and what changes is noted for the taker, who copies it
	Frozen                 // given away: content is final, kept until the taker serves it
	Importing              // on its way here: not served yet
)

func (s State) String() string {
	return [...]string{"none", "serving", "giving", "frozen", "installing"}[min(s, Importing)]
}

// bucket is a bucket's state in this group.
type bucket struct {
	state          State
	configVersion  uint64 // of the config that made it so; Giving: that made it Serving
	counterpart    uint64 // Giving, Frozen, None: who takes or took it; Installing, Serving: who gives or gave it
	versionCounter uint64 // newest version given to a key
	minTimeMs      uint64 // log time below which the bucket's time is not, whatever the group's: at which it was frozen; 0: there is none
	base           uint64 // Giving, Frozen, Installing: where in the tail the copying began
	logPosition    uint64 // Giving, Frozen: newest entry; Installing: the entry up to which changes have come

	moveVersion     uint64 // Giving: version of the config that gives it away
	changedBytes    uint64 // Giving, Frozen: bytes that have changed since base
	maxChangedBytes uint64 // Giving: of changed

	nextChunk     uint64 // Installing
	cursor        []byte // Installing: where the next chunk starts
	copied        bool   // Installing: all has been copied once, the rest comes from the tail
	stalls        uint64 // Installing: chunks of the tail after which no less was behind
	receivedBytes uint64 // Installing: that have come
	backlogBytes  uint64 // Installing: that had changed at the giver and not come

	dirty bool // its record must be written at the end of the turn; not part of it
}

func (b *bucket) serves() bool { return b != nil && (b.state == Serving || b.state == Migrating) }

// View shows a group's buckets. It is immutable; while a bucket travels only Transits are new.
type View struct {
	Buckets    []BucketView // by bucket
	Migrations []Migration  // by bucket: those of Buckets that are Giving, Frozen or Installing
	minTimeMs  uint64       // the latest time of a bucket that is served
}

// LogTime implements raftactor.Timed.
func (v *View) LogTime() uint64 { return v.minTimeMs }

// BucketView is one bucket that the group knows.
type BucketView struct {
	Bucket        uint32
	State         State
	ConfigVersion uint64
	Counterpart   uint64
}

// Transit is how far a hand-over is, as this group sees it.
type Migration struct {
	Bucket        uint32
	State         State
	ConfigVersion uint64 // of the move
	Counterpart   uint64
	Base          uint64
	NextChunk     uint64 // this and the following are known to the taker only
	Cursor        []byte
	Copied        bool
	LogPosition   uint64
	Stalls        uint64 // chunks of the tail after which no less was behind
	ReceivedBytes uint64
	BacklogBytes  uint64 // at the giver: bytes that have changed since the copying began
}

// Find gives the bucket's part of the view: None if the group does not know it.
func (v *View) Find(id uint32) BucketView {
	i, found := slices.BinarySearchFunc(v.Buckets, id, func(b BucketView, id uint32) int { return cmp.Compare(b.Bucket, id) })
	if !found {
		return BucketView{Bucket: id}
	}
	return v.Buckets[i]
}

// View implements raftactor.Viewer; it gives a *View.
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
	t := Migration{
		Bucket: id, State: b.state, ConfigVersion: b.configVersion, Counterpart: b.counterpart, Base: b.base, NextChunk: b.nextChunk, Cursor: b.cursor,
		Copied: b.copied, LogPosition: b.logPosition, Stalls: b.stalls, ReceivedBytes: b.receivedBytes, BacklogBytes: b.backlogBytes,
	}
	if b.state == Migrating {
		t.ConfigVersion = b.moveVersion
	}
	if b.state != Importing {
		t.BacklogBytes = b.changedBytes
	}
	return t
}

// set gives a bucket a new state; b must be a new record.
func (m *Machine) putBucket(tx persistence.Tx, id uint32, b *bucket) {
	m.track(id, b)
	tx.Put(bucketKey('o', id), encodeBucket(b))
}

// know takes a record into memory.
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

// clear deletes what is stored of a bucket but for its record.
func (m *Machine) deleteContents(tx persistence.Tx, id uint32) {
	for _, kind := range []byte{'d', 'r', 't'} {
		tx.DeletePrefix(bucketKey(kind, id))
	}
	m.sessions.clearBucket(id)
}

// absent tells that a bucket is not here, and that a config of this version may still bring it: a leader that lags
// behind the config chain must not bring back what was given away since.
func (m *Machine) absentBefore(id uint32, configVersion uint64) bool {
	b := m.buckets[id]
	return b == nil || b.state == Absent && b.configVersion < configVersion
}

func (m *Machine) createBuckets(tx persistence.Tx, a *messages.CreateBuckets) {
	for _, id := range a.Buckets {
		if int(id) < m.bucketCount && m.absentBefore(id, a.ConfigVersion) {
			m.putBucket(tx, id, &bucket{state: Serving, configVersion: a.ConfigVersion})
		}
	}
}
