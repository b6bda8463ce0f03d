package meta_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/meta"
	"github.com/eraft-io/eraft/persistence"
	"github.com/eraft-io/eraft/persistence/memory"
)

type replica struct {
	t      *testing.T
	m      *meta.Machine
	engine *memory.Engine
	index  uint64
}

type tx struct {
	persistence.Reader
	batch *persistence.Batch
}

func (x tx) Put(k, v []byte)       { x.batch.Put(k, v) }
func (x tx) Delete(k []byte)       { x.batch.Delete(k) }
func (x tx) DeletePrefix(p []byte) { x.batch.DeleteRange(p, persistence.PrefixEnd(p)) }

func newReplica(t *testing.T) *replica {
	r := &replica{t: t, engine: memory.New()}
	r.restart()
	return r
}

func (r *replica) restart() {
	r.engine = r.engine.Kill()
	r.m = meta.New()
	require.NoError(r.t, r.m.Open(r.engine))
}

func (r *replica) apply(c *messages.Command) *messages.Reply {
	r.index++
	encoded, err := proto.Marshal(c)
	require.NoError(r.t, err)
	x := tx{r.engine, new(persistence.Batch)}
	reply, err := r.m.Apply(x, persistence.Position{Index: r.index, TimeMs: r.index}, encoded)
	require.NoError(r.t, err)
	require.NoError(r.t, r.engine.Write(x.batch, false))
	return reply
}

func (r *replica) do(m *messages.MetaCommand) *messages.Reply {
	return r.apply(&messages.Command{Op: &messages.Command_Meta{Meta: m}})
}

func (r *replica) config() *messages.Config {
	v, _ := r.m.View().(*meta.View)
	return v.GetConfig()
}

func nodeInfo(n uint64) *messages.AddNode {
	return &messages.AddNode{Name: fmt.Sprintf("n%d", n), Address: fmt.Sprintf("h:%d", n), DirectoryToken: 100 + n}
}

func bootstrap() *messages.MetaCommand {
	return &messages.MetaCommand{Op: &messages.MetaCommand_Bootstrap{Bootstrap: &messages.Bootstrap{ClusterId: 1, Buckets: 16, Groups: 2, Replicas: 3, Expect: 3, Node: nodeInfo(1)}}}
}
func add(a *messages.AddNode) *messages.MetaCommand {
	return &messages.MetaCommand{Op: &messages.MetaCommand_AddNode{AddNode: a}}
}
func join(group uint64, nodes ...uint64) *messages.MetaCommand {
	return &messages.MetaCommand{Op: &messages.MetaCommand_Join{Join: &messages.JoinGroups{Groups: []*messages.NewGroup{{Group: group, Nodes: nodes}}}}}
}
func leave(group uint64) *messages.MetaCommand {
	return &messages.MetaCommand{Op: &messages.MetaCommand_Leave{Leave: &messages.LeaveGroup{Group: group}}}
}
func move(first, last uint32, group uint64) *messages.MetaCommand {
	return &messages.MetaCommand{Op: &messages.MetaCommand_Move{Move: &messages.MoveBuckets{First: first, Last: last, Group: group}}}
}

func remove(node uint64) *messages.MetaCommand {
	return &messages.MetaCommand{Op: &messages.MetaCommand_RemoveNode{RemoveNode: &messages.RemoveNode{Node: node}}}
}
func state(node uint64, s messages.NodeState) *messages.MetaCommand {
	return &messages.MetaCommand{Op: &messages.MetaCommand_SetNode{SetNode: &messages.SetNode{Node: node, State: s}}}
}
func replicas(group uint64, nodes ...uint64) *messages.MetaCommand {
	return &messages.MetaCommand{Op: &messages.MetaCommand_SetReplicas{SetReplicas: &messages.SetReplicas{Group: group, Nodes: nodes}}}
}
func place(bucket uint32, group uint64) *messages.MetaCommand {
	return &messages.MetaCommand{Op: &messages.MetaCommand_Place{Place: &messages.PlaceBuckets{Moves: []*messages.BucketMove{{Bucket: bucket, To: group}}}}}
}

// completeAll is the command that completes all pending moves of the newest config.
func (r *replica) completeAll() *messages.MetaCommand {
	a := new(messages.CompleteMoves)
	for _, b := range r.config().MovesPending {
		a.Group = r.config().Owners[b]
		a.Moves = append(a.Moves, &messages.CompletedMove{Bucket: b, ConfigVersion: r.config().MovedVersions[b]})
	}
	return &messages.MetaCommand{Op: &messages.MetaCommand_CompleteMoves{CompleteMoves: a}}
}

