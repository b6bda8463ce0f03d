package shardkv_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/persistence"
	"github.com/eraft-io/eraft/persistence/memory"
	"github.com/eraft-io/eraft/shardkv"
)

const buckets = 16

// replica is a Machine over a store of its own. Each command is a state batch, unless a test says otherwise.
type replica struct {
	t      *testing.T
	group  messages.GroupID
	m      *shardkv.Machine
	engine *memory.Engine
	index  uint64
	now    uint64
}

func newReplica(t *testing.T, group messages.GroupID, create bool) *replica {
	r := &replica{t: t, group: group, m: shardkv.New(group, buckets), engine: memory.New(), now: 1000}
	require.NoError(t, r.m.Open(r.engine))
	if create {
		var all []uint32
		for b := range uint32(buckets) {
			all = append(all, b)
		}
		r.shard(&messages.ShardCommand{Op: &messages.ShardCommand_CreateBuckets{CreateBuckets: &messages.CreateBuckets{ConfigVersion: 1, Buckets: all}}})
	}
	return r
}

// tx is the plainest possible state batch: reads come from the engine, each write goes there at once.
type tx struct {
	persistence.Reader
	e *memory.Engine
	t *testing.T
}

func (x tx) write(f func(*persistence.Batch)) {
	b := new(persistence.Batch)
	f(b)
	require.NoError(x.t, x.e.Write(b, false))
}
func (x tx) Put(k, v []byte) { x.write(func(b *persistence.Batch) { b.Put(k, v) }) }
func (x tx) Delete(k []byte) { x.write(func(b *persistence.Batch) { b.Delete(k) }) }
func (x tx) DeletePrefix(p []byte) {
	x.write(func(b *persistence.Batch) { b.DeleteRange(p, persistence.PrefixEnd(p)) })
}

func (r *replica) apply(c *messages.Command) *messages.Reply {
	reply := r.applyWithoutFlush(c)
	r.flush()
	return reply
}

// applyWithoutFlush applies a command in a state batch that goes on.
func (r *replica) applyWithoutFlush(c *messages.Command) *messages.Reply {
	r.index++
	encoded, err := proto.Marshal(c)
	require.NoError(r.t, err)
	reply, err := r.m.Apply(tx{r.engine, r.engine, r.t}, persistence.Position{Index: r.index, Term: 1, TimeMs: r.now, Level: messages.NewestLevel}, encoded)
	require.NoError(r.t, err)
	require.Equal(r.t, c.Seq, reply.Seq)
	require.Equal(r.t, c.Session, reply.Session)
	return reply
}

func (r *replica) flush() { require.NoError(r.t, r.m.Flush(tx{r.engine, r.engine, r.t})) }

func (r *replica) shard(c *messages.ShardCommand) *messages.Reply {
	return r.apply(&messages.Command{Op: &messages.Command_Shard{Shard: c}})
}

func (r *replica) restart() {
	r.engine = r.engine.Kill()
	r.m = shardkv.New(r.group, buckets)
	require.NoError(r.t, r.m.Open(r.engine))
}

func (r *replica) query(q *messages.Query) *messages.Reply {
	encoded, err := proto.Marshal(q)
	require.NoError(r.t, err)
	reply, err := r.m.Query(r.engine, encoded)
	require.NoError(r.t, err)
	return reply
}

func (r *replica) get(key string) (string, bool) {
	reply := r.query(&messages.Query{Op: &messages.Query_Get{Get: &messages.Get{Key: []byte(key)}}})
	return string(reply.Value), reply.Found
}

func (r *replica) dump() (all []string) {
	require.NoError(r.t, r.engine.Scan(nil, nil, func(k, v []byte) bool {
		all = append(all, fmt.Sprintf("%q=%q", k, v))
		return true
	}))
	return all
}

func put(key, value string) *messages.Command {
	return &messages.Command{Op: &messages.Command_Put{Put: &messages.Put{Key: []byte(key), Value: []byte(value)}}}
}

func appendTo(session, seq uint64, key, value string) *messages.Command {
	return &messages.Command{Session: session, Seq: seq, Op: &messages.Command_Append{Append: &messages.Append{Key: []byte(key), Value: []byte(value)}}}
}

