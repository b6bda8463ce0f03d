package clustertest_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/eraft-io/eraft/cluster"
	"github.com/eraft-io/eraft/cluster/clustertest"
	"github.com/eraft-io/eraft/messages"
)

// writer appends one number after the other to a key of one bucket.
type writer struct {
	t       *testing.T
	s       *clustertest.Simulation
	c       *clustertest.Client
	key     string
	log     string // what was acknowledged
	next    int
	over    bool
	began   time.Duration // of the append that is on its way
	longest time.Duration // that one append took
}

// writers write to every bucket.
func writers(t *testing.T, s *clustertest.Simulation) []*writer {
	all, c := make([]*writer, 16), s.Client("writers")
	for tag := 0; slices.Contains(all, nil); tag++ {
		key := fmt.Sprintf("{%d}log", tag)
		if b := messages.BucketOf([]byte(key), len(all)); all[b] == nil {
			all[b] = &writer{t: t, s: s, c: c, key: key}
			all[b].write()
		}
	}
	return all
}

func (w *writer) write() {
	if w.over {
		return
	}
	w.began = w.s.Now()
	value := fmt.Sprint(w.next, ",")
	w.next++
	w.c.Ask(&messages.Append{Key: []byte(w.key), Value: []byte(value)}, time.Minute, func(r *messages.Reply) {
		require.Equal(w.t, messages.Code_OK, r.Code, r.Text)
		w.log += value
		require.EqualValues(w.t, len(w.log), r.Number, "an append is lost, or was made twice")
		w.longest = max(w.longest, w.s.Now()-w.began)
		w.s.At(w.s.Now()+5*time.Millisecond, w.write)
	})
}

// waits is how long the longest append took or takes.
func (w *writer) waits() time.Duration { return max(w.longest, w.s.Now()-w.began) }

// apart is a cluster of six, paused, whose groups are on nodes 1, 2, 3 but for group 1, which is on 4, 5, 6.
func apart(t *testing.T, seed uint64) (*clustertest.Simulation, []*clustertest.SimNode) {
	s := startCluster(t, seed, clustertest.Options{Nodes: 6, Groups: 3, Migration: cluster.MigrationLimits{ChunkBytes: 300}})
	admin := s.Client("admin")
	_, err := admin.Do(pause())
	require.NoError(t, err)
	for group, nodes := range [][]uint64{{1, 2, 3}, {4, 5, 6}, {2, 3, 1}, {3, 1, 2}} {
		_, err := admin.Do(&messages.MetaCommand{Op: &messages.MetaCommand_SetReplicas{
			SetReplicas: &messages.SetReplicas{Group: uint64(group), Nodes: nodes},
		}})
		require.NoError(t, err)
	}
	placed(t, s)
	return s, slices.DeleteFunc(slices.Clone(s.Nodes), func(m *clustertest.SimNode) bool { return status(t, m).NodeID < 4 })
}

// stay is a cluster that is apart, and who writes to its buckets.
type blockedMigration struct {
	t       *testing.T
	s       *clustertest.Simulation
	admin   *clustertest.Client
	giver   []*clustertest.SimNode
	buckets [4][]uint32 // of each group, before anything moves
	writers []*writer   // by bucket
}

func newBlockedMigration(t *testing.T, seed uint64) blockedMigration {
	x := blockedMigration{t: t}
	x.s, x.giver = apart(t, seed)
	x.admin = x.s.Client("operator")
	for b, g := range status(t, x.s.Nodes[0]).Buckets.Owners {
		x.buckets[g] = append(x.buckets[g], uint32(b))
	}
	x.writers = writers(t, x.s)
	for _, w := range x.writers {
		for i := range 20 {
			_, err := x.admin.Do(put(fmt.Sprint(w.key, i), strings.Repeat("v", 50)))
			require.NoError(t, err)
		}
	}
	return x
}

func (x blockedMigration) move(b uint32, to uint64) {
	_, err := x.admin.Do(move(b, b, to))
	require.NoError(x.t, err)
}

// moving tells whether a bucket is on its way, as a node that lives sees it.
func (x blockedMigration) moving(b uint32) bool {
	i := slices.IndexFunc(x.s.Nodes, func(m *clustertest.SimNode) bool { return m.Node != nil })
	return slices.Contains(x.s.Nodes[i].Node.Moving(), b)
}

