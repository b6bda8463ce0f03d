package shardkv_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/shardkv"
)

func startMigration(bucket uint32, version, to uint64) *messages.ShardCommand {
	return &messages.ShardCommand{Op: &messages.ShardCommand_StartMigration{StartMigration: &messages.StartMigration{Bucket: bucket, ConfigVersion: version, Destination: to, MaxChangeLogBytes: 1 << 30}}}
}

func freezeBucket(pull *messages.BucketPull) *messages.ShardCommand {
	return &messages.ShardCommand{Op: &messages.ShardCommand_FreezeBucket{FreezeBucket: &messages.FreezeBucket{Pull: pull}}}
}

func resumeServing(bucket uint32, version uint64, givenUp bool) *messages.ShardCommand {
	return &messages.ShardCommand{Op: &messages.ShardCommand_ResumeServing{ResumeServing: &messages.ResumeServing{Bucket: bucket, ConfigVersion: version, DestinationAbandoned: givenUp}}}
}

func deleteMigrated(bucket uint32, version uint64) *messages.ShardCommand {
	return &messages.ShardCommand{Op: &messages.ShardCommand_DeleteMigrated{DeleteMigrated: &messages.DeleteMigrated{Bucket: bucket, ConfigVersion: version}}}
}

func importChunk(from uint64, c *messages.BucketChunk) *messages.ShardCommand {
	c.Checksum = shardkv.Checksum(c)
	return &messages.ShardCommand{Op: &messages.ShardCommand_ImportChunk{ImportChunk: &messages.ImportChunk{Source: from, Chunk: c}}}
}

func (r *replica) pull(p *messages.BucketPull) *messages.BucketChunk {
	return r.query(&messages.Query{Op: &messages.Query_BucketPull{BucketPull: p}}).Chunk
}

// moving is a config in which one bucket moves from group 1 to group 2.
func moving(id uint32) *messages.Config {
	c := &messages.Config{Version: 5, Owners: make([]uint64, buckets), PreviousOwners: make([]uint64, buckets), MovedVersions: make([]uint64, buckets), MovesPending: []uint32{id}}
	for i := range c.Owners {
		c.Owners[i] = 1
	}
	c.Owners[id], c.PreviousOwners[id], c.MovedVersions[id] = 2, 1, 5
	return c
}

