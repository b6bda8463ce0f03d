package remoting

import (
	"bytes"
	"testing"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/remote"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/eraft-io/eraft/actors"
	"github.com/eraft-io/eraft/messages"
)

var speaker = actors.Identity{Cluster: 0xabc, Node: 7, Epoch: 1 << 40}

func network() *Network {
	n := New(Options{})
	n.guard = actors.NewGuard(nil, &actors.System{Env: actors.Env{Events: func(actors.Event) {}}})
	return n
}

// Proto.Actor reads in a parcel what its own sender would have said.
func TestParcelIsAMessageBatch(t *testing.T) {
	pid := rapid.Custom(func(t *rapid.T) *actor.PID {
		return actor.NewPID(rapid.SampledFrom([]string{"a:1", "b:22", ""}).Draw(t, "address"), rapid.SampledFrom([]string{"raft/1", "router", ""}).Draw(t, "id"))
	})
	kinds := map[string]func(t *rapid.T) proto.Message{
		"eraft.Entry": func(t *rapid.T) proto.Message {
			return &messages.Entry{Data: make([]byte, rapid.IntRange(0, 3000).Draw(t, "size"))}
		},
		"eraft.Requests": func(t *rapid.T) proto.Message { return &messages.Requests{Group: rapid.Uint64().Draw(t, "group")} },
	}
	rapid.Check(t, func(t *rapid.T) {
		p := frame{n: network(), header: encodeHeader(speaker)}
		var batch []outgoingMessage
		for range rapid.IntRange(1, 200).Draw(t, "batch") {
			kind := rapid.SampledFrom([]string{"eraft.Entry", "eraft.Requests"}).Draw(t, "kind")
			l := outgoingMessage{to: pid.Draw(t, "to"), message: kinds[kind](t)}
			if rapid.Bool().Draw(t, "has sender") {
				l.sender = pid.Draw(t, "sender")
			}
			l.size = proto.Size(l.message)
			batch = append(batch, l)
			p.add(l)
		}
		b := read(t, &p)
		require.Len(t, b.Envelopes, len(batch))
		for i, e := range b.Envelopes {
			l := batch[i]
			require.Equal(t, string(proto.MessageName(l.message)), b.TypeNames[e.TypeId])
			require.True(t, proto.Equal(l.to, b.Targets[e.Target]))
			if l.sender == nil {
				require.Zero(t, e.Sender)
			} else {
				require.True(t, proto.Equal(l.sender, b.Senders[e.Sender-1]))
			}
			data, err := proto.Marshal(l.message)
			require.NoError(t, err)
			require.Equal(t, string(data), string(e.MessageData))
			from, ok := parseIdentity(e.MessageHeader.HeaderData[identityKey])
			require.True(t, ok)
			require.Equal(t, speaker, from)
		}
		require.LessOrEqual(t, len(b.TypeNames), 2)
		require.LessOrEqual(t, len(b.Targets), 9)
	})
}

func read(t require.TestingT, p *frame) *remote.MessageBatch {
	encoded, err := codec{}.Marshal(p)
	require.NoError(t, err)
	defer encoded.Free()
	m := new(remote.RemoteMessage)
	require.NoError(t, codec{}.Unmarshal(encoded, m))
	return m.GetMessageBatch()
}

// A message that is no protobuf is dropped alone.
func TestWhatCannotBeEncodedIsDropped(t *testing.T) {
	p := frame{n: network(), header: encodeHeader(speaker)}
	for _, text := range []string{"good", "\xff", "good"} {
		m := &messages.Reply{Text: text}
		p.add(outgoingMessage{to: actor.NewPID("a:1", "x"), message: m, size: proto.Size(m)})
	}
	b := read(t, &p)
	require.Len(t, b.Envelopes, 2)
	require.EqualValues(t, 1, p.n.guard.Drops()["cannot be encoded"])
}

// Whatever bytes come, no message is made of them that a guard has not admitted, and nothing panics.
func TestAnyBytesAreRead(t *testing.T) {
	n := New(Options{Listen: "127.0.0.1:0", Rules: []actors.Rule{{Type: "eraft.Entry", Paths: []string{"raft/"}}}})
	sys, err := actors.NewSystem(actors.Env{Events: func(actors.Event) {}}, n)
	require.NoError(t, err)
	defer func() { require.NoError(t, n.Detach()) }()
	sys.SetIdentity(speaker)
	var got int
	_, free := sys.ProcessRegistry.Add(process(func() { got++ }), "raft/1")
	require.True(t, free)
	rapid.Check(t, func(t *rapid.T) {
		n.guard = actors.NewGuard(n.o.Rules, sys) // one flip makes a speaker younger
		in := streamReader{n: n}
		p := frame{n: n, header: encodeHeader(speaker)}
		for range rapid.IntRange(1, 5).Draw(t, "batch") {
			m := &messages.Entry{Data: rapid.SliceOfN(rapid.Byte(), 0, 50).Draw(t, "data")}
			p.add(outgoingMessage{to: sys.PID(sys.Address(), "raft/1"), sender: sys.PID("b:1", "x"), message: m, size: proto.Size(m)})
		}
		encoded := p.encode()
		data := encoded.Materialize()
		encoded.Free()
		got = 0
		err := in.read(data, in.control)
		require.NoError(t, err)
		require.Len(t, p.envelopes, got)

		for range rapid.IntRange(1, 4).Draw(t, "flips") {
			data[rapid.IntRange(0, len(data)-1).Draw(t, "where")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		}
		data = data[:rapid.IntRange(0, len(data)).Draw(t, "length")]
		got = 0
		_ = in.read(data, in.control)
		require.LessOrEqual(t, got, len(data)/2)
	})
}

// process counts what it is sent.
type process func()

func (p process) SendUserMessage(*actor.PID, any)   { p() }
func (p process) SendSystemMessage(*actor.PID, any) { panic("a system message came from outside") }
func (p process) Stop(*actor.PID)                   { panic("a stop came from outside") }

// A message that somebody changed after it was sent does not spoil those it travels with.
func TestWhatHasChangedIsDropped(t *testing.T) {
	p := frame{n: network(), header: encodeHeader(speaker)}
	changed := &messages.Entry{Data: make([]byte, 10)}
	for _, m := range []*messages.Entry{{Index: 1}, changed, {Index: 3}} {
		p.add(outgoingMessage{to: actor.NewPID("a:1", "x"), message: m, size: proto.Size(m)})
	}
	changed.Data = changed.Data[:5]
	require.Len(t, read(t, &p).Envelopes, 2)
	require.EqualValues(t, 1, p.n.guard.Drops()["cannot be encoded"])
}

// What takes little room on the wire and much in memory is refused before it has taken it.
func TestManySmallParts(t *testing.T) {
	for _, field := range []protowire.Number{ofTypes, ofTargets, ofSenders, ofEnvelopes} {
		body := bytes.Repeat(appendLength(nil, field, 0), 1<<20)
		in := streamReader{n: network()}
		err := in.read(append(appendLength(nil, ofBatch, len(body)), body...), in.control)
		require.Error(t, err)
		require.LessOrEqual(t, cap(in.types)+cap(in.targets)+cap(in.senders)+cap(in.envelopes), 2*maxParts)
		err = in.read(append(append(appendLength(nil, ofBatch, len(body)), body...), appendLength(nil, 4, 0)...), in.control)
		require.Error(t, err)
	}
}
