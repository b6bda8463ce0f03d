package shardkv_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/shardkv"
)

// A giver that never answers does not keep buckets of other givers away, and each gives only a few at once.
func TestPullsAreBoundedPerGiver(t *testing.T) {
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
	for _, ask := range shardkv.PlanMigrations(1, config, &shardkv.View{}, nil, shardkv.MigrationLimits{}).Steps {
		from[ask.Group]++
	}
	require.Equal(t, map[uint64]int{2: 4, 3: 4}, from)
}

// Copying rests longest; changes rest less, and not at all when they bring the copy no nearer; the freeze waits for nothing.
func TestRests(t *testing.T) {
	config := &messages.Config{Version: 2, Owners: []uint64{1}, PreviousOwners: []uint64{2}, MovedVersions: []uint64{2}, MovesPending: []uint32{0}}
	for _, c := range []struct {
		transit shardkv.Migration
		rest    int
		freeze  bool
	}{
		{shardkv.Migration{}, 18, false},
		{shardkv.Migration{BacklogBytes: 1 << 30, Stalls: 1}, 18, false},
		{shardkv.Migration{Copied: true, BacklogBytes: 1 << 30}, 2, false},
		{shardkv.Migration{Copied: true, BacklogBytes: 1 << 30, Stalls: 1}, 0, false},
		{shardkv.Migration{Copied: true, BacklogBytes: 1 << 10}, 0, true},
	} {
		c.transit.State, c.transit.ConfigVersion, c.transit.Counterpart = shardkv.Importing, 2, 2
		view := &shardkv.View{
			Buckets:    []shardkv.BucketView{{State: shardkv.Importing, ConfigVersion: 2, Counterpart: 2}},
			Migrations: []shardkv.Migration{c.transit},
		}
		asks := shardkv.PlanMigrations(1, config, view, nil, shardkv.MigrationLimits{}).Steps
		require.Len(t, asks, 1)
		require.Equal(t, c.rest, asks[0].PauseFactor)
		require.Equal(t, c.freeze, asks[0].Command != nil)
	}
}

// Changes are taken while the copying goes on, when they fill a chunk, but the copying goes on.
func TestChangesComeBetween(t *testing.T) {
	config := &messages.Config{Version: 2, Owners: []uint64{1}, PreviousOwners: []uint64{2}, MovedVersions: []uint64{2}, MovesPending: []uint32{0}}
	for _, c := range []struct {
		transit shardkv.Migration
		changes bool
	}{
		{shardkv.Migration{NextChunk: 1, BacklogBytes: 999}, false},
		{shardkv.Migration{NextChunk: 1, BacklogBytes: 1000}, true},
		{shardkv.Migration{NextChunk: 2, BacklogBytes: 1 << 30}, false},
		{shardkv.Migration{NextChunk: 3, BacklogBytes: 1 << 30}, true},
		{shardkv.Migration{NextChunk: 3, BacklogBytes: 1 << 30, Copied: true}, false},
	} {
		c.transit.State, c.transit.ConfigVersion, c.transit.Counterpart = shardkv.Importing, 2, 2
		view := &shardkv.View{
			Buckets:    []shardkv.BucketView{{State: shardkv.Importing, ConfigVersion: 2, Counterpart: 2}},
			Migrations: []shardkv.Migration{c.transit},
		}
		asks := shardkv.PlanMigrations(1, config, view, nil, shardkv.MigrationLimits{ChunkBytes: 1000}).Steps
		require.Len(t, asks, 1)
		require.Equal(t, c.changes, asks[0].Pull.ChangesOnly, "%+v", c.transit)
	}
}

// A chunk counts for a step only if it is of the bucket, move, copying and place in it that the step asked for. One of another
// attempt, or that another life of the asker has asked for, would be taken for a word about a bucket that it does not speak of.
func TestAnswersAreMatchedInFull(t *testing.T) {
	pull := &messages.BucketPull{Bucket: 3, ConfigVersion: 7, Base: 40, Number: 5}
	steps := map[string]shardkv.Step{
		"pull":   {Bucket: 3, Group: 2, Pull: pull},
		"freeze": {Bucket: 3, Group: 2, Command: &messages.ShardCommand{Op: &messages.ShardCommand_FreezeBucket{FreezeBucket: &messages.FreezeBucket{Pull: pull}}}},
		"give":   {Bucket: 3, Group: 2, Command: &messages.ShardCommand{Op: &messages.ShardCommand_StartMigration{StartMigration: &messages.StartMigration{Bucket: 3, ConfigVersion: 7}}}},
		"drop":   {Bucket: 3, Group: 2, Command: &messages.ShardCommand{Op: &messages.ShardCommand_DeleteMigrated{DeleteMigrated: &messages.DeleteMigrated{Bucket: 3, ConfigVersion: 7}}}},
	}
	for name, step := range steps {
		right := func() *messages.BucketChunk {
			if name == "pull" || name == "freeze" {
				return &messages.BucketChunk{Bucket: 3, ConfigVersion: 7, Base: 40, Number: 5}
			}
			return &messages.BucketChunk{Bucket: 3, ConfigVersion: 7, Base: 99} // the giver says where it begins
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
	require.False(t, steps["pull"].Matches(again), "of a copying that has begun again")
	require.False(t, shardkv.Step{Bucket: 3, Command: &messages.ShardCommand{Op: &messages.ShardCommand_ResumeServing{}}}.Matches(again), "nothing was asked for that a chunk answers")
}
