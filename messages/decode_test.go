package messages_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/eraft-io/eraft/messages"
)

// same holds a decoder to proto.Unmarshal.
func same(t require.TestingT, d *messages.CommandDecoder, encoded []byte) {
	want := new(messages.Command)
	wrong := proto.Unmarshal(encoded, want)
	got, err := d.Decode(encoded, messages.FirstLevel)
	require.Equal(t, wrong == nil, err == nil, "%x", encoded)
	if err == nil {
		// An entry of FirstLevel has none of the fields that came later, and damage can make one.
		want.DeadlineMs = 0
		if m := want.GetMeta(); m != nil {
			m.RequestedBy = ""
		}
		if c := want.GetShard().GetImportChunk().GetChunk(); c != nil {
			c.TimeMs = 0
		}
		require.True(t, proto.Equal(want, got), "%x\nwant %v\ngot  %v", encoded, want, got)
	}
}

func TestDecoderEqualsProtobuf(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var d messages.CommandDecoder
		for range rapid.IntRange(1, 5).Draw(t, "commands") {
			c := &messages.Command{
				Session: rapid.Uint64().Draw(t, "session"), Seq: rapid.Uint64().Draw(t, "seq"), Acked: rapid.Uint64().Draw(t, "acked"),
			}
			key, value := rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(t, "key"), rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "value")
			switch rapid.IntRange(0, 3).Draw(t, "op") {
			case 0:
				c.Op = &messages.Command_Append{Append: &messages.Append{Key: key, Value: value}}
			case 1:
			default:
				c.Op = &messages.Command_Put{Put: &messages.Put{
					Key: key, Value: value, Mode: messages.Put_Mode(rapid.IntRange(-1, 4).Draw(t, "mode")), ReturnPrevious: rapid.Bool().Draw(t, "previous"),
				}}
			}
			encoded, err := proto.Marshal(c)
			require.NoError(t, err)
			same(t, &d, encoded)
			for range rapid.IntRange(0, 3).Draw(t, "damages") {
				if len(encoded) == 0 {
					break
				}
				at := rapid.IntRange(0, len(encoded)-1).Draw(t, "at")
				switch rapid.IntRange(0, 2).Draw(t, "damage") {
				case 0:
					encoded[at] = rapid.Byte().Draw(t, "byte")
				case 1:
					encoded = encoded[:at]
				case 2:
					encoded = append(encoded, encoded[at:]...)
				}
				same(t, &d, encoded)
			}
		}
	})
}

// Encodings that are allowed but that nobody of ours writes.
func TestDecoderOfStrangers(t *testing.T) {
	put := func(p *messages.Put) []byte {
		body, err := proto.Marshal(p)
		require.NoError(t, err)
		return protowire.AppendBytes(protowire.AppendTag(nil, 10, protowire.BytesType), body)
	}
	a, b := put(&messages.Put{Key: []byte("a"), Value: []byte("1")}), put(&messages.Put{Value: []byte("2"), ReturnPrevious: true})
	seq := protowire.AppendVarint(protowire.AppendTag(nil, 2, protowire.VarintType), 7)
	unknown := protowire.AppendVarint(protowire.AppendTag(nil, 99, protowire.VarintType), 7)
	zero := protowire.AppendVarint([]byte{0x00}, 7)
	var d messages.CommandDecoder
	for _, encoded := range [][]byte{
		nil, a, append(append([]byte(nil), a...), b...), append(append([]byte(nil), a...), seq...),
		append(append([]byte(nil), seq...), a...), append(append([]byte(nil), unknown...), a...), append(append([]byte(nil), zero...), a...),
	} {
		same(t, &d, encoded)
	}
}

func TestDecoderDoesNotAllocate(t *testing.T) {
	encoded, err := proto.Marshal(&messages.Command{Session: 1, Seq: 2, Acked: 1, Op: &messages.Command_Put{
		Put: &messages.Put{Key: []byte("key"), Value: make([]byte, 256)},
	}})
	require.NoError(t, err)
	var d messages.CommandDecoder
	require.Zero(t, testing.AllocsPerRun(100, func() {
		if _, err := d.Decode(encoded, messages.FirstLevel); err != nil {
			t.Fatal(err)
		}
	}))
}
