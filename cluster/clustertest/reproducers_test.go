package clustertest_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/cluster/clustertest"
	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/raftactor"
)

// These are the scenarios of docs/REPRODUCERS.md that only a whole cluster can show. Every one of them broke a key-value
// store that was built before this one.

// group is what a node's status document says of a group.
type group struct {
	ID       uint64   `json:"id"`
	Leader   uint64   `json:"leader"`
	Commit   uint64   `json:"commit"`
	Applied  uint64   `json:"applied"`
	LogFirst uint64   `json:"log_first"`
	Replicas []uint64 `json:"replicas"`
	Stalled  []uint64 `json:"stalled"`
	Bytes    uint64   `json:"bytes"`
}

type document struct {
	Node          string  `json:"node"`
	NodeID        uint64  `json:"node_id"`
	ConfigVersion uint64  `json:"config_version"`
	Groups        []group `json:"groups"`
	Nodes         []struct {
		ID   uint64 `json:"id"`
		Name string `json:"name"`
		Addr string `json:"addr"`
	} `json:"nodes"`
	Buckets struct {
		Owners []uint64 `json:"owners"`
	} `json:"buckets"`
}

func status(t *testing.T, m *clustertest.SimNode) (d document) {
	require.NoError(t, json.Unmarshal(m.Node.Status(), &d))
	return d
}

func groupOf(t *testing.T, m *clustertest.SimNode, id uint64) group {
	d := status(t, m)
	i := slices.IndexFunc(d.Groups, func(g group) bool { return g.ID == id })
	require.GreaterOrEqual(t, i, 0, "group %d is not in the status of %s", id, d.Node)
	return d.Groups[i]
}

// leads tells whether m leads a group, as m itself sees it.
func leads(t *testing.T, m *clustertest.SimNode, id uint64) bool {
	return m.Node != nil && groupOf(t, m, id).Leader == status(t, m).NodeID
}

// leader is who leads a group.
func leader(t *testing.T, s *clustertest.Simulation, id uint64) *clustertest.SimNode {
	i := slices.IndexFunc(s.Nodes, func(m *clustertest.SimNode) bool { return leads(t, m, id) })
	require.GreaterOrEqual(t, i, 0, "group %d has no leader", id)
	return s.Nodes[i]
}

func startCluster(t *testing.T, seed uint64, o clustertest.Options) *clustertest.Simulation {
	s := clustertest.Sim(t, seed, o)
	require.True(t, s.RunUntil(s.Ready, time.Minute))
	return s
}

func settled(t *testing.T, s *clustertest.Simulation) {
	t.Helper()
	require.True(t, s.RunUntil(func() bool {
		return s.Ready() && !slices.ContainsFunc(s.Nodes, func(m *clustertest.SimNode) bool { return len(m.Node.Moving()) > 0 })
	}, time.Minute))
}

func get(t *testing.T, c *clustertest.Client, key string) string {
	t.Helper()
	r, err := c.Do(&messages.Get{Key: []byte(key)})
	require.NoError(t, err)
	return string(r.Value)
}

// owner is the group of a key.
func owner(t *testing.T, s *clustertest.Simulation, key string) uint64 {
	owners := status(t, s.Nodes[0]).Buckets.Owners
	return owners[messages.BucketOf([]byte(key), len(owners))]
}

// succession ends whoever leads a group, and begins that node again, until each has led. check is called with one node
// missing, as soon as another leads.
func succession(t *testing.T, s *clustertest.Simulation, id uint64, end func(*clustertest.SimNode), check func()) {
	led := map[*clustertest.SimNode]bool{}
	for rounds := 0; len(led) < len(s.Nodes); rounds++ {
		require.Less(t, rounds, 40, "%d nodes have led group %d", len(led), id)
		was := leader(t, s, id)
		end(was)
		require.True(t, s.RunUntil(func() bool {
			return slices.ContainsFunc(s.Nodes, func(m *clustertest.SimNode) bool { return leads(t, m, id) })
		}, time.Minute), "nobody leads after a death")
		led[was], led[leader(t, s, id)] = true, true
		check()
		was.Start()
		settled(t, s)
	}
}

var ends = []struct {
	name string
	end  func(*clustertest.SimNode)
}{{"power loss", (*clustertest.SimNode).Crash}, {"kill", (*clustertest.SimNode).Kill}}

