package messages_test

import (
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/eraft-io/eraft/messages"
)

// path is how one gets from a message to a field.
type path []protoreflect.FieldDescriptor

// eachPath shows the ways to every field, each message once on a way.
func eachPath(d protoreflect.MessageDescriptor, way path, visit func(path)) {
	for i := range d.Fields().Len() {
		f := d.Fields().Get(i)
		to := append(way[:len(way):len(way)], f)
		visit(to)
		again := false
		for _, before := range way {
			again = again || before.ContainingMessage() == f.Message()
		}
		if f.Message() != nil && !again && f.Message() != d {
			eachPath(f.Message(), to, visit)
		}
	}
}

// fill makes at the end of a path a field of so many bytes or elements.
func (p path) fill(m protoreflect.Message, size int) {
	f := p[0]
	switch {
	case len(p) > 1 && f.IsList():
		p[1:].fill(m.Mutable(f).List().AppendMutable().Message(), size)
	case len(p) > 1:
		p[1:].fill(m.Mutable(f).Message(), size)
	case f.IsList():
		for range size {
			if f.Message() != nil {
				m.Mutable(f).List().AppendMutable()
			} else {
				m.Mutable(f).List().Append(m.Mutable(f).List().NewElement())
			}
		}
	case f.Kind() == protoreflect.StringKind:
		m.Set(f, protoreflect.ValueOfString(strings.Repeat("x", size)))
	default:
		m.Set(f, protoreflect.ValueOfBytes(make([]byte, size)))
	}
}

// Every field of what a client may ask for has a bound, and what is beyond it is refused before it is sent or proposed.
func TestNoFieldIsBeyondItsBound(t *testing.T) {
	refused := func(m proto.Message) *messages.Error {
		if c, ok := m.(*messages.Command); ok && c.GetMeta() != nil {
			return messages.CheckMeta(c.GetMeta())
		} else if ok {
			return messages.CheckCommand(c)
		}
		return messages.CheckQuery(m.(*messages.Query))
	}
	tried := 0
	for _, root := range []proto.Message{new(messages.Command), new(messages.Query)} {
		eachPath(root.ProtoReflect().Descriptor(), nil, func(p path) {
			last := p[len(p)-1]
			most := messages.BoundOf(last)
			if most == 0 || p[0].Name() == "shard" { // what groups say to each other is checked where it is made
				return
			}
			m := root.ProtoReflect().New()
			p.fill(m, most+1)
			why := refused(m.Interface())
			require.NotNil(t, why, "%s of %d is not refused", last.FullName(), most+1)
			require.Contains(t, []messages.Code{messages.Code_TOO_LARGE, messages.Code_INVALID}, why.Code)
			tried++
			m = root.ProtoReflect().New()
			p.fill(m, most)
			require.Nil(t, messages.CheckBounds(m.Interface()), "%s of %d", last.FullName(), most)
		})
	}
	require.Greater(t, tried, 40)
}

// Every field of bytes, text or many elements has its bound, wherever it occurs; a new one must get one. The bounds of what
// is made of many parts are reached in tests of whoever makes it.
func TestEveryFieldHasABound(t *testing.T) {
	roots := []proto.Message{
		new(messages.Command), new(messages.Query), new(messages.Requests), new(messages.Replies), new(messages.RaftMessages), new(messages.NodeHeartbeat),
		new(messages.SnapshotChunk), new(messages.SnapshotAck), new(messages.Hello), new(messages.HelloReply), new(messages.JoinRequest),
		new(messages.JoinReply), new(messages.ConfigPull), new(messages.ConfigPush), new(messages.StatusPull), new(messages.NodeStatus), new(messages.NodeAddresses),
	}
	for _, root := range roots {
		eachPath(root.ProtoReflect().Descriptor(), nil, func(p path) {
			last := p[len(p)-1]
			if last.IsList() || last.Kind() == protoreflect.BytesKind || last.Kind() == protoreflect.StringKind {
				require.True(t, messages.Bounded(last), "say in bounds.go how large %s may be", last.FullName())
			}
		})
	}
	for name, where := range messages.Tests() {
		pkg, test, _ := strings.Cut(where, ".")
		require.True(t, has(t, pkg, test), "%s is bounded by %s, which does not exist", name, where)
	}
}

// has tells whether a package has a test.
func has(t *testing.T, pkg, test string) bool {
	found := false
	require.NoError(t, filepath.WalkDir("..", func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || found || !strings.HasSuffix(path, "_test.go") || filepath.Base(filepath.Dir(path)) != pkg && pkg != "messages" {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		found = err == nil && file.Scope != nil && file.Scope.Lookup(test) != nil
		return err
	}))
	return found
}

// MostBytes is no less than what a message takes that is at its bounds.
func TestMostBytesIsEnough(t *testing.T) {
	for _, m := range []proto.Message{new(messages.Hello), new(messages.AddNode), new(messages.Node), new(messages.ConfigPull), new(messages.SnapshotAck)} {
		d := m.ProtoReflect().Descriptor()
		for i := range d.Fields().Len() {
			f := d.Fields().Get(i)
			if n := messages.BoundOf(f); n > 0 {
				path{f}.fill(m.ProtoReflect(), n)
			} else if f.Kind() == protoreflect.Uint64Kind {
				m.ProtoReflect().Set(f, protoreflect.ValueOfUint64(1<<63))
			}
		}
		require.LessOrEqual(t, proto.Size(m), messages.MostBytes(d), "%s", d.FullName())
	}
	require.Equal(t, 10, protowire.SizeVarint(1<<63))
}