// installed counts the buckets that group 2 has begun to take from group 1.
func (x blockedMigration) imported() (count int) {
	for _, h := range leader(x.t, x.s, 2).Node.Migrations() {
		if h.Group == 2 && h.Other == 1 && h.Chunks > 1 {
			count++
		}
	}
	return count
}

// end lets everything settle, and holds what is there against what was acknowledged.
func (x blockedMigration) end() {
	placed(x.t, x.s)
	settled(x.t, x.s)
	for _, w := range x.writers {
		w.over = true
	}
	for b, w := range x.writers {
		require.True(x.t, x.s.RunUntil(func() bool { return strings.Count(w.log, ",") == w.next }, time.Minute), "bucket %d", b)
		require.Equal(x.t, w.log, get(x.t, x.admin, w.key))
		for i := range 20 {
			require.Equal(x.t, strings.Repeat("v", 50), get(x.t, x.admin, fmt.Sprint(w.key, i)))
		}
	}
	require.Empty(x.t, x.s.Oracle.Violations)
}

// A group that gives buckets dies in the middle of that. Every other bucket is served on, and others change hands meanwhile,
// also to the same destination. When the dead are back, what was under way goes on, and nothing is lost.
func TestDeadSourceHoldsUpNobody(t *testing.T) {
	for seed := range uint64(*seeds)/8 + 1 {
		x := newBlockedMigration(t, 400+seed)
		from := x.buckets[1]
		require.Greater(t, len(from), 4, "more than a pair of groups moves at once")
		for _, b := range from {
			x.move(b, 2)
		}
		require.True(t, x.s.RunUntil(func() bool { return x.imported() > 1 }, 10*time.Second))
		for _, m := range x.giver[:2] {
			m.Crash()
		}
		died := x.s.Now()
		for _, w := range x.writers {
			w.longest, w.began = 0, x.s.Now()
		}
		x.s.Advance(5 * time.Second)
		other, same := x.buckets[2][0], x.buckets[3][0]
		x.move(other, 3)
		x.move(same, 2)
		x.s.Advance(time.Second)
		require.False(t, x.moving(other), "between two others")
		require.False(t, x.moving(same), "to who waits for the dead")
		require.Greater(t, x.s.Now(), died+5*time.Second)
		for b, w := range x.writers {
			if slices.Contains(from, uint32(b)) && x.moving(uint32(b)) {
				continue
			}
			require.Less(t, w.waits(), 200*time.Millisecond, "of virtual time, bucket %d", b)
		}
		require.True(t, x.moving(from[len(from)-1]))
		require.Greater(t, x.writers[from[len(from)-1]].waits(), 5*time.Second, "it waits for the dead")
		for _, m := range x.giver[:2] {
			m.Start()
		}
		x.end()
		for _, b := range from {
			require.EqualValues(t, 2, status(t, x.s.Nodes[0]).Buckets.Owners[b])
		}
	}
}

// A group that takes buckets dies in the middle of that: whoever gives them serves them on, and they can be called back.
func TestDeadDestinationHoldsUpNobody(t *testing.T) {
	x := newBlockedMigration(t, 450)
	to := x.buckets[2]
	for _, m := range x.giver[:2] {
		m.Crash()
	}
	x.s.Advance(time.Second)
	x.move(to[0], 1)
	x.move(to[1], 1)
	x.move(to[2], 3)
	x.s.Advance(5 * time.Second)
	require.False(t, x.moving(to[2]), "from who cannot give")
	x.move(to[0], 2)
	x.s.Advance(time.Second)
	require.False(t, x.moving(to[0]), "reverted without the destination")
	require.True(t, x.moving(to[1]))
	for b, w := range x.writers {
		if !slices.Contains(x.buckets[1], uint32(b)) {
			require.Less(t, w.waits(), 200*time.Millisecond, "of virtual time, bucket %d", b)
		}
	}
	for _, m := range x.giver[:2] {
		m.Start()
	}
	x.end()
	require.EqualValues(t, 1, status(t, x.s.Nodes[0]).Buckets.Owners[to[1]])
}