// The source serves a bucket while it migrates, nobody does while it is frozen, and everything that was written arrives:
// data, versions and sessions. Other buckets of the source stay. Every command is applied twice, and the destination restarts
// after each.
func TestMigration(t *testing.T) {
	a, b := newReplica(t, 1, true), newReplica(t, 2, false)
	for i := range 200 {
		a.apply(put(fmt.Sprintf("{x}%d", i), strings.Repeat("v", 5000)))
		a.apply(put(fmt.Sprintf("other%d", i), "stays"))
	}
	id := uint32(messages.BucketOf([]byte("{x}"), buckets))
	config, log, writes, appends := moving(id), "", 0, uint64(0)
	write := func() {
		appends++
		log += "+"
		require.EqualValues(t, len(log), a.apply(appendTo(9, appends, "{x}log", "+")).Number)
		a.apply(put(fmt.Sprintf("{x}%d", writes), "new"))
		a.apply(&messages.Command{Op: &messages.Command_Delete{Delete: &messages.Delete{Key: fmt.Appendf(nil, "{x}%d", 199-writes)}}})
		writes++
	}
	write()
	seen := map[shardkv.State]int{}
	for {
		view := b.m.View().(*shardkv.View)
		seen[a.m.View().(*shardkv.View).Find(id).State]++
		plan := shardkv.PlanMigrations(2, config, view, nil, shardkv.MigrationLimits{ChunkBytes: 100 << 10})
		require.Len(t, plan.Steps, 1)
		require.Empty(t, plan.Completed)
		require.Equal(t, messages.Code_WRONG_GROUP, b.apply(put("{x}1", "too early")).Code)
		var chunk *messages.BucketChunk
		if c := plan.Steps[0].Command; c != nil {
			chunk = a.shard(c).Chunk
			require.True(t, proto.Equal(chunk, a.shard(c).Chunk), "asked twice, answered once")
		} else {
			chunk = a.pull(plan.Steps[0].Pull)
			write() // after it was read
		}
		command, status := shardkv.InterpretChunk(1, chunk)
		require.Nil(t, status)
		b.shard(command)
		b.shard(command)
		if b.restart(); b.m.View().(*shardkv.View).Find(id).State == shardkv.Serving {
			break
		}
	}
	require.Greater(t, seen[shardkv.Migrating], 5)
	require.Equal(t, 1, seen[shardkv.Serving])
	require.Zero(t, seen[shardkv.Frozen], "nothing was left to ask for when it was frozen")
	refused := a.apply(put("{x}1", "too late"))
	require.Equal(t, messages.Code_WRONG_GROUP, refused.Code)
	require.EqualValues(t, 2, refused.Hint.Group)

	plan := shardkv.PlanMigrations(2, config, b.m.View().(*shardkv.View), nil, shardkv.MigrationLimits{})
	require.Len(t, plan.Steps, 1)
	require.True(t, a.shard(plan.Steps[0].Command).Chunk.Abandoned)
	require.True(t, a.shard(plan.Steps[0].Command).Chunk.Abandoned)
	statuses := map[uint32]shardkv.MoveStatus{id: {ConfigVersion: 5, Abandoned: true}}
	require.Len(t, shardkv.PlanMigrations(2, config, b.m.View().(*shardkv.View), statuses, shardkv.MigrationLimits{}).Completed, 1)
	for _, line := range a.dump() {
		require.NotContains(t, line, "{x}")
	}
	for i := range 200 {
		got, found := b.get(fmt.Sprintf("{x}%d", i))
		require.Equal(t, i < 200-writes, found, i)
		require.Equal(t, i < writes, got == "new", i)
		if key := fmt.Sprintf("other%d", i); uint32(messages.BucketOf([]byte(key), buckets)) != id {
			got, _ = a.get(key)
			require.Equal(t, "stays", got)
		}
	}
	require.EqualValues(t, len(log), b.apply(appendTo(9, appends, "{x}log", "+")).Number, "the session moved along")
	require.Greater(t, b.apply(put("{x}1", "new")).Version, uint64(200), "versions go on")
}