func twoGroups(t *testing.T) *replica {
	r := newReplica(t)
	for _, c := range []*messages.MetaCommand{bootstrap(), add(nodeInfo(2)), add(nodeInfo(3)), join(1, 1, 2, 3), join(2, 2, 3, 1)} {
		require.Equal(t, messages.Code_OK, r.do(c).Code)
		require.Equal(t, messages.Code_OK, r.do(r.completeAll()).Code)
	}
	return r
}

// What makes no sense is refused with a text, leaves no version behind, and refuses again on replay.
func TestRefusals(t *testing.T) {
	r := twoGroups(t)
	before := r.config().Version
	for _, c := range []struct {
		command *messages.MetaCommand
		code    messages.Code
		says    string
	}{
		{bootstrap(), messages.Code_CONFLICT, "bootstrapped already"},
		{move(99, 99, 1), messages.Code_INVALID, "buckets are 0-15"},
		{move(5, 3, 1), messages.Code_INVALID, "the first is behind the last"},
		{move(0, 1, 9), messages.Code_INVALID, "group 9 is no shard group"},
		{move(0, 1, 0), messages.Code_INVALID, "group 0 is no shard group"},
		{join(1, 1), messages.Code_INVALID, "exists already"},
		{join(0, 1), messages.Code_INVALID, "above 0"},
		{join(5), messages.Code_INVALID, "at least one node"},
		{join(5, 1, 1), messages.Code_INVALID, "named twice"},
		{join(5, 77), messages.Code_INVALID, "node 77 does not exist"},
		{leave(7), messages.Code_INVALID, "no shard group"},
		{add(&messages.AddNode{Name: "new", Address: "h:2", DirectoryToken: 5}), messages.Code_CONFLICT, "belongs to node 2"},
		{remove(9), messages.Code_INVALID, "the nodes are [1 2 3]"},
		{state(9, messages.NodeState_DRAINING), messages.Code_INVALID, "the nodes are [1 2 3]"},
		{state(2, messages.NodeState_LOST), messages.Code_INVALID, "not by command"},
		{&messages.MetaCommand{IfVersion: 2, Op: leave(2).Op}, messages.Code_CONFLICT, fmt.Sprintf("at version %d by now, not at 2", before)},
		{replicas(1), messages.Code_INVALID, "at least one node"},
		{place(3, 9), messages.Code_INVALID, "group 9 is no shard group"},
		{place(99, 1), messages.Code_INVALID, "buckets are 0-15"},
		{&messages.MetaCommand{Op: &messages.MetaCommand_Place{Place: &messages.PlaceBuckets{}}}, messages.Code_INVALID, "no bucket"},
		{&messages.MetaCommand{Op: &messages.MetaCommand_SetPlacement{SetPlacement: &messages.SetPlacement{Placement: 7}}}, messages.Code_INVALID, "automatic or paused"},
		{add(&messages.AddNode{Name: "n4", Address: "h:4", DirectoryToken: 5, Labels: []string{"zone"}}), messages.Code_INVALID, "say key=value"},
		{add(&messages.AddNode{Name: "n4", Address: "h:4", DirectoryToken: 5, Resp: string(make([]byte, 16<<10))}), messages.Code_INVALID, "but 16384 is the most"},
		{add(&messages.AddNode{Name: "n4", Address: "guest/x", DirectoryToken: 5}), messages.Code_INVALID, "host:port"},
		{add(&messages.AddNode{Name: "n4", Address: "h:", DirectoryToken: 5}), messages.Code_INVALID, "host:port"},
		{&messages.MetaCommand{}, messages.Code_INVALID, "unknown config command"},
	} {
		reply := r.do(c.command)
		require.Equal(t, c.code, reply.Code, "%v", c.command)
		require.Contains(t, reply.Text, c.says)
		require.Equal(t, before, r.config().Version)
	}
	require.Equal(t, messages.Code_OK, r.do(leave(2)).Code)
	last := r.do(leave(1))
	require.Equal(t, messages.Code_INVALID, last.Code)
	require.Contains(t, last.Text, "the last one")
}

