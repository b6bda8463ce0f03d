package cluster

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/eraft-io/eraft/actors"
	"github.com/eraft-io/eraft/shardkv"
)

// MigrationLimits bound the cost of bucket migrations. A zero field means its default.
type MigrationLimits struct {
	BytesPerSecond    int // bytes per second that this node imports for all its groups together. Default 8 MiB
	ChunkBytes        int // approximate size of one chunk, which is one log entry of at most 256 records. Default 256 KiB, at most 1 MiB
	MaxChangeLogBytes int // bytes of changes to one bucket during its migration; with more the migration starts again. Default 1 GiB
}

func (l *MigrationLimits) fill() error {
	for _, f := range []struct {
		name           string
		field          *int
		usual, highest int
	}{
		{"bytes per second", &l.BytesPerSecond, 8 << 20, 1 << 40},
		{"chunk bytes", &l.ChunkBytes, 256 << 10, 1 << 20},
		{"change log bytes", &l.MaxChangeLogBytes, 1 << 30, 1 << 40},
	} {
		if *f.field == 0 {
			*f.field = f.usual
		}
		if *f.field < 1 || *f.field > f.highest {
			return fmt.Errorf("migration: %s is %d, but must be 1 to %d", f.name, *f.field, f.highest)
		}
	}
	return nil
}

// perBucket returns the limits of one migration.
func (l *MigrationLimits) perBucket() shardkv.MigrationLimits {
	return shardkv.MigrationLimits{ChunkBytes: l.ChunkBytes, MaxChangeLogBytes: l.MaxChangeLogBytes}
}

// migrationRate limits the bytes per second that a node imports. The Migrators of a node share it; it is safe for concurrent use. A
// chunk that took long is charged its duration too, so the rate falls on a machine on which other requests wait.
type migrationRate struct{ limiter *actors.RateLimiter }

func newMigrationRate(bytesPerSecond int) *migrationRate {
	return &migrationRate{actors.NewRateLimiter(bytesPerSecond)}
}

// wait returns how long it takes until the next chunk may be requested; 0: now.
func (r *migrationRate) wait(now time.Duration) time.Duration { return r.limiter.Wait(now) }

// maxSlowdown is the factor by which the rate may fall: a migration must end on a machine that is always busy, too, and a node
// that joined to take load off the others must get its buckets in time. For this bound a small record counts as minRecordBytes:
// the cost of inserting it hardly depends on its size.
const (
	maxSlowdown    = 4
	minRecordBytes = 512
)

// charge accounts for a chunk that was imported: for the time that the rate asks for, or for rest, the pause that the other group
// asked for, if that is longer.
func (r *migrationRate) charge(now time.Duration, bytes, records int, rest time.Duration) {
	bound := maxSlowdown * r.limiter.Cost(max(bytes, records*minRecordBytes))
	r.limiter.Spend(now, max(r.limiter.Cost(bytes), min(rest, bound)))
}

// MigrationStatus is the progress of a bucket's migration, as one of its two groups sees it.
type MigrationStatus struct {
	Bucket        uint32 `json:"bucket"`
	Group         uint64 `json:"group"`
	State         string `json:"state"`          // "migrating", "frozen": this group is the source; "importing": it is the destination
	Other         uint64 `json:"other"`          // the other group of the migration
	ConfigVersion uint64 `json:"config_version"` // of the config that moved the bucket
	Chunks        uint64 `json:"chunks"`         // chunks imported
	Copied        bool   `json:"copied"`         // the first pass is complete; chunks of the change log follow
	Bytes         uint64 `json:"bytes"`          // bytes imported
	BacklogBytes  uint64 `json:"backlog_bytes"`  // change log bytes not imported yet; at the source: since the migration started
}

// migrations returns the migrations in which groups of this node take part, by bucket.
func (s snapshot) migrations() []MigrationStatus {
	var all []MigrationStatus
	for group, view := range s.views {
		for _, t := range view.Migrations {
			all = append(all, MigrationStatus{
				Bucket: t.Bucket, Group: uint64(group), State: t.State.String(), Other: t.Counterpart, ConfigVersion: t.ConfigVersion,
				Chunks: t.NextChunk, Copied: t.Copied, Bytes: t.ReceivedBytes, BacklogBytes: t.BacklogBytes,
			})
		}
	}
	slices.SortFunc(all, func(a, b MigrationStatus) int {
		return cmp.Or(cmp.Compare(a.Bucket, b.Bucket), cmp.Compare(a.Group, b.Group))
	})
	return all
}

// Migrations returns the migrations in which groups of this node take part, by bucket.
func (n *Node) Migrations() []MigrationStatus { return n.n.status.snapshot().migrations() }
