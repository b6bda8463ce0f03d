package shardkv_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/shardkv"
)

// A source that never answers does not hold up buckets of other sources, and only a few come from each at once.
func TestPullsAreBoundedPerSource(t *testing.T) {
	config := &messages.Config{Version: 2, Owners: make([]uint64, buckets), PreviousOwners: make([]uint64, buckets), MovedVersions: make([]uint64, buckets)}
	for b := range config.Owners {
		config.Owners[b], config.PreviousOwners[b], config.MovedVersions[b] = 1, 2, 2
		if b >= buckets/2 {
			config.PreviousOwners[b] = 3
		}
	}
	for b := range uint32(buckets) {
		config.MovesPending = append(config.MovesPending, b)
	}
	from := map[uint64]int{}
	for _, step := range shardkv.PlanMigrations(1, config, &shardkv.View{}, nil, shardkv.MigrationLimits{}).Steps {
		from[step.Group]++
	}
	require.Equal(t, map[uint64]int{2: 4, 3: 4}, from)
}

// The copy pauses longest; changes pause less, and not at all when they leave the backlog no smaller; the freeze waits for nothing.
func TestPauses(t *testing.T) {
	config := &messages.Config{Version: 2, Owners: []uint64{1}, PreviousOwners: []uint64{2}, MovedVersions: []uint64{2}, MovesPending: []uint32{0}}
	for _, c := range []struct {
		migration shardkv.Migration
		pause     int
		freeze    bool
	}{
		{shardkv.Migration{}, 18, false},
		{shardkv.Migration{BacklogBytes: 1 << 30, Stalls: 1}, 18, false},
		{shardkv.Migration{Copied: true, BacklogBytes: 1 << 30}, 2, false},
		{shardkv.Migration{Copied: true, BacklogBytes: 1 << 30, Stalls: 1}, 0, false},
		{shardkv.Migration{Copied: true, BacklogBytes: 1 << 10}, 0, true},
	} {
		c.migration.State, c.migration.ConfigVersion, c.migration.Counterpart = shardkv.Importing, 2, 2
		view := &shardkv.View{
			Buckets:    []shardkv.BucketView{{State: shardkv.Importing, ConfigVersion: 2, Counterpart: 2}},
			Migrations: []shardkv.Migration{c.migration},
		}
		steps := shardkv.PlanMigrations(1, config, view, nil, shardkv.MigrationLimits{}).Steps
		require.Len(t, steps, 1)
		require.Equal(t, c.pause, steps[0].PauseFactor)
		require.Equal(t, c.freeze, steps[0].Command != nil)
	}
}

// Changes are pulled during the copy when they fill a chunk, but at most every other time.
func TestChangesArePulledDuringTheCopy(t *testing.T) {
	config := &messages.Config{Version: 2, Owners: []uint64{1}, PreviousOwners: []uint64{2}, MovedVersions: []uint64{2}, MovesPending: []uint32{0}}
	for _, c := range []struct {
		migration shardkv.Migration
		changes   bool
	}{
		{shardkv.Migration{NextChunk: 1, BacklogBytes: 999}, false},
		{shardkv.Migration{NextChunk: 1, BacklogBytes: 1000}, true},
		{shardkv.Migration{NextChunk: 2, BacklogBytes: 1 << 30}, false},
		{shardkv.Migration{NextChunk: 3, BacklogBytes: 1 << 30}, true},
		{shardkv.Migration{NextChunk: 3, BacklogBytes: 1 << 30, Copied: true}, false},
	} {
		c.migration.State, c.migration.ConfigVersion, c.migration.Counterpart = shardkv.Importing, 2, 2
		view := &shardkv.View{
			Buckets:    []shardkv.BucketView{{State: shardkv.Importing, ConfigVersion: 2, Counterpart: 2}},
			Migrations: []shardkv.Migration{c.migration},
		}
		steps := shardkv.PlanMigrations(1, config, view, nil, shardkv.MigrationLimits{ChunkBytes: 1000}).Steps
		require.Len(t, steps, 1)
		require.Equal(t, c.changes, steps[0].Pull.ChangesOnly, "%+v", c.migration)
	}
}

