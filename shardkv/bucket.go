package shardkv

import (
	"github.com/eraft-io/eraft/messages"
)

// State is the state of one bucket in one group.
type State byte

// A bucket is in exactly one State in each group. At most one group has it in Serving or Migrating.
const (
	Absent    State = iota // the group has no data of it; its record, if there is one, says until which config it had
	Serving                // the group reads and writes it
	Migrating              // as Serving; every change is also appended to the change log, which the destination reads
	Frozen                 // the content is final and served by nobody; kept until the destination serves it
	Importing              // chunks arrive from the source; not served yet
)

// String is the State in the status JSON and in log lines.
func (s State) String() string {
	return [...]string{"absent", "serving", "migrating", "frozen", "importing"}[min(s, Importing)]
}

// The bucket state machine of a migration
//
// A migration moves a bucket from a source group to a destination group while clients use it. Each group has a record of
// the bucket in its own store, and only entries of its own log change that record. So each group alone decides what it does
// with the bucket, and any replica that becomes leader finds in the record how far the migration is. The version of the
// config that orders the migration names it: every command carries that version, and a command of an older one changes nothing.
//
// The pair of records goes through these states. The left command is committed in the log of the group in whose column it
// stands, and all of them are proposed by the leader of the destination:
//
//	source                                   destination
//	------                                   -----------
//	Serving                                  Absent
//	   | StartMigration v
//	Migrating  -- chunk 0 ---------------->     | ImportChunk 0
//	   |       -- copy of all records ---->  Importing
//	   |       -- changes since then ----->     | ImportChunk n
//	   | FreezeBucket v                         |
//	Frozen     -- the rest of the changes ->    | ImportChunk, the last one
//	   |                                     Serving
//	   | DeleteMigrated v
//	Absent (until v)
//
// In pseudocode, with one function per command. b is the record in the group that applies the command, v the version of
// the config that orders the migration, and "absent before v" is: no record, or Absent since a config older than v.
//
//	StartMigration(v, to):
//	    b absent before v, or Importing for an older config:
//	                         b = Absent(v)                      // released: no chunk of an older config can make it serve
//	    b serves, since before v, and does not migrate for v or later:
//	                         b = Migrating(v, to, base = end of the change log)
//	FreezeBucket(v, base):
//	    b Migrating(v, base):  b = Frozen(v)                    // reply: the changes that the destination does not have
//	ImportChunk(v, base, n):
//	    n == 0 and b may begin an import for (v, base):
//	                         b = Importing(v, base, next = 1)
//	    b Importing(v, base, next = n):
//	                         write the records; b.next = n+1
//	                         the chunk is the last: b = Serving(v)
//	DeleteMigrated(v):
//	    b Frozen(v):           delete the content; b = Absent(v)
//	ResumeServing(v, released):                                 // the config of version v called the migration back
//	    b serves, or b Frozen and the other group has released the bucket:
//	                         b = Serving(v)
//	a write makes the change log longer than allowed:
//	    b Migrating:           b = Serving                      // the destination must begin again
//
// Why at most one group serves: a destination serves only after the last chunk, and a chunk is the last only if the
// source was Frozen when it was read. A Frozen record serves again only by ResumeServing with released, and the other group
// releases the bucket (first case of StartMigration) only while it does not serve it; afterwards its record is newer than v,
// so the last chunk of v changes nothing there. Its log orders the two, and the first one wins.
//
// Why nothing is lost: a record that was written before StartMigration is in the copy, which is read later; one that was
// written after it is in the change log, behind base; and nothing is written after FreezeBucket.
//
// The functions below are pure: a record and a command go in, a transition comes out. Machine (migration.go,
// destination.go) carries the transition out in the atomic batch of the log entry.

