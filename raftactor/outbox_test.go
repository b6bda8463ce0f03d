package raftactor

import (
	"fmt"
	"testing"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/eraft-io/eraft/actors"
	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/raftactor/raft"
)

// zeros are shared by all draws: none changes them.
var zeros = make([]byte, messages.MaxLegacyBytes)

// away is a network that keeps what is sent to other systems.
type away struct {
	actor.Process
	sent *[]proto.Message
}

func (a away) Attach(sys *actors.System) error {
	sys.ProcessRegistry.Address = "here"
	sys.ProcessRegistry.RegisterAddressResolver(func(*actor.PID) (actor.Process, bool) { return a, true })
	return nil
}
func (away) Detach() error { return nil }
func (a away) SendUserMessage(_ *actor.PID, message any) {
	*a.sent = append(*a.sent, actor.UnwrapEnvelopeMessage(message).(proto.Message))
}

// outside is a system, and what it sends to others.
func outside(t require.TestingT) (*actors.System, *[]proto.Message) {
	sent := new([]proto.Message)
	sys, err := actors.NewSystem(actors.Env{Clock: actors.NewSystemClock(), Rand: actors.SeededRand(1), Events: func(actors.Event) {}}, away{sent: sent})
	require.NoError(t, err)
	return sys, sent
}

// drawReply draws an answer up to what a Machine may give, and beyond.
func drawReply(t *rapid.T, seq uint64) *messages.Reply {
	size := rapid.SampledFrom([]int{0, 100, 100, 100, 100, 1 << 18, 1 << 18, 1 << 20, messages.MaxReplyBytes, messages.MaxMessageBytes}).Draw(t, "size")
	r := &messages.Reply{Session: 1 << 63, Seq: seq, Version: 1 << 63, Number: -1, Hint: &messages.Hint{Leader: 1 << 63, Group: 1 << 63, ConfigVersion: 1 << 63}}
	switch body := zeros[:size]; rapid.IntRange(0, 4).Draw(t, "kind") {
	case 0:
		r.Value = body
	case 1:
		for part := range 6 {
			r.Parts = append(r.Parts, &messages.Reply{Value: body[:size/6], Version: uint64(part)})
		}
	case 2:
		r.Page = &messages.Page{Items: []*messages.Item{{Value: body}}}
	case 3:
		r.Chunk = &messages.BucketChunk{Pairs: []*messages.Pair{{Value: body}}}
	case 4:
		r.Meta = &messages.MetaReply{Configs: []*messages.Config{{Change: string(body)}}}
	}
	return r
}

// Whatever answers there are, every message with them can be sent, each session gets one reply to each query, and it is
// the one that was given unless it alone is too large.
func TestAnswersCanBeSent(t *testing.T) {
	sys, sent := outside(t)
	rapid.Check(t, func(t *rapid.T) {
		*sent = nil
		b, given := newOutbox(&Options{System: sys, Group: 1, Node: 1}), map[uint64]*messages.Reply{}
		for seq := range uint64(rapid.IntRange(1, 20).Draw(t, "answers")) {
			given[seq] = drawReply(t, seq)
			b.add(recipient{"there", fmt.Sprint("session/", seq%2)}, given[seq])
		}
		b.flush()
		for _, message := range *sent {
			m := message.(*messages.Replies)
			require.LessOrEqual(t, proto.Size(m), messages.MaxMessageBytes)
			if len(m.Replies) > 1 {
				require.LessOrEqual(t, proto.Size(m), frameBytes)
			}
			for _, r := range m.Replies {
				if want := given[r.Seq]; proto.Size(want) > messages.MaxReplyBytes+emptyReplyBytes {
					require.Equal(t, messages.Code_INTERNAL, r.Code)
				} else if proto.Size(want) < messages.MaxReplyBytes-emptyReplyBytes {
					require.Same(t, want, r)
				}
				delete(given, r.Seq)
			}
		}
		require.Empty(t, given)
	})
}

