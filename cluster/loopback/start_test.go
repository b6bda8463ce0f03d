package loopback_test

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/actors"
	"github.com/eraft-io/eraft/actors/remoting"
	"github.com/eraft-io/eraft/client"
	"github.com/eraft-io/eraft/cluster"
	"github.com/eraft-io/eraft/cluster/loopback"
	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/router"
)

// Not under the race detector: two of Proto.Actor's remotes in one process are never free of races.
func TestStart(t *testing.T) {
	for _, n := range []int{1, 3} {
		t.Run(map[int]string{1: "one node", 3: "three nodes"}[n], func(t *testing.T) {
			t.Parallel()
			c := loopback.Start(t, n).Client(t)
			_, err := c.Put(t.Context(), []byte("k"), []byte("v"))
			require.NoError(t, err)
			v, found, err := c.Get(t.Context(), []byte("k"))
			require.NoError(t, err)
			require.True(t, found)
			require.Equal(t, "v", string(v.Data))
		})
	}
}

// Seeds are names of nodes, also of the node itself; whoever answers there is known by its token.
func TestSeedsByName(t *testing.T) {
	t.Parallel()
	c := loopback.Start(t, 2, func(_ int, c *cluster.Config) {
		seeds := slices.Clone(c.Seeds)
		for i, seed := range seeds {
			seeds[i] = strings.Replace(seed, "127.0.0.1", "localhost", 1)
		}
		c.Seeds = seeds
	})
	_, err := c.Client(t).Put(t.Context(), []byte("k"), []byte("v"))
	require.NoError(t, err)
}

// An unauthenticated sender that says, well formed and over a real connection, what only members say to each other changes nothing and gets no
// answer; the node serves on.
func TestHostileGuest(t *testing.T) {
	t.Parallel()
	c := loopback.Start(t, 1, func(_ int, c *cluster.Config) { c.Groups = 1 })
	cl, key := c.Client(t), []byte("k")
	_, err := cl.Put(t.Context(), key, []byte("v"))
	require.NoError(t, err)
	config, err := cl.Config(t.Context(), 0)
	require.NoError(t, err)

	network := remoting.New(remoting.Options{Rules: router.Rules()})
	guest, err := actors.NewSystem(actors.Env{
		Clock: actors.NewSystemClock(), Rand: actors.SeededRand(1), Events: func(actors.Event) {}, Fatal: func(err error) { t.Error(err) },
	}, network)
	require.NoError(t, err)
	defer func() { require.NoError(t, network.Detach()) }()
	answers := make(chan uint64, 100)
	_, err = guest.Spawn("session/1", func() actor.Actor {
		return actor.ReceiveFunc(func(ctx actor.Context) {
			if m, ok := ctx.Message().(*messages.Replies); ok {
				for _, r := range m.Replies {
					answers <- r.Seq
				}
			}
		})
	})
	require.NoError(t, err)
	say := func(group messages.GroupID, asker *messages.SessionRequests) {
		asker.Address, asker.Id = guest.Address(), "session/1"
		guest.Root.Send(actor.NewPID(c.Seeds[0], "raft/"+group.String()), &messages.Requests{Group: uint64(group), Sessions: []*messages.SessionRequests{asker}})
	}
	encode := func(m proto.Message) [][]byte {
		encoded, err := proto.Marshal(m)
		require.NoError(t, err)
		return [][]byte{encoded}
	}
	bucket := uint32(messages.BucketOf(key, len(config.Owners)))
	version := config.Version + 1000
	pull := &messages.BucketPull{Bucket: bucket, ConfigVersion: version}
	for i, op := range []*messages.ShardCommand{
		{Op: &messages.ShardCommand_StartMigration{StartMigration: &messages.StartMigration{Bucket: bucket, ConfigVersion: version, Destination: 2}}},
		{Op: &messages.ShardCommand_FreezeBucket{FreezeBucket: &messages.FreezeBucket{Pull: pull}}},
		{Op: &messages.ShardCommand_DeleteMigrated{DeleteMigrated: &messages.DeleteMigrated{Bucket: bucket, ConfigVersion: version}}},
		{Op: &messages.ShardCommand_CreateBuckets{CreateBuckets: &messages.CreateBuckets{Buckets: []uint32{bucket}, ConfigVersion: version}}},
	} {
		command := encode(&messages.Command{Session: 1, Seq: uint64(i + 1), Op: &messages.Command_Shard{Shard: op}})
		say(1, &messages.SessionRequests{Commands: command})
		say(1, &messages.SessionRequests{Retries: command})
	}
	say(1, &messages.SessionRequests{Queries: encode(&messages.Query{Session: 1, Seq: 10, Op: &messages.Query_BucketPull{BucketPull: pull}})})
	say(messages.Meta, &messages.SessionRequests{Commands: encode(&messages.Command{Session: 1, Seq: 11, Op: &messages.Command_Meta{Meta: &messages.MetaCommand{
		Op: &messages.MetaCommand_AddNode{AddNode: &messages.AddNode{Name: "intruder", Address: "127.0.0.1:1", DirectoryToken: 1}},
	}}})})
	say(1, &messages.SessionRequests{Commands: encode(&messages.Command{Session: 1, Seq: 12, Op: &messages.Command_Put{Put: &messages.Put{Key: key, Value: []byte("w")}}})})
	select {
	case seq := <-answers:
		require.EqualValues(t, 12, seq, "only what clients may say is answered")
	case <-time.After(20 * time.Second):
		require.Fail(t, "an ordinary put is not answered")
	}
	refused := make(chan string, 1)
	_, err = guest.Spawn("member", func() actor.Actor {
		return actor.ReceiveFunc(func(ctx actor.Context) {
			if m, ok := ctx.Message().(*messages.JoinReply); ok {
				refused <- m.Text
			}
		})
	})
	require.NoError(t, err)
	victim := config.Nodes[0]
	guest.Root.Send(actor.NewPID(c.Seeds[0], "member"), &messages.JoinRequest{
		ClusterId: config.ClusterId, ReplyAddress: guest.Address(), ReplyId: "member",
		Node: &messages.AddNode{Name: victim.Name, DirectoryToken: victim.DirectoryToken, Address: "127.0.0.1:1", Epoch: 1 << 40},
	})
	select {
	case text := <-refused:
		require.Contains(t, text, "is alive at "+victim.Address, "a node's address is changed by nobody else")
	case <-time.After(20 * time.Second):
		require.Fail(t, "a join is not answered")
	}

	v, found, err := cl.Get(t.Context(), key)
	require.NoError(t, err)
	require.True(t, found)
	require.Equal(t, "w", string(v.Data))
	after, err := cl.Config(t.Context(), 0)
	require.NoError(t, err)
	require.Len(t, after.Nodes, len(config.Nodes))
	require.Equal(t, victim.Address, after.Nodes[0].Address)
	require.Empty(t, answers)
}