// bucket is the record of one bucket in one group. Which fields have a meaning depends on the state; the others are 0.
// A nil *bucket is a bucket that the group has never heard of. Except for the fields marked "in place", a record is
// replaced, not changed.
type bucket struct {
	state          State
	configVersion  uint64 // config since which the state holds; Migrating: since which it was Serving
	counterpart    uint64 // group at the other end: Migrating, Frozen, Absent: the destination; Importing, Serving: the source; 0: none
	versionCounter uint64 // newest version given to a key of the bucket; only grows, over migrations too (in place)
	minTimeMs      uint64 // log time in ms that the time of the bucket never falls below, whatever the group's is: the freeze time of its last source; 0: none
	base           uint64 // Migrating, Frozen, Importing: position in the source's change log at which the migration began
	logPosition    uint64 // serving, Frozen: position of the newest change (in place); Importing: of the newest change received

	moveVersion     uint64 // Migrating: version of the config that orders the migration; 0 otherwise
	changedBytes    uint64 // Migrating, Frozen: bytes appended to the change log since base (in place)
	maxChangedBytes uint64 // Migrating: bound of changedBytes; above it the migration is aborted

	nextChunk     uint64 // Importing: number of the chunk expected next
	cursor        []byte // Importing: record behind which the copy goes on; empty: from the first record
	copied        bool   // Importing: every record was copied once; what follows are changes
	stalls        uint64 // Importing: chunks of changes that left the backlog no smaller
	receivedBytes uint64 // Importing: bytes of keys and values received
	backlogBytes  uint64 // Importing: bytes changed at the source and not received, as of the newest chunk

	dirty bool // fields marked "in place" changed in this state batch: Flush writes the record; not stored
}

// serves reports whether the group reads and writes the bucket.
func (b *bucket) serves() bool { return b != nil && (b.state == Serving || b.state == Migrating) }

// absentBefore reports whether the bucket is absent, and was so before the config of that version: only then may that config
// bring it. A leader that knows only an older config cannot bring back what left since.
func (b *bucket) absentBefore(version uint64) bool {
	return b == nil || b.state == Absent && b.configVersion < version
}

// transition is what one command does to the record of a bucket, and to what is stored of the bucket.
type transition struct {
	next    *bucket // the new record; nil: the command changes nothing
	deletes deletion
}

// deletion is what of a bucket's stored records goes with a transition.
type deletion byte

const (
	deleteNothing   deletion = iota
	deleteChangeLog          // the entries of the change log
	deleteContents           // data, saved replies and the change log
)

// logDeletion is deleteChangeLog if there are entries.
func (b *bucket) logDeletion() deletion {
	if b.logPosition > b.base {
		return deleteChangeLog
	}
	return deleteNothing
}

// create is the transition of CreateBuckets: a bucket that no group ever had begins empty.
func (b *bucket) create(version uint64) (t transition) {
	if b.absentBefore(version) {
		t.next = &bucket{state: Serving, configVersion: version}
	}
	return t
}

// startMigration is the transition of StartMigration in the log of the source. A bucket that the group has never served for
// this config is released: the group will not serve it for an older one.
func (b *bucket) startMigration(s *messages.StartMigration) (t transition) {
	version := s.ConfigVersion
	switch {
	case b.absentBefore(version) || b.state == Importing && b.configVersion < version:
		if b != nil && b.state == Importing {
			t.deletes = deleteContents
		}
		t.next = &bucket{state: Absent, configVersion: version, counterpart: s.Destination}
	case b.serves() && b.configVersion < version && b.moveVersion < version:
		t.deletes = b.logDeletion()
		t.next = &bucket{
			state: Migrating, configVersion: b.configVersion, counterpart: s.Destination, versionCounter: b.versionCounter, minTimeMs: b.minTimeMs,
			base: b.logPosition, logPosition: b.logPosition, moveVersion: version, maxChangedBytes: s.MaxChangeLogBytes,
		}
	}
	return t
}

// freeze is the transition of FreezeBucket in the log of the source. nowMs is the log time that the bucket takes along.
func (b *bucket) freeze(p *messages.BucketPull, nowMs uint64) (t transition) {
	if b != nil && b.state == Migrating && b.moveVersion == p.ConfigVersion && b.base == p.Base {
		t.next = &bucket{
			state: Frozen, configVersion: b.moveVersion, counterpart: b.counterpart, versionCounter: b.versionCounter, minTimeMs: nowMs,
			base: b.base, logPosition: b.logPosition, changedBytes: b.changedBytes,
		}
	}
	return t
}