// The same log on a replica that restarts in the middle gives the same chain, byte for byte, and no version twice.
func TestRestartsDoNotReplayHistory(t *testing.T) {
	a, b := newReplica(t), newReplica(t)
	log := []*messages.MetaCommand{bootstrap(), add(nodeInfo(2)), add(nodeInfo(2)), join(1, 1, 2), join(2, 2, 1), move(0, 3, 2), move(0, 3, 2), leave(1)}
	seq := uint64(0)
	both := func(c *messages.MetaCommand) {
		seq++
		command := &messages.Command{Session: 4, Seq: seq, Op: &messages.Command_Meta{Meta: c}}
		a.apply(command)
		b.apply(command)
		b.restart()
		b.apply(command) // and asked again by its session
		b.index--
	}
	for _, c := range log {
		both(c)
		both(a.completeAll())
	}
	require.True(t, proto.Equal(a.config(), b.config()))
	require.EqualValues(t, 10, a.config().Version, "a node that is known and a move to where it is make no version")
	query, err := proto.Marshal(&messages.Query{Op: &messages.Query_Meta{Meta: &messages.MetaQuery{Op: &messages.MetaQuery_Show{Show: 3}}}})
	require.NoError(t, err)
	reply, err := b.m.Query(b.engine, query)
	require.NoError(t, err)
	require.Contains(t, reply.Meta.Config.Change, "join 1")
}

// A bucket whose move is pending moves nowhere else, but back, once.
func TestMovesAreCalledBackOnce(t *testing.T) {
	r := twoGroups(t)
	require.Equal(t, messages.Code_OK, r.do(join(3, 3, 1, 2)).Code)
	require.Equal(t, messages.Code_OK, r.do(r.completeAll()).Code)
	was := r.config().Owners[0]
	to := was%3 + 1
	other := to%3 + 1
	require.Equal(t, messages.Code_OK, r.do(move(0, 0, to)).Code)
	require.Equal(t, was, r.config().ServingGroup(0), "its source goes on serving it")
	refused := r.do(move(0, 0, other))
	require.Equal(t, messages.Code_CONFLICT, refused.Code)
	require.Contains(t, refused.Text, fmt.Sprintf("or call it back to group %d", was))
	require.Equal(t, messages.Code_OK, r.do(move(0, 0, was)).Code)
	c := r.config()
	require.Equal(t, []uint32{0}, c.MovesPending)
	require.Equal(t, []uint32{0}, c.Reverting)
	require.Equal(t, []uint64{was, to, c.Version, was}, []uint64{c.Owners[0], c.PreviousOwners[0], c.MovedVersions[0], c.ServingGroup(0)})
	for _, group := range []uint64{to, other} {
		refused := r.do(move(0, 0, group))
		require.Equal(t, messages.Code_CONFLICT, refused.Code)
		require.NotContains(t, refused.Text, "call it back")
	}
	require.Equal(t, messages.Code_OK, r.do(r.completeAll()).Code)
	require.Empty(t, r.config().Reverting)
	require.Equal(t, messages.Code_OK, r.do(move(0, 0, to)).Code)

	first := newReplica(t)
	first.do(bootstrap())
	first.do(add(nodeInfo(2)))
	first.do(join(1, 1, 2))
	first.do(join(2, 2, 1))
	refused = first.do(move(0, 15, 2))
	require.Equal(t, messages.Code_CONFLICT, refused.Code, "a bucket that no group had cannot go back")
}

// A network may bring a copy of a command long after its session has sent others, and a restart changes nothing.
func TestNothingIsAppliedTwice(t *testing.T) {
	r := twoGroups(t)
	command := func(seq, acked uint64, c *messages.MetaCommand) *messages.Command {
		return &messages.Command{Session: 9, Seq: seq, Acked: acked, Op: &messages.Command_Meta{Meta: c}}
	}
	replicas := func(nodes ...uint64) *messages.MetaCommand {
		return &messages.MetaCommand{Op: &messages.MetaCommand_SetReplicas{SetReplicas: &messages.SetReplicas{Group: 1, Nodes: nodes}}}
	}
	first, second, refused := command(2, 0, replicas(1)), command(1, 0, replicas(2)), command(3, 0, replicas(77))
	require.Equal(t, messages.Code_OK, r.apply(first).Code)
	require.Equal(t, messages.Code_OK, r.apply(second).Code, "a request that overtook another is no reason to drop that one")
	require.Equal(t, messages.Code_INVALID, r.apply(refused).Code)
	version := r.config().Version
	for _, restart := range []bool{false, true} {
		if restart {
			r.restart()
		}
		again := r.apply(first)
		require.Equal(t, messages.Code_OK, again.Code)
		require.Equal(t, version, again.Meta.Config.Version, "with the newest config")
		require.Equal(t, messages.Code_INVALID, r.apply(refused).Code)
		require.Equal(t, version, r.config().Version)
	}
	require.Equal(t, messages.Code_OK, r.apply(command(4, 4, replicas(2, 1))).Code)
	late := r.apply(first)
	require.Equal(t, messages.Code_INVALID, late.Code)
	require.Contains(t, late.Text, "answered already")
	require.Equal(t, version+1, r.config().Version)
}

