package shardkv_test

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/persistence"
	"github.com/eraft-io/eraft/shardkv"
)

// newReplicaOf is a replica that serves all buckets of a cluster with that many.
func newReplicaOf(t *testing.T, count int) *replica {
	r := newReplica(t, 1, false)
	r.m = shardkv.New(1, count)
	require.NoError(t, r.m.Open(r.engine))
	create := &messages.CreateBuckets{ConfigVersion: 1}
	for b := range uint32(count) {
		create.Buckets = append(create.Buckets, b)
	}
	r.shard(&messages.ShardCommand{Op: &messages.ShardCommand_CreateBuckets{CreateBuckets: create}})
	return r
}

// setIfAbsent replies with the value that is there, as SET NX GET does.
func setIfAbsent(session, seq uint64, key string) *messages.Command {
	return &messages.Command{Session: session, Seq: seq, Acked: 1, Op: &messages.Command_Put{
		Put: &messages.Put{Key: []byte(key), Value: []byte("x"), Mode: messages.Put_IF_ABSENT, ReturnPrevious: true},
	}}
}

// of counts the records of some kinds, their bytes, and the bytes of the largest.
func (r *replica) of(kinds string) (records, bytes, largest int) {
	require.NoError(r.t, r.engine.Scan(nil, nil, func(k, v []byte) bool {
		if strings.IndexByte(kinds, k[0]) >= 0 {
			records, bytes, largest = records+1, bytes+len(k)+len(v), max(largest, len(k)+len(v))
		}
		return true
	}))
	return records, bytes, largest
}

// Requests whose replies are large leave small records, and a retry hears that the command was carried out.
func TestLargeAnswersAreNotKept(t *testing.T) {
	r := newReplica(t, 1, true)
	r.apply(put("big", strings.Repeat("v", messages.MaxValueBytes)))
	for seq := range uint64(256) {
		reply := r.applyWithoutFlush(setIfAbsent(7, seq+1, "big"))
		require.Equal(t, messages.Code_CONFLICT, reply.Code)
		require.Len(t, reply.Value, messages.MaxValueBytes)
	}
	r.flush()
	_, bytes, largest := r.of("sfr")
	require.Less(t, bytes, 128<<10)
	require.Less(t, largest, shardkv.MaxSavedReply)
	again := r.apply(setIfAbsent(7, 9, "big"))
	require.Equal(t, messages.Code_REPLY_DISCARDED, again.Code)
	require.Contains(t, again.Text, "changed nothing")

	take := func(seq uint64, key string) *messages.Command {
		return &messages.Command{Session: 7, Seq: seq, Acked: 1, Op: &messages.Command_Delete{Delete: &messages.Delete{Key: []byte(key), ReturnPrevious: true}}}
	}
	require.Len(t, r.apply(take(300, "big")).Value, messages.MaxValueBytes)
	r.apply(put("big", "back"))
	for range 2 {
		again = r.apply(take(300, "big"))
		require.Equal(t, messages.Code_REPLY_DISCARDED, again.Code)
		require.Contains(t, again.Text, "carried out")
		require.True(t, again.Found)
		r.restart()
	}
	got, _ := r.get("big")
	require.Equal(t, "back", got, "it is not carried out again")
	r.apply(put("small", "v"))
	require.Equal(t, "v", string(r.apply(take(301, "small")).Value))
	require.Equal(t, "v", string(r.apply(take(301, "small")).Value), "small answers are kept")
}

// move migrates a bucket from a to b, and checks the size of every chunk.
func move(t *testing.T, a, b *replica, id uint32, limits shardkv.MigrationLimits, meanwhile func()) (chunks int) {
	for b.m.View().(*shardkv.View).Find(id).State != shardkv.Serving {
		chunks++
		require.Less(t, chunks, 100_000)
		steps := shardkv.PlanMigrations(2, moving(id), b.m.View().(*shardkv.View), nil, limits).Steps
		require.Len(t, steps, 1)
		var c *messages.BucketChunk
		if steps[0].Command != nil {
			c = a.shard(steps[0].Command).Chunk
		} else if c = a.pull(steps[0].Pull); meanwhile != nil {
			meanwhile()
		}
		command, status := shardkv.InterpretChunk(1, c)
		require.Nil(t, status)
		encoded, err := proto.Marshal(&messages.Command{Op: &messages.Command_Shard{Shard: command}})
		require.NoError(t, err)
		require.Less(t, len(encoded), messages.MaxCommandBytes)
		require.Nil(t, shardkv.Checker(nil, encoded))
		require.Equal(t, messages.Code_OK, b.shard(command).Code)
		b.restart()
	}
	return chunks
}