// Every command of a migration in every state of a bucket: it makes the next transition, or it changes nothing.
func TestEveryCommandInEveryState(t *testing.T) {
	chunk0 := func(version uint64) *messages.ShardCommand {
		return importChunk(2, &messages.BucketChunk{Bucket: 3, ConfigVersion: version})
	}
	last := importChunk(2, &messages.BucketChunk{Bucket: 3, ConfigVersion: 5, Number: 1, Copied: true, Last: true})
	pull := func(version uint64) *messages.BucketPull {
		return &messages.BucketPull{Bucket: 3, ConfigVersion: version, Copied: true}
	}
	create := &messages.ShardCommand{Op: &messages.ShardCommand_CreateBuckets{CreateBuckets: &messages.CreateBuckets{ConfigVersion: 4, Buckets: []uint32{3}}}}
	states := []struct {
		name string
		by   []*messages.ShardCommand
	}{
		{"unknown", nil},
		{"serving since 4", []*messages.ShardCommand{create}},
		{"migrating for 5", []*messages.ShardCommand{create, startMigration(3, 5, 2)}},
		{"frozen for 5", []*messages.ShardCommand{create, startMigration(3, 5, 2), freezeBucket(pull(5))}},
		{"absent since 5", []*messages.ShardCommand{create, startMigration(3, 5, 2), freezeBucket(pull(5)), deleteMigrated(3, 5)}},
		{"importing for 5", []*messages.ShardCommand{chunk0(5)}},
		{"serving since 5", []*messages.ShardCommand{chunk0(5), last}},
	}
	for _, c := range []struct {
		name    string
		command *messages.ShardCommand
		// the state afterwards, and the status replied, for each of the states above: (r)eady, (n)ot ready, released (g)
		after [7]string
		says  string
	}{
		{"start migration for 5", startMigration(3, 5, 2), [7]string{"absent 5", "migrating 5", "migrating 5", "frozen 5", "absent 5", "importing 5", "serving 5"}, "grrrgnn"},
		{"start migration for 6", startMigration(3, 6, 2), [7]string{"absent 6", "migrating 6", "migrating 6", "frozen 5", "absent 6", "absent 6", "migrating 6"}, "grrnggr"},
		{"start migration for 4", startMigration(3, 4, 2), [7]string{"absent 4", "serving 4", "migrating 5", "frozen 5", "absent 5", "importing 5", "serving 5"}, "gnnngnn"},
		{"freeze bucket for 5", freezeBucket(pull(5)), [7]string{"absent 0", "serving 4", "frozen 5", "frozen 5", "absent 5", "importing 5", "serving 5"}, "nnrrgnn"},
		{"freeze bucket for 6", freezeBucket(pull(6)), [7]string{"absent 0", "serving 4", "migrating 5", "frozen 5", "absent 5", "importing 5", "serving 5"}, "nnnnnnn"},
		{"delete migrated for 5", deleteMigrated(3, 5), [7]string{"absent 0", "serving 4", "migrating 5", "absent 5", "absent 5", "importing 5", "serving 5"}, "nnrggnn"},
		{"resume serving for 6", resumeServing(3, 6, false), [7]string{"absent 0", "serving 6", "serving 6", "frozen 5", "absent 5", "importing 5", "serving 6"}, ""},
		{"resume serving for 6, released", resumeServing(3, 6, true), [7]string{"absent 0", "serving 6", "serving 6", "serving 6", "absent 5", "importing 5", "serving 6"}, ""},
		{"resume serving for 5, released", resumeServing(3, 5, true), [7]string{"absent 0", "serving 5", "migrating 5", "frozen 5", "absent 5", "importing 5", "serving 5"}, ""},
		{"first chunk for 5", chunk0(5), [7]string{"importing 5", "serving 4", "migrating 5", "frozen 5", "absent 5", "importing 5", "serving 5"}, ""},
		{"first chunk for 6", chunk0(6), [7]string{"importing 6", "serving 4", "migrating 5", "importing 6", "importing 6", "importing 6", "serving 5"}, ""},
		{"last chunk for 5", last, [7]string{"absent 0", "serving 4", "migrating 5", "frozen 5", "absent 5", "serving 5", "serving 5"}, ""},
		{"create buckets by 4", create, [7]string{"serving 4", "serving 4", "migrating 5", "frozen 5", "absent 5", "importing 5", "serving 5"}, ""},
	} {
		for i, state := range states {
			t.Run(c.name+", "+state.name, func(t *testing.T) {
				r := newReplica(t, 1, false)
				for _, command := range state.by {
					r.shard(command)
				}
				for range 2 {
					reply := r.shard(c.command)
					view := r.m.View().(*shardkv.View)
					now := view.Find(3)
					if now.State == shardkv.Migrating {
						now.ConfigVersion = view.Migrations[0].ConfigVersion
					}
					require.Equal(t, c.after[i], fmt.Sprintf("%v %d", now.State, now.ConfigVersion))
					if c.says != "" {
						require.Equal(t, c.says[i:i+1], statusOf(reply.Chunk))
					}
					r.restart()
				}
			})
		}
	}
}

func statusOf(c *messages.BucketChunk) string {
	switch {
	case c.Abandoned:
		return "g"
	case c.NotReady:
		return "n"
	}
	return "r"
}
