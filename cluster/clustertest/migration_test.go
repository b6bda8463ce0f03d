package clustertest_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/actors/actortest"
	"github.com/eraft-io/eraft/cluster"
	"github.com/eraft-io/eraft/cluster/clustertest"
	"github.com/eraft-io/eraft/messages"
)

// travel is a bucket of group 1 that moves to group 2 in many chunks while a client appends to one of its keys.
type migration struct {
	t       *testing.T
	s       *clustertest.Simulation
	c       *clustertest.Client
	leaders [3]*clustertest.SimNode // of meta and the groups, before anybody dies
	bucket  uint32
	log     string // what was acknowledged
	next    int
	over    bool
	longest time.Duration // that one append took
}

func newMigration(t *testing.T, seed uint64) *migration {
	x := &migration{t: t, s: startCluster(t, seed, clustertest.Options{Groups: 2, Migration: cluster.MigrationLimits{ChunkBytes: 300}})}
	x.c = x.s.Client("c")
	for group := range x.leaders {
		x.leaders[group] = leader(t, x.s, uint64(group))
	}
	for tag := 0; ; tag++ {
		if key := fmt.Sprintf("{%d}", tag); owner(t, x.s, key) == 1 {
			x.bucket = uint32(messages.BucketOf([]byte(key), 16))
			for i := range 20 {
				_, err := x.c.Do(put(fmt.Sprint(key, i), strings.Repeat("v", 50)))
				require.NoError(t, err)
			}
			x.write(key + "log")
			return x
		}
	}
}

// write appends one number after the other for as long as the travel lasts.
func (x *migration) write(key string) {
	began, value := x.s.Now(), fmt.Sprint(x.next, ",")
	x.next++
	x.c.Ask(&messages.Append{Key: []byte(key), Value: []byte(value)}, 30*time.Second, func(r *messages.Reply) {
		require.Equal(x.t, messages.Code_OK, r.Code, r.Text)
		x.log += value
		require.EqualValues(x.t, len(x.log), r.Number, "an append is lost, or was made twice")
		x.longest = max(x.longest, x.s.Now()-began)
		if !x.over {
			x.s.At(x.s.Now()+2*time.Millisecond, func() { x.write(key) })
		}
	})
}

func (x *migration) move(to uint64) {
	_, err := x.c.Do(&messages.MetaCommand{Op: &messages.MetaCommand_Move{Move: &messages.MoveBuckets{First: x.bucket, Last: x.bucket, Group: to}}})
	require.NoError(x.t, err)
}

// seen is how far the bucket is as the leader of a group sees it; the zero Migration: not on its way there.
func (x *migration) status(group uint64) cluster.MigrationStatus {
	for _, h := range x.leaders[group].Node.Migrations() {
		if h.Bucket == x.bucket && h.Group == group {
			return h
		}
	}
	return cluster.MigrationStatus{}
}

func (x *migration) pending() bool { return len(x.leaders[2].Node.Moving()) > 0 }

// stages of a migration, in order; each is reached when its condition holds.
var stages = []struct {
	name string
	is   func(x *migration) bool
}{
	{"moved in the config", func(x *migration) bool { return x.pending() }},
	{"migrating", func(x *migration) bool { return x.status(1).State == "migrating" }},
	{"first chunk", func(x *migration) bool { return x.status(2).Chunks == 1 }},
	{"some chunks", func(x *migration) bool { return x.status(2).Chunks == 4 }},
	{"copied", func(x *migration) bool { return x.status(2).Copied }},
	{"frozen", func(x *migration) bool { return x.status(1).State == "frozen" }},
	{"installed", func(x *migration) bool { return x.status(1).State == "frozen" && x.status(2).State == "" }},
	{"dropped", func(x *migration) bool { return x.pending() && x.status(1).State == "" && x.status(2).State == "" }},
}

// reach runs until a stage, through all before it.
func (x *migration) reach(stage int) {
	for _, before := range stages[:stage+1] {
		require.True(x.t, x.s.RunUntil(func() bool { return before.is(x) }, 10*time.Second), "never %s", before.name)
	}
}

// end lets everything settle, and holds the bucket against what was acknowledged.
func (x *migration) end(owner uint64) {
	settled(x.t, x.s)
	x.over = true
	require.True(x.t, x.s.RunUntil(func() bool { return strings.Count(x.log, ",") == x.next }, time.Minute))
	require.Empty(x.t, x.s.Oracle.Violations)
	require.Equal(x.t, owner, status(x.t, x.s.Nodes[0]).Buckets.Owners[x.bucket])
	require.True(x.t, x.s.RunUntil(func() bool {
		return !slices.ContainsFunc(x.s.Nodes, func(m *clustertest.SimNode) bool { return len(m.Node.Migrations()) > 0 })
	}, 10*time.Second), "something is left of the migration")
	for b := range uint32(16) {
		r, err := x.c.Do(&messages.Scan{Bucket: b})
		require.NoError(x.t, err)
		want := 0
		if b == x.bucket {
			want = 21
		}
		require.Len(x.t, r.Page.Items, want)
		for _, item := range r.Page.Items {
			if strings.HasSuffix(string(item.Key), "log") {
				require.Equal(x.t, x.log, string(item.Value))
			}
		}
	}
}

