package messages

import (
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

func encode(t testing.TB, m proto.Message) []byte {
	t.Helper()
	encoded, err := proto.Marshal(m)
	require.NoError(t, err)
	return encoded
}

// grown is an encoded message with one more field.
func grown(encoded []byte, number protowire.Number) []byte {
	return protowire.AppendVarint(protowire.AppendTag(encoded, number, protowire.VarintType), 1)
}

// Whatever a newer program may add to a command, at any depth, is seen before and behind the log.
func TestWhatIsNotKnownIsRefused(t *testing.T) {
	inside := func(number protowire.Number, body []byte) []byte {
		return protowire.AppendBytes(protowire.AppendTag(nil, number, protowire.BytesType), body)
	}
	put := encode(t, &Put{Key: []byte("k")})
	for name, c := range map[string]struct {
		encoded []byte
		says    string
	}{
		"field of the command": {grown(encode(t, &Command{Seq: 1, Op: &Command_Put{Put: &Put{Key: []byte("k")}}}), 99), "field 99 of eraft.Command"},
		"new operation":        {inside(90, put), "field 90 of eraft.Command"},
		"field of a put":       {inside(10, grown(put, 90)), "field 90 of eraft.Put"},
		"mode of a put":        {encode(t, &Command{Op: &Command_Put{Put: &Put{Key: []byte("k"), Mode: 7}}}), "eraft.Put.mode is 7"},
		"field that changed its type": {inside(10, protowire.AppendBytes(protowire.AppendTag(put, 3, protowire.BytesType), nil)),
			"field 3 of eraft.Put"},
		"write of a batch": {inside(15, inside(2, inside(9, put))), "field 9 of eraft.Write"},
		"condition":        {inside(14, inside(1, grown(nil, 9))), "field 9 of eraft.Condition"},
		"shard command":    {inside(20, inside(9, nil)), "field 9 of eraft.ShardCommand"},
		"chunk":            {inside(20, inside(4, inside(2, grown(nil, 99)))), "field 99 of eraft.BucketChunk"},
		"config command":   {inside(21, inside(25, nil)), "field 25 of eraft.MetaCommand"},
		"node state":       {encode(t, &Command{Op: &Command_Meta{Meta: &MetaCommand{Op: &MetaCommand_SetNode{SetNode: &SetNode{State: 9}}}}}), "eraft.SetNode.state is 9"},
		"no protobuf":      {[]byte{0xff}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := CommandLevel(c.encoded)
			require.ErrorContains(t, err, c.says)
			_, err = new(CommandDecoder).Decode(c.encoded, NewestLevel)
			require.ErrorContains(t, err, c.says)
		})
	}
	_, err := ConfChangeLevel(grown(encode(t, &ConfChange{Kind: ConfChange_JOINT, Changes: []*ConfChange{{Node: 1}}}), 9))
	require.ErrorContains(t, err, "field 9 of eraft.ConfChange")
	_, err = ConfChangeLevel(encode(t, &ConfChange{Changes: []*ConfChange{{Kind: 77}}}))
	require.ErrorContains(t, err, "eraft.ConfChange.kind is 77")
}

// every is one message of each kind of field, packed numbers and negative enums included.
var every = []*Command{
	{},
	{Session: 1, Seq: 2, Acked: 1, Op: &Command_Put{Put: &Put{Key: []byte("k"), Value: []byte("v"), Mode: Put_IF_PRESENT, ReturnPrevious: true}}},
	{Op: &Command_Incr{Incr: &Incr{Key: []byte("k"), By: -3}}},
	{Op: &Command_Batch{Batch: &Batch{
		Conditions: []*Condition{{Key: []byte("k"), Expect: &Condition_Version{Version: 3}}},
		Writes:     []*Write{{Op: &Write_Delete{Delete: &Delete{Key: []byte("k")}}}, {Op: &Write_Put{Put: &Put{Key: []byte("k")}}}},
	}}},
	{Op: &Command_Shard{Shard: &ShardCommand{Op: &ShardCommand_CreateBuckets{CreateBuckets: &CreateBuckets{Buckets: []uint32{1, 2, 3}}}}}},
	{Op: &Command_Meta{Meta: &MetaCommand{Reason: "w", Op: &MetaCommand_SetReplicas{SetReplicas: &SetReplicas{Nodes: []uint64{1, 2}}}}}},
	{Op: &Command_Custom{Custom: []byte{0xff}}},
}

func TestWhatIsKnownHasALevel(t *testing.T) {
	unpacked := protowire.AppendVarint(protowire.AppendTag(nil, 2, protowire.VarintType), 7) // of Adopt, as an encoder may write it
	unpacked = protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), unpacked)
	unpacked = protowire.AppendBytes(protowire.AppendTag(nil, 20, protowire.BytesType), unpacked)
	all := [][]byte{unpacked}
	for _, c := range every {
		all = append(all, encode(t, c))
	}
	for _, encoded := range all {
		level, err := CommandLevel(encoded)
		require.NoError(t, err, "%x", encoded)
		require.Equal(t, FirstLevel, level)
	}
	for name, level := range introducedAt {
		require.LessOrEqual(t, level, NewestLevel, "%s is of a level that this program does not have", name)
		require.Greater(t, level, FirstLevel, name)
	}
}