// Operators at machines of their own order what excludes what others order, all at once: whoever is first wins, all others hear
// why not and what to do, and only what was done is in the chain.
func TestOperatorsRace(t *testing.T) {
	t.Parallel()
	c := loopback.Start(t, 3, func(_ int, c *cluster.Config) { c.Groups = 2 })
	operators := make([]*client.Client, 6)
	for i := range operators {
		o, err := client.Connect(t.Context(), client.Config{Seeds: c.Seeds, Timeout: 25 * time.Second}) // on a machine that is busy
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, o.Close()) })
		operators[i] = o
	}
	require.Eventually(t, func() bool {
		config, err := operators[0].Config(t.Context(), 0)
		return err == nil && len(config.MovesPending) == 0
	}, time.Minute, 20*time.Millisecond)
	start, err := operators[0].PausePlacement(t.Context())
	require.NoError(t, err)
	race := func(order func(i int) *messages.MetaCommand) (refused []error) {
		var mu sync.Mutex
		var wg sync.WaitGroup
		for i, o := range operators {
			wg.Go(func() {
				if _, err := o.Change(t.Context(), order(i)); err != nil {
					mu.Lock()
					defer mu.Unlock()
					refused = append(refused, err)
				}
			})
		}
		wg.Wait()
		return refused
	}
	for _, r := range []struct {
		order   func(i int) *messages.MetaCommand
		refused int
		says    string
	}{
		{func(i int) *messages.MetaCommand {
			return at(start.Version, move(uint32(i), uint32(i), 3-start.Owners[i]))
		}, 5, "look again at what you want to change"},
		{func(i int) *messages.MetaCommand { return leave(uint64(i%2 + 1)) }, 5, "is the last one|is no shard group|try again when it has arrived"},
		{func(i int) *messages.MetaCommand { return drain(uint64(i%3 + 1)) }, 2, "is the last one that can have data: let another node join first"},
	} {
		refused := race(r.order)
		require.Len(t, refused, r.refused, "%v", refused)
		for _, err := range refused {
			require.True(t, errors.Is(err, client.ErrConflict) || errors.Is(err, client.ErrInvalid), err)
			require.Regexp(t, r.says, err.Error())
		}
	}
	log, err := operators[0].ConfigLog(t.Context(), start.Version+1, 0)
	require.NoError(t, err)
	done := map[string]int{}
	for _, config := range log {
		if !strings.Contains(config.Change, "arrived") {
			done[strings.Fields(config.Change)[0]]++
		}
	}
	require.Equal(t, map[string]int{"move": 1, "leave": 1, "drain": 2}, done, "%v", log)
}

func move(first, last uint32, to uint64) *messages.MetaCommand {
	return &messages.MetaCommand{Op: &messages.MetaCommand_Move{Move: &messages.MoveBuckets{First: first, Last: last, Group: to}}}
}

func leave(group uint64) *messages.MetaCommand {
	return &messages.MetaCommand{Op: &messages.MetaCommand_Leave{Leave: &messages.LeaveGroup{Group: group}}}
}

func drain(node uint64) *messages.MetaCommand {
	return &messages.MetaCommand{Op: &messages.MetaCommand_SetNode{SetNode: &messages.SetNode{Node: node, State: messages.NodeState_DRAINING}}}
}

// at has a command refused unless the config is at a version.
func at(version uint64, c *messages.MetaCommand) *messages.MetaCommand {
	c.IfVersion = version
	return c
}