// participants of a migration that die.
var participants = []struct {
	name string
	who  func(x *migration) []*clustertest.SimNode
}{
	{"nobody", func(*migration) []*clustertest.SimNode { return nil }},
	{"the source's leader", func(x *migration) []*clustertest.SimNode { return x.leaders[1:2] }},
	{"the destination's leader", func(x *migration) []*clustertest.SimNode { return x.leaders[2:] }},
	{"meta's leader", func(x *migration) []*clustertest.SimNode { return x.leaders[:1] }},
	{"everybody", func(x *migration) []*clustertest.SimNode { return x.s.Nodes }},
}

// R15: a bucket gets through a migration, or back, whichever participant dies in whichever state of it.
func TestMigrationSurvivesEveryCrash(t *testing.T) {
	for i, stage := range stages {
		for j, p := range participants {
			for _, back := range []bool{false, true} {
				e := ends[(i+j)%len(ends)]
				t.Run(fmt.Sprintf("%s, %s: %s, back %v", stage.name, p.name, e.name, back), func(t *testing.T) {
					x := newMigration(t, uint64(i*100+j+1))
					x.move(2)
					x.reach(i)
					dead := p.who(x)
					for _, m := range dead {
						e.end(m)
					}
					x.s.At(x.s.Now()+500*time.Millisecond, func() {
						for _, m := range dead {
							m.Start()
						}
					})
					if back {
						x.move(1) // it may be too late for that: then the bucket moves once more
						x.end(1)
						return
					}
					x.end(2)
					if dead == nil {
						require.Less(t, x.longest, 20*time.Millisecond, "of virtual time: hardly a pause")
					}
				})
			}
		}
	}
}

// While nothing fails every chunk is asked for once, however many buckets travel at the same time.
func TestChunksTravelOnce(t *testing.T) {
	s := startCluster(t, 7, clustertest.Options{
		Groups: 2, Migration: cluster.MigrationLimits{ChunkBytes: 200}, World: []actortest.Option{actortest.KeepEntries(1 << 20)},
	})
	c := s.Client("c")
	for i := range 300 {
		_, err := c.Do(put(fmt.Sprint("k", i), strings.Repeat("v", 50)))
		require.NoError(t, err)
	}
	_, err := c.Do(&messages.MetaCommand{Op: &messages.MetaCommand_Move{Move: &messages.MoveBuckets{Last: 15, Group: 2}}})
	require.NoError(t, err)
	settled(t, s)
	asked := map[string]int{}
	for _, e := range s.Journal().Find(func(e actortest.Entry) bool { return e.Kind == actortest.Received && e.Type() == "Requests" }) {
		for _, a := range e.Message.(*messages.Requests).Sessions {
			for _, encoded := range a.Queries {
				q := new(messages.Query)
				require.NoError(t, proto.Unmarshal(encoded, q))
				if p := q.GetBucketPull(); p != nil {
					asked[fmt.Sprint(p.Bucket, " ", p.Number)]++
				}
			}
		}
	}
	require.Greater(t, len(asked), 40)
	for chunk, times := range asked {
		require.Equal(t, 1, times, "bucket and chunk %s", chunk)
	}
}

// A node copies no more than it may, for all its buckets together.
func TestCopyingIsSlowedDown(t *testing.T) {
	took := func(rate int) time.Duration {
		s := startCluster(t, 8, clustertest.Options{Groups: 2, Migration: cluster.MigrationLimits{ChunkBytes: 200, BytesPerSecond: rate}})
		c := s.Client("c")
		for i := range 300 {
			_, err := c.Do(put(fmt.Sprint("k", i), strings.Repeat("v", 50)))
			require.NoError(t, err)
		}
		began := s.Now()
		_, err := c.Do(&messages.MetaCommand{Op: &messages.MetaCommand_Move{Move: &messages.MoveBuckets{Last: 15, Group: 2}}})
		require.NoError(t, err)
		settled(t, s)
		return s.Now() - began
	}
	slow, fast := took(2000), took(1<<20)
	require.Greater(t, slow, 4*time.Second, "half of more than 16 KB")
	require.Less(t, fast, 2*time.Second)
}

// A leader of the source that never comes back stops nothing: the destination finds the next one.
func TestMigrationOutlivesALeader(t *testing.T) {
	x := newMigration(t, 12)
	require.NotEqual(t, x.leaders[1], x.leaders[2], "another seed is needed")
	x.move(2)
	x.reach(3)
	x.leaders[1].Crash()
	require.True(t, x.s.RunUntil(func() bool { return !x.pending() }, 30*time.Second))
	require.Empty(t, x.s.Oracle.Violations)
	x.over = true
}