func incr(key string, by int64) *messages.Command {
	return &messages.Command{Op: &messages.Command_Incr{Incr: &messages.Incr{Key: []byte(key), By: by}}}
}

func TestCommands(t *testing.T) {
	r := newReplica(t, 1, true)
	require.EqualValues(t, 1, r.apply(put("{a}", "1")).Version)
	require.EqualValues(t, 2, r.apply(put("{a}", "2")).Version)
	nx := put("{a}", "3")
	nx.GetPut().Mode = messages.Put_IF_ABSENT
	require.Equal(t, messages.Code_CONFLICT, r.apply(nx).Code)
	xx := put("{a}b", "3")
	xx.GetPut().Mode = messages.Put_IF_PRESENT
	require.Equal(t, messages.Code_CONFLICT, r.apply(xx).Code)
	del := &messages.Command{Op: &messages.Command_Delete{Delete: &messages.Delete{Key: []byte("{a}"), ReturnPrevious: true}}}
	reply := r.apply(del)
	require.True(t, reply.Found)
	require.Equal(t, "2", string(reply.Value))
	require.False(t, r.apply(del).Found)
	require.EqualValues(t, 4, r.apply(put("{a}", "4")).Version, "versions grow over a delete")
	require.EqualValues(t, 5, r.apply(incr("n", 5)).Number)
	require.EqualValues(t, 2, r.apply(incr("n", -3)).Number)
	require.Equal(t, "value is not an integer or out of range", func() string { r.apply(put("n", "x")); return r.apply(incr("n", 1)).Text }())
	r.apply(put("n", "9223372036854775807"))
	require.Equal(t, "increment or decrement would overflow", r.apply(incr("n", 1)).Text)
	require.Equal(t, messages.Code_TOO_LARGE, func() messages.Code {
		r.apply(put("big", strings.Repeat("x", messages.MaxValueBytes)))
		return r.apply(appendTo(0, 0, "big", "y")).Code
	}())
}

func TestCompareAndSwapAndBatch(t *testing.T) {
	r := newReplica(t, 1, true)
	cas := func(c *messages.Condition, value string) *messages.Reply {
		c.Key = []byte("k")
		return r.apply(&messages.Command{Op: &messages.Command_Cas{Cas: &messages.CompareAndSwap{Expect: c, Value: []byte(value)}}})
	}
	first := cas(&messages.Condition{Expect: &messages.Condition_Version{}}, "a")
	require.Equal(t, messages.Code_OK, first.Code)
	lost := cas(&messages.Condition{Expect: &messages.Condition_Exists{Exists: false}}, "b")
	require.Equal(t, messages.Code_CONFLICT, lost.Code)
	require.Equal(t, "a", string(lost.Value))
	require.Equal(t, first.Version, lost.Version)
	require.Equal(t, messages.Code_OK, cas(&messages.Condition{Expect: &messages.Condition_Value{Value: []byte("a")}}, "c").Code)

	batch := func(conditions []*messages.Condition, writes ...*messages.Write) *messages.Reply {
		return r.apply(&messages.Command{Op: &messages.Command_Batch{Batch: &messages.Batch{Conditions: conditions, Writes: writes}}})
	}
	w := func(c *messages.Command) *messages.Write {
		if p := c.GetPut(); p != nil {
			return &messages.Write{Op: &messages.Write_Put{Put: p}}
		}
		return &messages.Write{Op: &messages.Write_Incr{Incr: c.GetIncr()}}
	}
	require.Equal(t, messages.Code_OK, batch(nil, w(put("{t}1", "x")), w(put("{t}2", "5")), w(incr("{t}2", 2))).Code)
	got, _ := r.get("{t}2")
	require.Equal(t, "7", got)
	failed := batch(nil, w(put("{t}1", "lost")), w(incr("{t}1", 1)))
	require.Equal(t, messages.Code_INVALID, failed.Code)
	got, _ = r.get("{t}1")
	require.Equal(t, "x", got, "a batch that fails in the middle writes nothing")
	require.Equal(t, messages.Code_INVALID, batch(nil, w(put("a", "")), w(put("b", ""))).Code, "two slots")
	require.Equal(t, messages.Code_CONFLICT, batch([]*messages.Condition{{Key: []byte("{t}1"), Expect: &messages.Condition_Version{Version: 99}}}, w(put("{t}1", "lost"))).Code)
}

