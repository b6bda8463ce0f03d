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

// moving is a config in which one bucket of group 1 is on its way to group 2.
func moving(id uint32) *messages.Config {
	c := &messages.Config{Version: 5, Owners: make([]uint64, buckets), PreviousOwners: make([]uint64, buckets), MovedVersions: make([]uint64, buckets), MovesPending: []uint32{id}}
	for i := range c.Owners {
		c.Owners[i] = 1
	}
	c.Owners[id], c.PreviousOwners[id], c.MovedVersions[id] = 2, 1, 5
	return c
}

// A bucket is served by its giver while it travels and by nobody while it is frozen, and all that was written arrives:
// data, versions and sessions. The giver's other buckets stay. Every command comes twice, and the taker forgets at times.
func TestHandOver(t *testing.T) {
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
		steps := shardkv.PlanMigrations(2, config, view, nil, shardkv.MigrationLimits{ChunkBytes: 100 << 10})
		require.Len(t, steps.Steps, 1)
		require.Empty(t, steps.Completed)
		require.Equal(t, messages.Code_WRONG_GROUP, b.apply(put("{x}1", "too early")).Code)
		var chunk *messages.BucketChunk
		if c := steps.Steps[0].Command; c != nil {
			chunk = a.shard(c).Chunk
			require.True(t, proto.Equal(chunk, a.shard(c).Chunk), "asked twice, answered once")
		} else {
			chunk = a.pull(steps.Steps[0].Pull)
			write() // after it was read
		}
		command, word := shardkv.InterpretChunk(1, chunk)
		require.Nil(t, word)
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

	steps := shardkv.PlanMigrations(2, config, b.m.View().(*shardkv.View), nil, shardkv.MigrationLimits{})
	require.Len(t, steps.Steps, 1)
	require.True(t, a.shard(steps.Steps[0].Command).Chunk.Abandoned)
	require.True(t, a.shard(steps.Steps[0].Command).Chunk.Abandoned)
	word := map[uint32]shardkv.MoveStatus{id: {ConfigVersion: 5, Abandoned: true}}
	require.Len(t, shardkv.PlanMigrations(2, config, b.m.View().(*shardkv.View), word, shardkv.MigrationLimits{}).Completed, 1)
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

// Every command about a hand-over in every state of a bucket: it takes the next step, or it changes nothing.
func TestEveryCommandInEveryState(t *testing.T) {
	chunk0 := func(version uint64) *messages.ShardCommand {
		return importChunk(2, &messages.BucketChunk{Bucket: 3, ConfigVersion: version})
	}
	last := importChunk(2, &messages.BucketChunk{Bucket: 3, ConfigVersion: 5, Number: 1, Copied: true, Last: true})
	pull := func(version uint64) *messages.BucketPull {
		return &messages.BucketPull{Bucket: 3, ConfigVersion: version, Copied: true}
	}
	adopt := &messages.ShardCommand{Op: &messages.ShardCommand_CreateBuckets{CreateBuckets: &messages.CreateBuckets{ConfigVersion: 4, Buckets: []uint32{3}}}}
	states := []struct {
		name string
		by   []*messages.ShardCommand
	}{
		{"unknown", nil},
		{"serving since 4", []*messages.ShardCommand{adopt}},
		{"giving for 5", []*messages.ShardCommand{adopt, startMigration(3, 5, 2)}},
		{"frozen for 5", []*messages.ShardCommand{adopt, startMigration(3, 5, 2), freezeBucket(pull(5))}},
		{"gone since 5", []*messages.ShardCommand{adopt, startMigration(3, 5, 2), freezeBucket(pull(5)), deleteMigrated(3, 5)}},
		{"installing for 5", []*messages.ShardCommand{chunk0(5)}},
		{"serving since 5", []*messages.ShardCommand{chunk0(5), last}},
	}
	for _, c := range []struct {
		name    string
		command *messages.ShardCommand
		// what is in the states above afterwards, and what is said there: ready, not ready, gone
		after [7]string
		says  string
	}{
		{"give for 5", startMigration(3, 5, 2), [7]string{"none 5", "giving 5", "giving 5", "frozen 5", "none 5", "installing 5", "serving 5"}, "grrrgnn"},
		{"give for 6", startMigration(3, 6, 2), [7]string{"none 6", "giving 6", "giving 6", "frozen 5", "none 6", "none 6", "giving 6"}, "grrnggr"},
		{"give for 4", startMigration(3, 4, 2), [7]string{"none 4", "serving 4", "giving 5", "frozen 5", "none 5", "installing 5", "serving 5"}, "gnnngnn"},
		{"freeze for 5", freezeBucket(pull(5)), [7]string{"none 0", "serving 4", "frozen 5", "frozen 5", "none 5", "installing 5", "serving 5"}, "nnrrgnn"},
		{"freeze for 6", freezeBucket(pull(6)), [7]string{"none 0", "serving 4", "giving 5", "frozen 5", "none 5", "installing 5", "serving 5"}, "nnnnnnn"},
		{"drop for 5", deleteMigrated(3, 5), [7]string{"none 0", "serving 4", "giving 5", "none 5", "none 5", "installing 5", "serving 5"}, "nnrggnn"},
		{"keep for 6", resumeServing(3, 6, false), [7]string{"none 0", "serving 6", "serving 6", "frozen 5", "none 5", "installing 5", "serving 6"}, ""},
		{"keep for 6, given up", resumeServing(3, 6, true), [7]string{"none 0", "serving 6", "serving 6", "serving 6", "none 5", "installing 5", "serving 6"}, ""},
		{"keep for 5, given up", resumeServing(3, 5, true), [7]string{"none 0", "serving 5", "giving 5", "frozen 5", "none 5", "installing 5", "serving 5"}, ""},
		{"first chunk for 5", chunk0(5), [7]string{"installing 5", "serving 4", "giving 5", "frozen 5", "none 5", "installing 5", "serving 5"}, ""},
		{"first chunk for 6", chunk0(6), [7]string{"installing 6", "serving 4", "giving 5", "installing 6", "installing 6", "installing 6", "serving 5"}, ""},
		{"last chunk for 5", last, [7]string{"none 0", "serving 4", "giving 5", "frozen 5", "none 5", "serving 5", "serving 5"}, ""},
		{"adopt by 4", adopt, [7]string{"serving 4", "serving 4", "giving 5", "frozen 5", "none 5", "installing 5", "serving 5"}, ""},
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

// When more has changed than the tail may hold, the hand-over is off; the copying begins again on what is there then.
func TestTailIsBounded(t *testing.T) {
	a, b := newReplica(t, 1, true), newReplica(t, 2, false)
	id := uint32(messages.BucketOf([]byte("k"), buckets))
	begin := startMigration(id, 5, 2)
	begin.GetStartMigration().MaxChangeLogBytes = 1000
	b.shard(importChunk(1, a.shard(begin).Chunk))
	for i := range 80 {
		a.apply(put("k", fmt.Sprint(i)))
	}
	require.Equal(t, shardkv.Serving, a.m.View().(*shardkv.View).Find(id).State)
	for _, line := range a.dump() {
		require.False(t, strings.HasPrefix(line, `"t`), "%s", line)
	}
	config, words := moving(id), map[uint32]shardkv.MoveStatus{}
	ask := shardkv.PlanMigrations(2, config, b.m.View().(*shardkv.View), words, shardkv.MigrationLimits{}).Steps[0]
	_, word := shardkv.InterpretChunk(1, a.pull(ask.Pull))
	require.True(t, word.NotReady)
	words[id] = *word
	ask = shardkv.PlanMigrations(2, config, b.m.View().(*shardkv.View), words, shardkv.MigrationLimits{}).Steps[0]
	again := a.shard(ask.Command).Chunk
	require.Positive(t, again.Base)
	b.shard(importChunk(1, again))
	require.Equal(t, again.Base, b.m.View().(*shardkv.View).Migrations[0].Base)
}

// A bucket under constant writes is frozen in the end: the more often the copy came no nearer, the more may be missing.
func TestFreezeComesNearer(t *testing.T) {
	for _, c := range []struct {
		behind, stalls uint64
		freeze         bool
	}{{64 << 10, 0, true}, {64<<10 + 1, 0, false}, {64<<10 + 1, 4, true}, {1 << 20, 15, false}, {1 << 20, 16, true}, {64 << 20, 1000, true}, {64<<20 + 1, 1000, false}} {
		view := &shardkv.View{
			Buckets:    []shardkv.BucketView{{Bucket: 3, State: shardkv.Importing, ConfigVersion: 5, Counterpart: 1}},
			Migrations: []shardkv.Migration{{Bucket: 3, State: shardkv.Importing, ConfigVersion: 5, Counterpart: 1, Copied: true, BacklogBytes: c.behind, Stalls: c.stalls}},
		}
		ask := shardkv.PlanMigrations(2, moving(3), view, nil, shardkv.MigrationLimits{}).Steps[0]
		require.Equal(t, c.freeze, ask.Command.GetFreezeBucket() != nil, "%+v", c)
	}
}

// A chunk that came from nowhere good is refused, before the log and in it, whatever its checksum says.
// Small records cost by their number, so a chunk has few of them, until the bucket is frozen: then clients wait.
func TestChunksHaveFewRecords(t *testing.T) {
	a := newReplica(t, 1, true)
	id := uint32(messages.BucketOf([]byte("{x}"), buckets))
	fill := func() {
		for i := range 600 {
			a.apply(put(fmt.Sprintf("{x}%d", i), "v"))
		}
	}
	fill()
	chunk := a.shard(startMigration(id, 5, 2)).Chunk
	var sizes []int
	pull := &messages.BucketPull{Bucket: id, ConfigVersion: 5, Base: chunk.Base, ChangeLogPosition: chunk.ChangeLogPosition}
	for !chunk.Copied {
		pull.After = chunk.Cursor
		chunk = a.pull(pull)
		sizes = append(sizes, len(chunk.Pairs))
	}
	require.Equal(t, []int{256, 256, 88}, sizes)
	fill()
	pull.Copied = true
	require.Len(t, a.pull(pull).Pairs, 256)
	last := a.shard(freezeBucket(pull)).Chunk
	require.Len(t, last.Pairs, 600)
	require.True(t, last.Last)
}

func TestDamagedChunksAreRefused(t *testing.T) {
	for name, pair := range map[string]*messages.Pair{
		"no key":                {},
		"value without version": {Key: []byte("dk"), Value: []byte{0x80}},
		"no kind of record":     {Key: []byte("o"), Value: []byte{9}},
		"no session":            {Key: []byte("s12345678"), Value: []byte{7}},
		"no session id":         {Key: []byte("s1"), Value: []byte{1, 0, 0, 0, 0}},
	} {
		c := importChunk(2, &messages.BucketChunk{ConfigVersion: 1, Bucket: 3, Pairs: []*messages.Pair{pair}})
		encoded, err := proto.Marshal(&messages.Command{Op: &messages.Command_Shard{Shard: c}})
		require.NoError(t, err)
		require.Equal(t, messages.Code_INVALID, shardkv.Checker(nil, encoded).Code, name)
		r := newReplica(t, 1, false)
		require.Equal(t, messages.Code_INVALID, r.shard(c).Code, name)
		require.Empty(t, r.dump(), name)
	}
	good := importChunk(2, &messages.BucketChunk{ConfigVersion: 1, Bucket: 3, Base: 7, Pairs: []*messages.Pair{{Key: []byte("dk"), Value: []byte{1, 'v'}}}})
	for name, harm := range map[string]func(*messages.BucketChunk){
		"a bit of a value": func(c *messages.BucketChunk) { c.Pairs[0].Value[1] ^= 1 },
		"the end":          func(c *messages.BucketChunk) { c.Last = true },
		"a number":         func(c *messages.BucketChunk) { c.Base++ },
	} {
		c := proto.CloneOf(good)
		harm(c.GetImportChunk().Chunk)
		require.Equal(t, messages.Code_INVALID, newReplica(t, 1, false).shard(c).Code, name)
	}
}

// Only chunks of the tail that bring the taker no nearer count against the pause that a freeze may cost.
func TestStallsAreChunksWithoutProgress(t *testing.T) {
	r := newReplica(t, 2, false)
	r.shard(importChunk(1, &messages.BucketChunk{Bucket: 3, ConfigVersion: 5}))
	for i, c := range []struct{ behind, stalls uint64 }{{500, 0}, {400, 0}, {300, 0}, {300, 1}, {350, 2}, {200, 2}} {
		r.shard(importChunk(1, &messages.BucketChunk{Bucket: 3, ConfigVersion: 5, Number: uint64(i + 1), Copied: true, BacklogBytes: c.behind}))
		require.Equal(t, c.stalls, r.m.View().(*shardkv.View).Migrations[0].Stalls, "chunk %d", i+1)
	}
}