// resume is the transition of ResumeServing in the log of the source. A frozen bucket is served again only if the other
// group has released it.
func (b *bucket) resume(r *messages.ResumeServing) (t transition) {
	if b == nil || b.configVersion >= r.ConfigVersion || b.moveVersion >= r.ConfigVersion {
		return t
	}
	if b.serves() || b.state == Frozen && r.DestinationAbandoned {
		return transition{next: b.serving(r.ConfigVersion), deletes: b.logDeletion()}
	}
	return t
}

// abortOversized is the transition of a write that made the change log longer than the migration allows.
func (b *bucket) abortOversized() (t transition) {
	if b.state == Migrating && b.changedBytes > b.maxChangedBytes {
		return transition{next: b.serving(b.configVersion), deletes: b.logDeletion()}
	}
	return t
}

// serving is the record of a bucket that the group goes on to serve, without a migration.
func (b *bucket) serving(version uint64) *bucket {
	return &bucket{
		state: Serving, configVersion: version, versionCounter: b.versionCounter, logPosition: b.logPosition, minTimeMs: b.minTimeMs,
	}
}

// deleteMigrated is the transition of DeleteMigrated in the log of the source: the destination serves the bucket.
func (b *bucket) deleteMigrated(version uint64) (t transition) {
	if b != nil && b.state == Frozen && b.configVersion == version {
		t.deletes = deleteContents
		t.next = &bucket{state: Absent, configVersion: b.configVersion, counterpart: b.counterpart}
	}
	return t
}

// mayImport reports whether chunk 0 begins an import. Its config must be newer than what the group has, since a chunk 0
// proves that the source served the bucket until then; or the source has begun the same migration again, which it shows by a
// higher base.
func (b *bucket) mayImport(c *messages.BucketChunk) bool {
	switch {
	case b.absentBefore(c.ConfigVersion):
		return true
	case b.state == Frozen, b.state == Importing && b.configVersion != c.ConfigVersion:
		return b.configVersion < c.ConfigVersion
	case b.state == Importing:
		return b.base < c.Base
	}
	return false
}

// importChunk is the transition of ImportChunk in the log of the destination; size is the bytes of the chunk's pairs. A
// chunk that was received before, or belongs to a migration that is over, changes nothing.
func (b *bucket) importChunk(source uint64, c *messages.BucketChunk, size uint64) (t transition) {
	var next bucket
	switch {
	case c.Number == 0:
		if !b.mayImport(c) {
			return t
		}
		if b != nil && b.state != Absent {
			t.deletes = deleteContents
		}
		next = bucket{state: Importing, configVersion: c.ConfigVersion, counterpart: source, base: c.Base}
	case b == nil || b.state != Importing || b.configVersion != c.ConfigVersion || b.base != c.Base || b.nextChunk != c.Number:
		return t
	default:
		next = *b
	}
	next.receivedBytes += size
	if next.copied && c.BacklogBytes >= next.backlogBytes {
		next.stalls++
	}
	next.versionCounter, next.copied, next.cursor = c.VersionCounter, c.Copied, c.Cursor
	next.logPosition, next.backlogBytes, next.nextChunk = c.ChangeLogPosition, c.BacklogBytes, c.Number+1
	if c.Last {
		next = bucket{
			state: Serving, configVersion: next.configVersion, counterpart: next.counterpart, versionCounter: next.versionCounter, minTimeMs: c.TimeMs,
		}
	}
	t.next = &next
	return t
}

// standing is what the source says about a migration of that version: ready, not ready (StartMigration must be committed,
// again), or released (it has nothing of the bucket and never will for this version).
func (b *bucket) standing(version uint64) (notReady, released bool) {
	switch {
	case b == nil:
		return true, false
	case b.state == Absent && b.configVersion >= version:
		return false, true
	}
	ready := b.state == Migrating && b.moveVersion == version || b.state == Frozen && b.configVersion == version
	return !ready, false
}
