package shardkv_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/shardkv"
)

// world is three groups and a config chain. Some leaders know only an old config, and their commands reach a log late, twice, or
// never.
type world struct {
	t        *testing.T
	rand     *rand.Rand
	chain    []*messages.Config
	groups   map[uint64]*replica
	statuses map[uint64]map[uint32]shardkv.MoveStatus // by group, then by bucket; lost when another replica leads
	limits   shardkv.MigrationLimits
	late     []lateCommand
	wrote    map[uint32]int64 // the number that the counter of a bucket must have
	key      map[uint32]string
}

type lateCommand struct {
	group   uint64
	command *messages.ShardCommand
}

func newWorld(t *testing.T, seed uint64) *world {
	w := &world{t: t, rand: rand.New(rand.NewPCG(seed, 1)), groups: map[uint64]*replica{}, statuses: map[uint64]map[uint32]shardkv.MoveStatus{}, wrote: map[uint32]int64{}, key: map[uint32]string{}}
	for g := uint64(1); g <= 3; g++ {
		w.groups[g] = newReplica(t, messages.GroupID(g), false)
	}
	w.limits = shardkv.MigrationLimits{ChunkBytes: 1 + w.rand.IntN(200), MaxChangeLogBytes: 1 << 20}
	if w.rand.IntN(3) == 0 {
		w.limits.MaxChangeLogBytes = 200 // migrations are aborted and begin again
	}
	for i := 0; len(w.key) < buckets; i++ {
		key := fmt.Sprint("k", i)
		w.key[uint32(messages.BucketOf([]byte(key), buckets))] = key
	}
	first := &messages.Config{Version: 1, Owners: make([]uint64, buckets), PreviousOwners: make([]uint64, buckets), MovedVersions: make([]uint64, buckets)}
	for b := range first.Owners {
		first.Owners[b], first.MovedVersions[b] = 1, 1
		first.MovesPending = append(first.MovesPending, uint32(b))
	}
	w.chain = []*messages.Config{first}
	return w
}

func (w *world) newest() *messages.Config { return w.chain[len(w.chain)-1] }

// appendConfig appends a config, as meta would: a bucket whose move is pending may only be called back.
func (w *world) appendConfig(change func(*messages.Config)) {
	next := proto.Clone(w.newest()).(*messages.Config)
	next.Version++
	change(next)
	w.chain = append(w.chain, next)
}

func (w *world) move() {
	w.appendConfig(func(c *messages.Config) {
		var still []uint32
		moving := map[uint32]bool{}
		for _, b := range c.MovesPending {
			moving[b] = true
		}
		for b := range uint32(buckets) {
			if to := w.rand.Uint64N(3) + 1; !moving[b] && w.rand.IntN(4) == 0 && to != c.Owners[b] {
				c.PreviousOwners[b], c.Owners[b], c.MovedVersions[b] = c.Owners[b], to, c.Version
				moving[b] = true
			}
			if i, back := slices.BinarySearch(c.Reverting, b); moving[b] && !back && c.PreviousOwners[b] != 0 && c.MovedVersions[b] < c.Version && w.rand.IntN(4) == 0 {
				c.PreviousOwners[b], c.Owners[b], c.MovedVersions[b] = c.Owners[b], c.PreviousOwners[b], c.Version // called back
				c.Reverting = slices.Insert(c.Reverting, i, b)
			}
			if moving[b] {
				still = append(still, b)
			}
		}
		c.MovesPending = still
	})
}

// runLeader has the leader of a group take its steps by a config. Late: its commands are kept back.
func (w *world) runLeader(g uint64, c *messages.Config, late bool) {
	r := w.groups[g]
	if w.statuses[g] == nil || w.rand.IntN(8) == 0 {
		w.statuses[g] = map[uint32]shardkv.MoveStatus{}
	}
	write := func(to uint64, command *messages.ShardCommand) *messages.Reply {
		if late {
			w.late = append(w.late, lateCommand{to, command})
			return nil
		}
		return w.groups[to].shard(command)
	}
	plan := shardkv.PlanMigrations(r.group, c, r.m.View().(*shardkv.View), w.statuses[g], w.limits)
	for _, step := range plan.Steps {
		var reply *messages.Reply
		if step.Command != nil {
			reply = write(step.Group, step.Command)
		} else {
			reply = w.groups[step.Group].query(&messages.Query{Op: &messages.Query_BucketPull{BucketPull: step.Pull}})
		}
		if reply.GetChunk() == nil || step.Group == g {
			continue
		}
		command, status := shardkv.InterpretChunk(step.Group, reply.Chunk)
		if status != nil {
			w.statuses[g][step.Bucket] = *status
			continue
		}
		delete(w.statuses[g], step.Bucket)
		write(g, command)
	}
	for _, move := range plan.Completed {
		w.completeMove(move.Bucket, move.ConfigVersion)
	}
}

func (w *world) completeMove(b uint32, version uint64) {
	if w.newest().MovedVersions[b] == version && w.newest().HasPendingMove(b) {
		w.appendConfig(func(c *messages.Config) {
			is := func(other uint32) bool { return other == b }
			c.MovesPending, c.Reverting = slices.DeleteFunc(c.MovesPending, is), slices.DeleteFunc(c.Reverting, is)
		})
	}
}

// check holds the rule: a bucket is served by one group at most, and that one has everything.
func (w *world) check(all bool) {
	for b, key := range w.key {
		serving := 0
		for g := uint64(1); g <= 3; g++ {
			again := incr(key, 1)
			again.Session, again.Seq = uint64(b)+1, uint64(w.wrote[b])
			if again.Seq > 0 && w.groups[g].apply(again).Code == messages.Code_OK {
				require.Equal(w.t, w.wrote[b], w.groups[g].apply(again).Number, "bucket %d forgot its session on its way to group %d", b, g)
			}
			next := incr(key, 1)
			next.Session, next.Seq, next.Acked = again.Session, again.Seq+1, again.Seq
			reply := w.groups[g].apply(next)
			if reply.Code == messages.Code_OK {
				serving++
				w.wrote[b]++
				require.Equal(w.t, w.wrote[b], reply.Number, "bucket %d lost writes on its way to group %d", b, g)
			}
		}
		require.LessOrEqual(w.t, serving, 1, "bucket %d", b)
		require.True(w.t, serving == 1 || !all, "bucket %d is served by nobody", b)
	}
}

func TestMigrationByLaggingLeaders(t *testing.T) {
	for seed := range uint64(30) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			w := newWorld(t, seed)
			for range 150 {
				switch n := w.rand.IntN(10); {
				case n == 0:
					w.move()
				case n <= 2 && len(w.late) > 0:
					c := w.late[w.rand.IntN(len(w.late))] // may come again
					w.groups[c.group].shard(c.command)
				case n == 3:
					w.groups[w.rand.Uint64N(3)+1].restart()
				case n <= 5:
					w.runLeader(w.rand.Uint64N(3)+1, w.chain[w.rand.IntN(len(w.chain))], w.rand.IntN(2) == 0)
				default:
					w.runLeader(w.rand.Uint64N(3)+1, w.newest(), w.rand.IntN(4) == 0)
				}
				w.check(false)
			}
			for rounds := 0; len(w.newest().MovesPending) > 0; rounds++ {
				require.Less(t, rounds, 1000, "stuck: %v", w.newest().MovesPending)
				for g := uint64(1); g <= 3; g++ {
					w.runLeader(g, w.newest(), false)
				}
			}
			w.check(true)
		})
	}
}