// A retry gets the first reply and is not applied again, over restarts too; a reply that was acknowledged is dropped.
func TestSessionsApplyOnce(t *testing.T) {
	r := newReplica(t, 1, true)
	for range 3 {
		require.EqualValues(t, 1, r.apply(appendTo(7, 1, "k", "a")).Number)
		require.EqualValues(t, 2, r.apply(appendTo(7, 2, "k", "b")).Number)
		r.restart()
	}
	got, _ := r.get("k")
	require.Equal(t, "ab", got)
	c := appendTo(7, 4, "k", "d")
	c.Acked = 3
	r.apply(c)
	late := r.apply(appendTo(7, 1, "k", "a"))
	require.Equal(t, messages.Code_REPLY_DISCARDED, late.Code)
	require.EqualValues(t, 4, r.apply(appendTo(7, 3, "k", "c")).Number, "out of order is fine above the low-water mark")
}

// Thousands of short-lived clients leave a bounded table: sessions whose commands cannot be applied again are evicted, whether the
// deadlines say so or the number of log entries since.
func TestSessionTableIsBounded(t *testing.T) {
	for _, deadline := range []bool{true, false} {
		r := newReplica(t, 1, true)
		for s := range uint64(5000) {
			c := appendTo(s+1, 1, "k", "")
			if r.now += 100; deadline {
				c.DeadlineMs = r.now + 60_000
			} else {
				r.index += 1 << 18 / 600
			}
			r.apply(c)
		}
		sessions, _, _ := r.of("f")
		require.LessOrEqual(t, sessions, 605)
		require.Greater(t, sessions, 590)
	}
}

// When clocks jump, and log time with them, a session with a command without a deadline is not evicted; and it does not keep others
// from being evicted.
func TestLogTimeJumpsEvictNoCommandWithoutDeadline(t *testing.T) {
	r := newReplica(t, 1, true)
	withoutDeadline := appendTo(1, 1, "k", "x")
	first := r.apply(withoutDeadline)
	for s := range uint64(20) {
		other := appendTo(s+2, 1, "k", "")
		other.DeadlineMs = r.now + 10_000
		r.apply(other)
	}
	for range 3 {
		r.now += 700_000
		require.True(t, proto.Equal(first, r.apply(withoutDeadline)), "it is the same command")
		r.apply(put("other", ""))
		r.restart()
	}
	for range 2 {
		r.apply(appendTo(1, 2, "k", ""))
	}
	sessions, _, _ := r.of("f")
	require.LessOrEqual(t, sessions, 5, "those whose deadlines are past are evicted")
	r.index += 1 << 18
	r.apply(appendTo(99, 1, "k", ""))
	require.False(t, proto.Equal(first, r.apply(withoutDeadline)), "nor is it remembered for ever")
}

// The same log in other state batches, and with restarts, gives the same store.
func TestDeterminism(t *testing.T) {
	a, b := newReplica(t, 1, true), newReplica(t, 1, true)
	rng := rand.New(rand.NewPCG(1, 1))
	for i := range 2000 {
		key := fmt.Sprintf("k%d", rng.IntN(30))
		c := []*messages.Command{put(key, fmt.Sprint(i)), incr(key, 1), appendTo(uint64(rng.IntN(5)+1), uint64(i+1), key, "x")}[rng.IntN(3)]
		require.True(t, proto.Equal(a.apply(c), b.apply(c)))
		if rng.IntN(100) == 0 {
			b.restart()
		}
	}
	require.Equal(t, a.dump(), b.dump())
}

func FuzzApplyAndQuery(f *testing.F) {
	seed, err := proto.Marshal(put("a", "b"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Fuzz(func(t *testing.T, bytes []byte) {
		r := newReplica(t, 1, true)
		if shardkv.Checker(nil, bytes) == nil {
			_, err := r.m.Apply(tx{r.engine, r.engine, t}, persistence.Position{Index: 9}, bytes)
			require.NoError(t, err, "what the checker lets through must not stop a node")
		}
		_, err := r.m.Query(r.engine, bytes)
		require.NoError(t, err)
	})
}