// R2: who replays its log, or leads after it, applies nothing twice.
func TestAppendsSurviveRestartsOnce(t *testing.T) {
	for _, e := range ends {
		t.Run(e.name, func(t *testing.T) {
			s := startCluster(t, 20, clustertest.Options{Groups: 1})
			c, want := s.Client("c"), ""
			add := func() {
				value := fmt.Sprintf("%d,", len(want))
				want += value
				r, err := c.Do(&messages.Append{Key: []byte("log"), Value: []byte(value)})
				require.NoError(t, err)
				require.EqualValues(t, len(want), r.Number)
			}
			for range 3 {
				add()
				m := s.Nodes[0]
				e.end(m)
				add()
				m.Start()
				settled(t, s)
			}
			for range 3 {
				// The append is applied, its leader dies before the client hears of it, and the next one is asked again.
				was, answered, applied := leader(t, s, 1), false, s.Oracle.Applied
				s.Network().Cut(was.Machine().Address(), "c:1")
				want += "!"
				c.Ask(&messages.Append{Key: []byte("log"), Value: []byte("!")}, 20*time.Second, func(r *messages.Reply) {
					answered = true
					require.NoError(t, r.Err())
					require.EqualValues(t, len(want), r.Number)
				})
				require.True(t, s.RunUntil(func() bool { return s.Oracle.Applied >= applied+2 }, 5*time.Second))
				require.False(t, answered)
				e.end(was)
				s.Network().Heal()
				require.True(t, s.RunUntil(func() bool { return answered }, 20*time.Second))
				was.Start()
				settled(t, s)
			}
			succession(t, s, 1, e.end, func() {
				require.Equal(t, want, get(t, c, "log"))
				add()
			})
			require.Empty(t, s.Oracle.Violations)
		})
	}
}

// R3: after restarts every node tells the same history of the config, whoever leads.
func TestConfigChainIsTheSameEverywhere(t *testing.T) {
	s := startCluster(t, 30, clustertest.Options{Groups: 3})
	c := s.Client("c")
	change := func(m *messages.MetaCommand) {
		_, err := c.Do(m)
		require.NoError(t, err)
		settled(t, s)
	}
	change(move(0, 3, 2))
	change(&messages.MetaCommand{Op: &messages.MetaCommand_Join{Join: &messages.JoinGroups{
		Groups: []*messages.NewGroup{{Group: 9, Nodes: []uint64{2, 3, 1}}},
	}}})
	change(&messages.MetaCommand{Op: &messages.MetaCommand_Leave{Leave: &messages.LeaveGroup{Group: 3}}})
	change(move(4, 7, 9))
	s.RunUntil(func() bool { return false }, 5*time.Second) // placement takes the nodes off group 3, and evens out the rest
	settled(t, s)
	newest := status(t, s.Nodes[0]).ConfigVersion
	chain := func() (all []*messages.Config) {
		for v := uint64(1); v <= newest; v++ {
			r, err := c.Do(&messages.MetaQuery{Op: &messages.MetaQuery_Show{Show: v}})
			require.NoError(t, err)
			all = append(all, r.Meta.Config)
		}
		return all
	}
	want := chain()
	succession(t, s, 0, (*clustertest.SimNode).Crash, func() {
		for i, got := range chain() {
			require.True(t, proto.Equal(want[i], got), "version %d is %v and was %v", i+1, got, want[i])
		}
	})
	for _, m := range s.Nodes {
		require.Equal(t, newest, status(t, m).ConfigVersion, "a restart leaves no version behind")
	}
	require.Empty(t, s.Oracle.Violations)
}

func move(first, last uint32, to uint64) *messages.MetaCommand {
	return &messages.MetaCommand{Op: &messages.MetaCommand_Move{Move: &messages.MoveBuckets{First: first, Last: last, Group: to}}}
}

// R6: nobody works, and no log grows, because time passes, or because somebody reads the config.
func TestIdleClusterWritesNothing(t *testing.T) {
	s := startCluster(t, 60, clustertest.Options{Groups: 3})
	c := s.Client("c")
	s.RunUntil(func() bool { return false }, 10*time.Second)
	before, steps := status(t, s.Nodes[0]).Groups, s.Steps()
	require.Len(t, before, 4)
	for range 10 {
		s.RunUntil(func() bool { return false }, time.Minute)
		_, err := c.Do(&messages.MetaQuery{Op: &messages.MetaQuery_Show{}})
		require.NoError(t, err)
	}
	require.Less(t, s.Steps()-steps, uint64(100*600), "steps: groups that do not rest take several times as many")
	for i, g := range status(t, s.Nodes[0]).Groups {
		require.Equal(t, before[i].Commit, g.Commit, "group %d", g.ID)
	}
	require.Empty(t, s.Oracle.Violations)
}