// What replicas say to each other can be sent, however many of them say something at once: by themselves, or by the coalescer.
func TestRaftMessagesCanBeSent(t *testing.T) {
	sys, sent := outside(t)
	p := transport{o: &Options{System: sys, Group: 1, Address: func(id messages.NodeID) string { return fmt.Sprint("n", id) }}}
	rapid.Check(t, func(t *rapid.T) {
		*sent = nil
		var all []*messages.RaftMessage
		for range rapid.IntRange(1, 5).Draw(t, "messages") {
			size := rapid.SampledFrom([]int{0, 100, sendBytes / 2, sendBytes, messages.MaxCommandBytes + 4}).Draw(t, "size")
			m := &messages.RaftMessage{To: uint64(rapid.IntRange(1, 2).Draw(t, "to")), Term: 1 << 63, Index: 1 << 63}
			if size > 0 {
				m.Entries = []*messages.Entry{{Index: 1 << 63, Term: 1 << 63, Data: zeros[:size]}}
			}
			for range rapid.SampledFrom([]int{1, 1, 1, 100}).Draw(t, "copies") {
				all = append(all, m)
			}
		}
		p.send(all)
		count := 0
		for _, message := range *sent {
			m := message.(*messages.RaftMessages)
			count += len(m.Messages)
			require.LessOrEqual(t, proto.Size(m), messages.MaxMessageBytes)
			if len(m.Messages) > 1 {
				require.LessOrEqual(t, proto.Size(m), sendBytes)
			}
		}
		require.Equal(t, len(all), count)

		coalescer := NewHeartbeatCoalescer(sys)
		var h heartbeatFrame
		*sent = nil
		for _, m := range all {
			if m = (&messages.RaftMessage{Kind: messages.RaftKind_HEARTBEAT, Index: m.Index, Term: m.Term, Group: 1 << 63}); !h.add(m) {
				coalescer.send("n1", &h)
				require.True(t, h.add(m))
			}
		}
		coalescer.send("n1", &h)
		for _, message := range *sent {
			count -= len(message.(*messages.RaftMessages).Messages)
			require.LessOrEqual(t, proto.Size(message), sendBytes)
		}
		require.Zero(t, count)
	})
}

// Small commands and large ones: an entry is closed before a command is added that would make it larger than EntryBytes,
// so only an entry of one command is larger, and it can be sent.
func TestEntriesCanBeSent(t *testing.T) {
	sys, _ := outside(t)
	rapid.Check(t, func(t *rapid.T) {
		o := &Options{System: sys, Group: 1, Node: 1, Limits: Limits{EntryBytes: rapid.SampledFrom([]int{64, 4 << 10, 512 << 10}).Draw(t, "limit")}.WithDefaults()}
		core, err := raft.New(raft.Config{
			ID: 1, Group: 1, ElectionTicks: 8, HeartbeatTicks: 2, MaxAppendBytes: 1, MaxInflightMessages: 1, MaxInflightBytes: 1,
			MaxUncommittedBytes: 1 << 30, MaxApplyBytes: 1 << 30, MaxLogBytes: 1 << 30, Rand: actors.SeededRand(1)("raft"),
		}, raft.Boot{Snapshot: InitialSnapshot([]uint64{1}), Applied: 1})
		require.NoError(t, err)
		p := newPeer(o, store{}, core)
		for range 16 {
			core.Tick()
		}
		if r, ok := core.Ready(); ok && r.Persist != nil {
			core.Persisted(r.Persist.Seq)
		}
		require.Equal(t, raft.Leader, core.Soft().Role)
		total, refused := 0, 0
		for range rapid.IntRange(1, 12).Draw(t, "commands") {
			size := rapid.SampledFrom([]int{10, 10, 10, 100, 100, 1000, 1000, 100 << 10, messages.MaxCommandBytes, messages.MaxCommandBytes + 1, 4<<20 - 100}).Draw(t, "size")
			if size > messages.MaxCommandBytes {
				refused++
			}
			p.onCommand(recipient{"there", "session/1"}, zeros[:size])
			total++
		}
		p.proposer.propose()
		if p.proposer.entry != nil {
			p.proposer.seal()
		}
		count := 0
		for _, w := range p.proposer.pending.queue {
			require.LessOrEqual(t, len(w.data), messages.MaxCommandBytes+4)
			if w.count > 1 {
				require.LessOrEqual(t, len(w.data), o.Limits.EntryBytes)
			}
			count += w.count
		}
		require.Equal(t, total-refused, count)
	})
}