// A session that never acknowledges is refused when its record has reached its bound, until it acknowledges; others are not.
func TestAnswersOfAnAskerAreBounded(t *testing.T) {
	r := twoGroups(t)
	ask := func(session, seq, acked uint64) *messages.Reply {
		return r.apply(&messages.Command{Session: session, Seq: seq, Acked: acked, Op: &messages.Command_Meta{Meta: &messages.MetaCommand{
			Op: &messages.MetaCommand_SetReplicas{SetReplicas: &messages.SetReplicas{Group: 1, Nodes: []uint64{77}}},
		}}})
	}
	seq := uint64(1)
	for ; ask(9, seq, 0).Code == messages.Code_INVALID; seq++ {
		require.Less(t, seq, uint64(100_000))
	}
	require.Greater(t, seq, uint64(500))
	for range 2 {
		require.Equal(t, messages.Code_OVERLOADED, ask(9, seq, 0).Code)
		require.Equal(t, messages.Code_INVALID, ask(9, 1, 0).Code, "a retry has its answer")
		require.Equal(t, messages.Code_INVALID, ask(10, seq, 0).Code)
		r.restart()
	}
	largest := 0
	require.NoError(t, r.engine.Scan([]byte{'r'}, []byte{'s'}, func(_, value []byte) bool { largest = max(largest, len(value)); return true }))
	require.Less(t, largest, 80<<10)
	require.Equal(t, messages.Code_INVALID, ask(9, seq, seq).Code)
}

// A command whose answer was lost is asked again. What it has changed is no reason to refuse it.
func TestWhatWasDoneIsNotRefused(t *testing.T) {
	r := twoGroups(t)
	ask := func(seq uint64, c *messages.MetaCommand) (*messages.Command, *messages.Error) {
		command := &messages.Command{Session: 9, Seq: seq, Op: &messages.Command_Meta{Meta: c}}
		encoded, err := proto.Marshal(command)
		require.NoError(t, err)
		return command, meta.Checker(r.m.View(), encoded)
	}
	version := r.config().Version
	paused := &messages.MetaCommand{IfVersion: version, Op: &messages.MetaCommand_SetPlacement{SetPlacement: &messages.SetPlacement{Placement: messages.Placement_PAUSED}}}
	for seq, c := range []*messages.MetaCommand{paused, join(9, 1, 2, 3)} {
		command, why := ask(uint64(seq)+1, c)
		require.Nil(t, why)
		require.Equal(t, messages.Code_OK, r.apply(command).Code)
		before := r.m.View()
		for range 2 {
			_, why = ask(uint64(seq)+1, c)
			require.Nil(t, why, "%v", c)
			require.Equal(t, messages.Code_OK, r.apply(command).Code)
			require.Equal(t, before, r.m.View())
			r.restart()
			before = r.m.View()
		}
		_, why = ask(77, c)
		require.NotNil(t, why, "another one is refused")
	}
	require.Equal(t, version+2, r.config().Version)
}