// R4 and R7: a follower that was away while more was written than its group's log keeps gets the data, then the log,
// and is worth as much as the others afterwards. What was written over after that is newer on each of them, also when
// their state comes from a snapshot and the rest of the log.
func TestFollowerBehindTheLogCatchesUp(t *testing.T) {
	s := startCluster(t, 70, clustertest.Options{Groups: 1, Limits: raftactor.Limits{
		RetainBytes: 256 << 10, EntryBytes: 64 << 10, AppendBytes: 128 << 10, InflightBytes: 512 << 10,
	}})
	c := s.Client("c")
	write := func(keys int, version string) {
		for i := range keys {
			_, err := c.Do(put(fmt.Sprint("k", i), version+strings.Repeat("x", 32<<10)))
			require.NoError(t, err)
		}
	}
	write(1, "first")
	i := slices.IndexFunc(s.Nodes, func(m *clustertest.SimNode) bool { return !leads(t, m, 1) })
	away := s.Nodes[i]
	had := groupOf(t, away, 1).Commit
	away.Crash()
	write(200, "second")
	require.Greater(t, groupOf(t, leader(t, s, 1), 1).LogFirst, had+1, "the log does not reach back to what the follower has")
	away.Start()
	require.True(t, s.RunUntil(func() bool {
		return s.Ready() && groupOf(t, away, 1).Applied >= groupOf(t, leader(t, s, 1), 1).Commit
	}, time.Minute), "it catches up")
	require.Greater(t, groupOf(t, away, 1).LogFirst, had+1, "by a snapshot")
	write(3, "third")
	succession(t, s, 1, (*clustertest.SimNode).Crash, func() {
		for i := range 200 {
			want := "second"
			if i < 3 {
				want = "third"
			}
			require.Equal(t, want, strings.TrimRight(get(t, c, fmt.Sprint("k", i)), "x"))
		}
	})
	require.Empty(t, s.Oracle.Violations)
}

// R19: a leader that is cut off with a client does not know that others have elected another, and must not answer from
// what it has. It answers nobody then, or later.
func TestNoStaleReadBesideAnOldLeader(t *testing.T) {
	for seed := range uint64(5) {
		s := startCluster(t, 190+seed, clustertest.Options{})
		near, far := s.Client("near"), s.Client("far")
		_, err := near.Do(put("k", "old"))
		require.NoError(t, err)
		require.Equal(t, "old", get(t, far, "k"))
		group := owner(t, s, "k")
		cut := leader(t, s, group)
		rest := []string{"far:1"}
		for _, m := range s.Nodes {
			if m != cut {
				rest = append(rest, m.Machine().Address())
			}
		}
		cut.Machine().Clock().Skew(0.1) // else it would notice that nobody follows it before the others may elect another
		s.Network().Partition([]string{cut.Machine().Address(), "near:1"}, rest)
		replaced, asked, stop := false, 0, false
		var read func()
		read = func() {
			after := replaced
			asked++
			near.Ask(&messages.Get{Key: []byte("k")}, 300*time.Millisecond, func(r *messages.Reply) {
				require.False(t, after && r.Code == messages.Code_OK && string(r.Value) == "old", "a stale read at %v", s.Now())
				if !stop {
					s.At(s.Now()+10*time.Millisecond, read)
				}
			})
		}
		read()
		_, err = far.Do(put("k", "new"))
		require.NoError(t, err, "the majority goes on")
		replaced = true
		require.Equal(t, "new", get(t, far, "k"))
		s.RunUntil(func() bool { return false }, 5*time.Second)
		require.Greater(t, asked, 5)
		s.Network().Heal()
		settled(t, s)
		s.RunUntil(func() bool { return false }, time.Second)
		stop = true
		require.Equal(t, "new", get(t, near, "k"))
		require.Empty(t, s.Oracle.Violations)
	}
}