// A bucket under constant writes is frozen in the end: the more stalls, the larger the backlog at which it is.
func TestFreezeLimitDoubles(t *testing.T) {
	for _, c := range []struct {
		backlog, stalls uint64
		freeze          bool
	}{{64 << 10, 0, true}, {64<<10 + 1, 0, false}, {64<<10 + 1, 4, true}, {1 << 20, 15, false}, {1 << 20, 16, true}, {64 << 20, 1000, true}, {64<<20 + 1, 1000, false}} {
		view := &shardkv.View{
			Buckets:    []shardkv.BucketView{{Bucket: 3, State: shardkv.Importing, ConfigVersion: 5, Counterpart: 1}},
			Migrations: []shardkv.Migration{{Bucket: 3, State: shardkv.Importing, ConfigVersion: 5, Counterpart: 1, Copied: true, BacklogBytes: c.backlog, Stalls: c.stalls}},
		}
		step := shardkv.PlanMigrations(2, moving(3), view, nil, shardkv.MigrationLimits{}).Steps[0]
		require.Equal(t, c.freeze, step.Command.GetFreezeBucket() != nil, "%+v", c)
	}
}

// A chunk answers a step only if it is of the bucket, the migration, the attempt and the position that the step asked for. Any
// other would be taken for a status of a bucket that it does not speak of.
func TestStepsMatchChunks(t *testing.T) {
	pull := &messages.BucketPull{Bucket: 3, ConfigVersion: 7, Base: 40, Number: 5}
	steps := map[string]shardkv.Step{
		"pull":            {Bucket: 3, Group: 2, Pull: pull},
		"freeze":          {Bucket: 3, Group: 2, Command: &messages.ShardCommand{Op: &messages.ShardCommand_FreezeBucket{FreezeBucket: &messages.FreezeBucket{Pull: pull}}}},
		"start migration": {Bucket: 3, Group: 2, Command: &messages.ShardCommand{Op: &messages.ShardCommand_StartMigration{StartMigration: &messages.StartMigration{Bucket: 3, ConfigVersion: 7}}}},
		"delete":          {Bucket: 3, Group: 2, Command: &messages.ShardCommand{Op: &messages.ShardCommand_DeleteMigrated{DeleteMigrated: &messages.DeleteMigrated{Bucket: 3, ConfigVersion: 7}}}},
	}
	for name, step := range steps {
		right := func() *messages.BucketChunk {
			if name == "pull" || name == "freeze" {
				return &messages.BucketChunk{Bucket: 3, ConfigVersion: 7, Base: 40, Number: 5}
			}
			return &messages.BucketChunk{Bucket: 3, ConfigVersion: 7, Base: 99} // the source says where it begins
		}
		require.True(t, step.Matches(right()), name)
		for what, change := range map[string]func(*messages.BucketChunk){
			"bucket":  func(c *messages.BucketChunk) { c.Bucket++ },
			"move":    func(c *messages.BucketChunk) { c.ConfigVersion-- },
			"attempt": func(c *messages.BucketChunk) { c.Number++ },
		} {
			wrong := right()
			change(wrong)
			require.False(t, step.Matches(wrong), "%s: another %s", name, what)
		}
	}
	again := &messages.BucketChunk{Bucket: 3, ConfigVersion: 7, Base: 41, Number: 5}
	require.False(t, steps["pull"].Matches(again), "of a migration that has begun again")
	require.False(t, shardkv.Step{Bucket: 3, Command: &messages.ShardCommand{Op: &messages.ShardCommand_ResumeServing{}}}.Matches(again), "nothing was asked for that a chunk answers")
}