// Every name in the table is one: a slip would let a new field into the logs of those who do not know it.
func TestLevelsNameWhatThereIs(t *testing.T) {
	seen := map[protoreflect.FullName]bool{}
	for _, root := range []*schema{commandSchema, confChangeSchema} {
		root.names(seen, map[*schema]bool{})
	}
	for name := range introducedAt {
		require.True(t, seen[name], "no log holds anything of the name %s", name)
	}
}

func (s *schema) names(seen map[protoreflect.FullName]bool, been map[*schema]bool) {
	if been[s] {
		return
	}
	been[s] = true
	for _, f := range s.fields {
		if f == nil {
			continue
		}
		seen[f.field.FullName()] = true
		if f.enum != nil {
			for i := range f.enum.Values().Len() {
				seen[f.enum.Values().Get(i).FullName()] = true
			}
		}
		if f.inner != nil {
			f.inner.names(seen, been)
		}
	}
}

// A command's level is that of the newest thing in it, and a program of an earlier level reads it without.
func TestLevelOfNewThings(t *testing.T) {
	s := schemaOf((*Command)(nil).ProtoReflect().Descriptor(), map[protoreflect.FullName]Level{
		"eraft.Command.acked": 2, "eraft.Put.return_previous": 3, "eraft.Put.IF_PRESENT": 4, "eraft.Command.cas": 5, "eraft.Incr.by": 2,
	})
	for _, c := range []struct {
		command, first *Command
		level          Level
	}{
		{&Command{Session: 1, Seq: 1}, &Command{Session: 1, Seq: 1}, 1},
		{&Command{Seq: 1, Acked: 1}, &Command{Seq: 1}, 2},
		{&Command{Acked: 1, Op: &Command_Put{Put: &Put{Key: []byte("k"), ReturnPrevious: true}}}, &Command{Op: &Command_Put{Put: &Put{Key: []byte("k")}}}, 3},
		{&Command{Op: &Command_Put{Put: &Put{Mode: Put_IF_ABSENT}}}, &Command{Op: &Command_Put{Put: &Put{Mode: Put_IF_ABSENT}}}, 1},
		{&Command{Op: &Command_Put{Put: &Put{Mode: Put_IF_PRESENT}}}, &Command{Op: &Command_Put{Put: &Put{}}}, 4},
		{&Command{Seq: 4, Op: &Command_Cas{Cas: &CompareAndSwap{Value: []byte("v")}}}, &Command{Seq: 4}, 5},
		{
			&Command{Op: &Command_Batch{Batch: &Batch{Writes: []*Write{{Op: &Write_Put{Put: &Put{Key: []byte("a")}}}, {Op: &Write_Incr{Incr: &Incr{By: 5}}}}}}},
			&Command{Op: &Command_Batch{Batch: &Batch{Writes: []*Write{{Op: &Write_Put{Put: &Put{Key: []byte("a")}}}, {Op: &Write_Incr{Incr: &Incr{}}}}}}}, 2,
		},
	} {
		encoded := encode(t, c.command)
		level, err := s.level(encoded)
		require.NoError(t, err)
		require.Equal(t, c.level, level, c.command)
		require.Equal(t, encode(t, c.first), s.without(encoded, FirstLevel), c.command)
		require.Equal(t, encoded, s.without(encoded, 5), c.command)
	}
}

func TestLevelDoesNotAllocate(t *testing.T) {
	encoded := encode(t, every[3])
	require.Zero(t, testing.AllocsPerRun(100, func() {
		if _, err := CommandLevel(encoded); err != nil {
			t.Fatal(err)
		}
	}))
}

// What came into a log before anybody looked is read as ever: logs of older releases are replayed to the same state.
func TestEntriesOfTheFirstLevelAreReadAsEver(t *testing.T) {
	command := &Command{Session: 1, Seq: 2, Op: &Command_Put{Put: &Put{Key: []byte("k"), Mode: 7}}}
	encoded := grown(encode(t, command), 99)
	got, err := new(CommandDecoder).Decode(encoded, FirstLevel)
	require.NoError(t, err)
	require.EqualValues(t, 7, got.GetPut().Mode)
	require.NotEmpty(t, got.ProtoReflect().GetUnknown())
	_, err = new(CommandDecoder).Decode(encoded, 2)
	require.Error(t, err)
}

func BenchmarkCommandLevel(b *testing.B) {
	encoded := encode(b, every[1])
	for b.Loop() {
		if _, err := CommandLevel(encoded); err != nil {
			b.Fatal(err)
		}
	}
}