// R14: what is answered OK while a bucket leaves is there when it has arrived, once, and what is refused is not.
func TestWritesRaceWithMoves(t *testing.T) {
	for seed := range uint64(3) {
		s := startCluster(t, 140+seed, clustertest.Options{Groups: 2})
		const writers = 8
		type writer struct {
			done, refused, maybe []string
			over                 bool
		}
		all, stop := make([]*writer, writers), false
		for i := range all {
			w, c, n := &writer{}, s.Client(fmt.Sprint("w", i)), 0
			all[i] = w
			var next func()
			next = func() {
				if w.over = stop; stop {
					return
				}
				n++
				token := fmt.Sprintf("%d,", n)
				c.Ask(&messages.Append{Key: fmt.Append(nil, "k", i), Value: []byte(token)}, 200*time.Millisecond, func(r *messages.Reply) {
					switch r.Code {
					case messages.Code_OK:
						w.done = append(w.done, token)
					case messages.Code_UNCERTAIN:
						w.maybe = append(w.maybe, token)
					default:
						w.refused = append(w.refused, token)
					}
					next()
				})
			}
			s.At(s.Now(), next)
		}
		admin := s.Client("admin")
		for round := range 10 {
			_, err := admin.Do(move(0, 15, uint64(1+round%2)))
			require.NoError(t, err)
			settled(t, s)
		}
		stop = true
		require.True(t, s.RunUntil(func() bool {
			return !slices.ContainsFunc(all, func(w *writer) bool { return !w.over })
		}, time.Minute))
		for i, w := range all {
			value := get(t, admin, fmt.Sprint("k", i))
			there := strings.SplitAfter(strings.TrimSuffix(value, ","), ",")
			there[len(there)-1] += ","
			require.Greater(t, len(w.done), 20)
			times := map[string]int{}
			for _, token := range there {
				times[token]++
			}
			for _, token := range w.done {
				require.Equal(t, 1, times[token], "%s was acknowledged", token)
			}
			for _, token := range w.refused {
				require.Zero(t, times[token], "%s was refused", token)
			}
			for _, token := range w.maybe {
				require.LessOrEqual(t, times[token], 1, "%s may be there, once", token)
			}
			t.Logf("writer %d: %d done, %d refused, %d unknown", i, len(w.done), len(w.refused), len(w.maybe))
		}
		require.Empty(t, s.Oracle.Violations)
	}
}

// R17: a cluster of one serves, keeps what it acknowledged, and moves buckets.
func TestClusterOfOne(t *testing.T) {
	s := startCluster(t, 170, clustertest.Options{Nodes: 1, Groups: 2})
	c := s.Client("c")
	for round, e := range ends {
		for i := range 20 {
			_, err := c.Do(&messages.Incr{Key: fmt.Append(nil, "k", i), By: 1})
			require.NoError(t, err)
		}
		e.end(s.Nodes[0])
		s.Nodes[0].Start()
		settled(t, s)
		_, err := c.Do(move(0, 7, uint64(1+(round+1)%2)))
		require.NoError(t, err)
		settled(t, s)
		for i := range 20 {
			require.Equal(t, fmt.Sprint(round+1), get(t, c, fmt.Sprint("k", i)))
		}
	}
	require.Empty(t, s.Oracle.Violations)
}

// R17: a group gets more replicas, fewer and others, while clients work on it. They see one register per key, and in
// the end exactly the wanted nodes are members.
func TestMembersChangeUnderLoad(t *testing.T) {
	s := startCluster(t, 171, clustertest.Options{Nodes: 5, Groups: 1})
	admin := s.Client("admin")
	_, err := admin.Do(&messages.MetaCommand{Op: &messages.MetaCommand_SetPlacement{
		SetPlacement: &messages.SetPlacement{Placement: messages.Placement_PAUSED},
	}})
	require.NoError(t, err)
	work := s.Work(4, s.Now()+30*time.Second, 50*time.Millisecond)
	for _, nodes := range [][]uint64{{1, 2}, {1, 2, 3}, {5, 4, 3, 2, 1}, {4, 5, 1}} {
		_, err := admin.Do(&messages.MetaCommand{Op: &messages.MetaCommand_SetReplicas{SetReplicas: &messages.SetReplicas{Group: 1, Nodes: nodes}}})
		require.NoError(t, err)
		want := slices.Sorted(slices.Values(nodes))
		require.True(t, s.RunUntil(func() bool {
			return slices.Equal(want, slices.Sorted(slices.Values(groupOf(t, s.Nodes[want[0]-1], 1).Replicas)))
		}, 20*time.Second), "%v, but wanted %v", groupOf(t, s.Nodes[want[0]-1], 1), want)
	}
	require.True(t, s.RunUntil(work.Over, time.Minute))
	settled(t, s)
	judged, tangled, violation := work.Judge(10 * time.Second)
	require.Empty(t, violation)
	require.Empty(t, s.Oracle.Violations)
	require.False(t, tangled)
	done, _, _ := work.Counts()
	require.Greater(t, judged, 200)
	require.Greater(t, done, 200)
}