func TestBucketOfLargeAnswersMoves(t *testing.T) {
	a, b := newReplica(t, 1, true), newReplica(t, 2, false)
	id := uint32(messages.BucketOf([]byte("{x}"), buckets))
	key := func(i uint64) string { return fmt.Sprint("{x}", i) }
	for i := range uint64(12) {
		a.apply(put(key(i), strings.Repeat("v", messages.MaxValueBytes)))
	}
	seq := uint64(0)
	ask := func() {
		if seq < 12 {
			require.Len(t, a.apply(setIfAbsent(9, seq+1, key(seq))).Value, messages.MaxValueBytes)
			seq++
		}
	}
	for range 6 {
		ask()
	}
	move(t, a, b, id, shardkv.MigrationLimits{}, ask)
	require.EqualValues(t, 12, seq, "also while it moved")
	for i := range seq {
		require.Equal(t, messages.Code_REPLY_DISCARDED, b.apply(setIfAbsent(9, i+1, key(i))).Code)
	}
}

// Records of a program that kept whole replies, all of a session and bucket in one record, are read, migrate, and are replaced by
// the first flush.
func TestRecordsOfWholeSessionsAreRead(t *testing.T) {
	a, b := newReplica(t, 1, true), newReplica(t, 2, false)
	id := uint32(messages.BucketOf([]byte("{x}"), buckets))
	record := func(acked, used uint64, replies ...*messages.Reply) []byte {
		out := []byte{1}
		for _, n := range []uint64{acked, 1000, used, uint64(len(replies))} {
			out = binary.AppendUvarint(out, n)
		}
		for _, r := range replies {
			body, err := proto.MarshalOptions{Deterministic: true}.Marshal(r)
			require.NoError(t, err)
			out = append(binary.AppendUvarint(out, uint64(len(body))), body...)
		}
		return out
	}
	key := func(bucket uint32, session uint64) []byte {
		return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint32([]byte{'s'}, bucket), session)
	}
	var large []*messages.Reply
	for seq := range uint64(40) {
		large = append(large, &messages.Reply{Session: 9, Seq: seq + 3, Code: messages.Code_CONFLICT, Found: true, Value: make([]byte, messages.MaxValueBytes)})
	}
	x := tx{a.engine, a.engine, t}
	x.Put(key(id, 9), record(3, 1<<20|1, large...))
	x.Put(key(id, 10), record(1, 1<<20|2, &messages.Reply{Session: 10, Seq: 1, Number: 77}))
	x.Put(key(id^1, 9), record(2, 1<<20|3))
	// A chunk that such a program made is still in the log, with such records.
	chunk := &messages.BucketChunk{Bucket: id, ConfigVersion: 4, Pairs: []*messages.Pair{{Key: append([]byte{'s'}, key(id, 10)[5:]...), Value: record(1, 1, &messages.Reply{Session: 10, Seq: 1, Number: 77})}}}
	require.Equal(t, messages.Code_OK, b.shard(importChunk(3, chunk)).Code)

	a.restart()
	check := func(r *replica) {
		require.Equal(t, messages.Code_REPLY_DISCARDED, r.apply(appendTo(9, 2, "{x}", "twice")).Code, "acknowledged")
		require.Equal(t, messages.Code_REPLY_DISCARDED, r.apply(appendTo(9, 3, "{x}", "twice")).Code)
		require.EqualValues(t, 77, r.apply(appendTo(10, 1, "{x}", "twice")).Number)
	}
	check(a)
	records, _, _ := a.of("s")
	require.Zero(t, records)
	_, _, largest := a.of("fr")
	require.Less(t, largest, shardkv.MaxSavedReply)
	a.restart()
	check(a)
	move(t, a, b, id, shardkv.MigrationLimits{}, nil)
	check(b)
}

// A request that stays unanswered keeps all later replies of its session: each is written once, and beyond a bound no further command
// is applied until it is answered.
func TestAnswersOfASessionAreBounded(t *testing.T) {
	r := newReplica(t, 1, true)
	written, seq := 0, uint64(0)
	for r.applyWithoutFlush(appendTo(7, seq+1, "k", "")).Code == messages.Code_OK {
		if seq++; seq%1000 == 0 {
			_, before, _ := r.of("sfr")
			r.flush()
			_, after, _ := r.of("sfr")
			require.Less(t, after-before, 1000*64)
			require.GreaterOrEqual(t, after, before)
			written = after
		}
		require.Less(t, seq, uint64(1_000_000))
	}
	require.Greater(t, seq, uint64(100_000))
	require.Less(t, written, shardkv.MaxSessionBytes)
	_, _, largest := r.of("sfr")
	require.Less(t, largest, 1<<10)
	refused := r.apply(appendTo(7, seq+1, "k", "too much"))
	require.Equal(t, messages.Code_OVERLOADED, refused.Code)
	require.Contains(t, refused.Text, "not acknowledged")
	require.EqualValues(t, 0, r.apply(appendTo(7, 5, "k", "again")).Number, "what is known is answered")
	require.Equal(t, messages.Code_OK, r.apply(appendTo(8, 1, "k", "")).Code, "others go on")
	got, _ := r.get("k")
	require.Empty(t, got)
	next := appendTo(7, seq+1, "k", "x")
	next.Acked = seq + 1
	require.Equal(t, messages.Code_OK, r.apply(next).Code)
	records, _, _ := r.of("r")
	require.Equal(t, 2, records)
}