// Moves that are on their way are not disturbed, whatever is asked.
func TestOneMoveAtATime(t *testing.T) {
	r := twoGroups(t)
	require.Equal(t, messages.Code_OK, r.do(join(4, 1, 2, 3)).Code)
	require.Equal(t, messages.Code_OK, r.do(r.completeAll()).Code)
	require.Equal(t, messages.Code_OK, r.do(move(0, 1, 1)).Code)
	require.Equal(t, messages.Code_OK, r.do(r.completeAll()).Code)
	require.Equal(t, messages.Code_OK, r.do(move(0, 1, 2)).Code)
	since := r.config().Version
	require.Equal(t, []uint32{0, 1}, r.config().MovesPending)
	for _, c := range []*messages.MetaCommand{move(1, 1, 4), move(0, 7, 4), leave(2)} {
		refused := r.do(c)
		require.Equal(t, messages.Code_CONFLICT, refused.Code)
		require.Contains(t, refused.Text, fmt.Sprintf("is on its way to group 2 since config %d", since))
	}
	require.Equal(t, messages.Code_OK, r.do(move(0, 1, 2)).Code, "where they go is no other place")
	require.Equal(t, messages.Code_OK, r.do(join(3, 3, 1, 2)).Code)
	require.Equal(t, []uint64{2, 2}, r.config().Owners[:2], "they are not part of a balance")
	require.Subset(t, r.config().MovesPending, []uint32{0, 1})

	stale := &messages.MetaCommand{Op: &messages.MetaCommand_CompleteMoves{CompleteMoves: &messages.CompleteMoves{
		Group: 2, Moves: []*messages.CompletedMove{{Bucket: 0, ConfigVersion: since - 1}, {Bucket: 1, ConfigVersion: since}},
	}}}
	before := r.config().Version
	require.Equal(t, messages.Code_OK, r.do(stale).Code)
	require.Equal(t, "1 arrived at 2", r.config().Change, "the completion of an older move ends no newer one")
	require.Equal(t, messages.Code_OK, r.do(stale).Code)
	require.Equal(t, before+1, r.config().Version)
	require.Equal(t, messages.Code_INVALID, r.do(&messages.MetaCommand{Op: &messages.MetaCommand_CompleteMoves{CompleteMoves: &messages.CompleteMoves{
		Moves: []*messages.CompletedMove{{Bucket: 99}},
	}}}).Code)
	require.Equal(t, messages.Code_OK, r.do(r.completeAll()).Code)
	require.Empty(t, r.config().MovesPending)
	require.Equal(t, messages.Code_OK, r.do(move(0, 1, 1)).Code)
}

func TestDiff(t *testing.T) {
	r := twoGroups(t)
	before := r.config()
	r.do(move(0, 1, 2))
	require.Equal(t, "move 0-1 to 2", r.config().Change)
	require.Equal(t, []string{"~ bucket 0-1: group 1 -> 2"}, meta.Diff(before, r.config()))
	require.EqualValues(t, 1, r.config().PreviousOwners[0])
	require.Equal(t, r.config().Version, r.config().MovedVersions[1])
}

// Nodes that come and go for years leave no more in the config than the newest of those that were removed; no id comes back, and
// a node that was removed long ago can tell.
func TestRemovedNodesAreForgotten(t *testing.T) {
	r := twoGroups(t)
	require.Equal(t, messages.Code_OK, r.do(raiseLevel(r.config().Version, 2)).Code)
	info := func(n uint64) *messages.AddNode {
		return &messages.AddNode{Name: fmt.Sprint("n", n), Address: "h:7", DirectoryToken: 100 + n, Level: 2}
	}
	for n := uint64(4); n < 300; n++ {
		require.Equal(t, messages.Code_OK, r.do(add(info(n))).Code)
		require.EqualValues(t, n, r.config().Nodes[len(r.config().Nodes)-1].Id)
		require.Equal(t, messages.Code_OK, r.do(remove(n)).Code)
		if n%50 == 0 {
			r.restart()
		}
	}
	require.LessOrEqual(t, len(r.config().Nodes), 3+64)
	require.Less(t, proto.Size(r.config()), 4000)
	for _, id := range []uint64{4, 100, 299} {
		require.True(t, meta.WasRemoved(r.config(), id), "%d", id)
	}
	require.False(t, meta.WasRemoved(r.config(), 3))
	require.False(t, meta.WasRemoved(r.config(), 300), "it is not known yet")
	require.Equal(t, messages.Code_INVALID, r.do(remove(4)).Code, "it is not even remembered")
	require.Equal(t, messages.Code_OK, r.do(remove(2)).Code)
	for n := uint64(300); n < 400; n++ {
		require.Equal(t, messages.Code_OK, r.do(add(info(n))).Code)
		require.Equal(t, messages.Code_OK, r.do(remove(n)).Code)
	}
	require.EqualValues(t, 2, r.config().Nodes[1].Id, "groups still name it")
}