// Thousands of clients write to every bucket.
func TestClientsWriteEverywhere(t *testing.T) {
	for _, c := range []struct{ clients, buckets int }{{14, 16384}, {5000, 16}} {
		r := newReplicaOf(t, c.buckets)
		keys := map[uint64]string{}
		for i := 0; len(keys) < c.buckets; i++ {
			key := fmt.Sprint(i)
			keys[uint64(messages.BucketOf([]byte(key), c.buckets))] = key
		}
		for seq := range uint64(c.buckets) {
			for client := range uint64(c.clients) {
				command := put(keys[seq], "v")
				command.Session, command.Seq, command.Acked = client+1, seq+1, seq+1
				require.Equal(t, messages.Code_OK, r.applyWithoutFlush(command).Code, "client %d, bucket %d", client, seq)
			}
		}
		r.flush()
		records, bytes, _ := r.of("sfr")
		require.Equal(t, 2*c.clients, records)
		require.Less(t, bytes, 100*c.clients)
	}
}

// A full table refuses new sessions, until one can be evicted.
func TestTableIsBoundedInBytes(t *testing.T) {
	r := newReplica(t, 1, true)
	session := uint64(1)
	for r.applyWithoutFlush(appendTo(session, 1, "k", "")).Code == messages.Code_OK {
		session++
		require.Less(t, session, uint64(1_000_000))
	}
	require.Greater(t, session, uint64(100_000))
	require.Contains(t, r.applyWithoutFlush(appendTo(session, 1, "k", "")).Text, "sessions and their answers")
	r.index += 1 << 18
	require.Equal(t, messages.Code_OK, r.applyWithoutFlush(appendTo(session, 1, "k", "")).Code)
	r.flush()
	_, bytes, _ := r.of("sfr")
	require.Less(t, bytes, shardkv.MaxTableBytes)
}

// Sessions with thousands of replies, chunks of every size, acknowledgements by commands on other buckets meanwhile: a command that was
// applied in one group is not applied again in the next.
func TestSessionsMoveWhole(t *testing.T) {
	for _, chunk := range []int{1, 300, 5_000, 100_000} {
		a, b := newReplica(t, 1, true), newReplica(t, 2, false)
		id := uint32(messages.BucketOf([]byte("{x}"), buckets))
		require.NotEqual(t, id, uint32(messages.BucketOf([]byte("{y}"), buckets)))
		var asked []*messages.Command
		seq, acked := map[uint64]uint64{}, map[uint64]uint64{}
		send := func(session uint64, key string) {
			seq[session]++
			c := appendTo(session, seq[session], key, "")
			c.Acked = acked[session]
			require.Equal(t, messages.Code_OK, a.applyWithoutFlush(c).Code)
			if key != "{y}" {
				asked = append(asked, c)
			}
		}
		many := min(2000, 20*chunk)
		for i := range uint64(many) {
			send(1, "{x}"+strings.Repeat("k", 100))
			send(2+i%7, "{x}")
			send(100+i, "{x}") // many sessions, too
		}
		a.flush()
		rounds := 0
		move(t, a, b, id, shardkv.MigrationLimits{ChunkBytes: chunk}, func() {
			if rounds++; rounds > 100 {
				return
			}
			for session := uint64(1); session < 9; session++ {
				send(session, "{x}")
				acked[session] += uint64(rounds % 20)
				send(session, "{y}")
			}
			a.flush()
		})
		a.shard(deleteMigrated(id, 5))
		low := binary.BigEndian.AppendUint32([]byte{'r'}, id)
		require.NoError(t, a.engine.Scan(low, persistence.PrefixEnd(low), func(key, _ []byte) bool {
			t.Errorf("%q is left behind", key)
			return false
		}))
		gone := 0
		for _, c := range asked {
			c.GetAppend().Value = []byte("twice")
			switch reply := b.applyWithoutFlush(c); reply.Code {
			case messages.Code_REPLY_DISCARDED:
				require.Less(t, c.Seq, acked[c.Session])
				gone++
			default:
				require.Equal(t, messages.Code_OK, reply.Code)
				require.Zero(t, reply.Number)
			}
		}
		require.NotZero(t, gone)
		b.flush()
		for _, key := range []string{"{x}", "{x}" + strings.Repeat("k", 100)} {
			got, _ := b.get(key)
			require.Empty(t, got)
		}
	}
}
