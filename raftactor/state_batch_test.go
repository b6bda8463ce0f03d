package raftactor

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/persistence"
	"github.com/eraft-io/eraft/persistence/memory"
)

// A turn reads its own writes, also in scans, and its batch leaves the store as the turn showed it.
func TestTurnShowsWhatItsBatchWillDo(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	engine, want := memory.New(), map[string]string{}
	prefix := []byte("g7/")
	for round := range 100 {
		work := newStateBatch(persistence.Scope(engine, prefix))
		for range rng.IntN(8) {
			key := fmt.Sprintf("%d/%d", rng.IntN(4), rng.IntN(6))
			switch rng.IntN(5) {
			case 0:
				work.Delete([]byte(key))
				delete(want, key)
			case 1:
				p := key[:2]
				work.DeletePrefix([]byte(p))
				for k := range want {
					if strings.HasPrefix(k, p) {
						delete(want, k)
					}
				}
			default:
				work.Put([]byte(key), fmt.Append(nil, round))
				want[key] = fmt.Sprint(round)
			}
			got, found, err := work.Get([]byte(key))
			require.NoError(t, err)
			v, ok := want[key]
			require.Equal(t, ok, found)
			require.Equal(t, v, string(got))
		}
		require.Equal(t, listed(want, "1/", "3/"), scanned(t, work, "1/", "3/"), "round %d", round)
		batch := new(persistence.Batch)
		work.commit(batch, prefix)
		require.NoError(t, engine.Write(batch, false))
		require.Equal(t, listed(want, "", "~"), scanned(t, newStateBatch(persistence.Scope(engine, prefix)), "", ""))
	}
}

func scanned(t *testing.T, work *stateBatch, low, high string) (all []string) {
	require.NoError(t, work.Scan([]byte(low), []byte(high), func(k, v []byte) bool {
		all = append(all, string(k)+"="+string(v))
		return true
	}))
	return all
}

func listed(want map[string]string, low, high string) (all []string) {
	for k, v := range want {
		if k >= low && k < high {
			all = append(all, k+"="+v)
		}
	}
	slices.Sort(all)
	return all
}

// A snapshot's installation that a crash cuts off anywhere is finished at the next start, or never began.
func TestInstallSurvivesCrashes(t *testing.T) {
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 9))
		engine := memory.New()
		s := store{engine, 5}
		batch := new(persistence.Batch)
		for i := range 20 {
			batch.Put(append(s.dataPrefix(), fmt.Sprintf("old%d", i)...), []byte("old"))
		}
		batch.Put([]byte("neighbour"), []byte("stays"))
		require.NoError(t, s.putMeta(batch, s.key(kindApplied), &messages.SnapshotMeta{Index: 10, Term: 1, Conf: &messages.ConfState{}}))
		require.NoError(t, engine.Write(batch, true))
		meta := &messages.SnapshotMeta{Index: 50, Term: 3, Conf: &messages.ConfState{Voters: []uint64{1}}}
		r := &snapshotReceiver{store: s}
		for n := range uint64(4) {
			require.NoError(t, r.stage(&messages.SnapshotChunk{Number: n, Last: n == 3, Meta: meta, Pairs: []*messages.Pair{{
				Key: fmt.Appendf(nil, "new%d", n), Value: make([]byte, 500<<10),
			}}}))
		}
		writes := rng.IntN(6)
		engine.SetFaults(memory.Faults{Write: func(*persistence.Batch) error {
			if writes--; writes < 0 {
				return memory.ErrFull
			}
			return nil
		}})
		installed := s.install(meta) == nil
		s.engine = engine.Crash(rng)
		at, err := s.recoverStore(meta)
		require.NoError(t, err)
		require.EqualValues(t, 50, at.Index, "seed %d, installed before the crash: %v", seed, installed)
		var keys []string
		require.NoError(t, s.data().Scan(nil, nil, func(k, _ []byte) bool { keys = append(keys, string(k)); return true }))
		require.Equal(t, []string{"new0", "new1", "new2", "new3"}, keys, "seed %d", seed)
		_, found, err := s.engine.Get([]byte("neighbour"))
		require.NoError(t, err)
		require.True(t, found)
	}
}

// Data that is behind the log's start, without a snapshot to fill the gap, is refused.
func TestMissingStateIsRefused(t *testing.T) {
	s := store{memory.New(), 5}
	_, err := s.recoverStore(&messages.SnapshotMeta{Index: 50, Term: 2})
	require.ErrorContains(t, err, "it is at index 0 but its log starts after 50")
	require.ErrorContains(t, err, "join")
}

func TestNextChange(t *testing.T) {
	for _, c := range []struct {
		voters, learners, wanted []uint64
		match                    uint64
		want                     string
	}{
		{[]uint64{1}, nil, []uint64{1, 2, 3}, 0, "ADD_LEARNER 2"},
		{[]uint64{1}, []uint64{2}, []uint64{1, 2}, 10, ""},
		{[]uint64{1}, []uint64{2}, []uint64{1, 2}, 100, "PROMOTE 2"},
		{[]uint64{1, 2, 3}, nil, []uint64{1, 2}, 100, "REMOVE 3"},
		{[]uint64{1, 2}, nil, []uint64{1, 2}, 100, ""},
		{[]uint64{1, 2}, []uint64{3}, []uint64{1, 3}, 10, ""},
		{[]uint64{1, 2}, []uint64{3}, []uint64{1, 3}, 100, "JOINT PROMOTE 3 REMOVE 2"},
		{[]uint64{1, 2, 3}, []uint64{4, 5}, []uint64{1, 4, 5}, 100, "JOINT PROMOTE 4 PROMOTE 5 REMOVE 2 REMOVE 3"},
		{[]uint64{1}, []uint64{2, 3}, []uint64{1, 2, 3}, 100, "JOINT PROMOTE 2 PROMOTE 3"},
		{[]uint64{1, 2, 3}, []uint64{4}, []uint64{4, 5, 6}, 100, "ADD_LEARNER 5"},
		{[]uint64{1, 2, 3}, []uint64{4}, []uint64{2, 3, 4}, 100, "PROMOTE 4"},
		{[]uint64{1, 2, 3, 4}, nil, []uint64{2, 3, 4}, 100, ""},
	} {
		status := statusOf(c.voters, c.learners, c.match)
		got := ""
		if change := NextChange(status, c.wanted); change != nil {
			got = change.Kind.String()
			for _, c := range change.Changes {
				got += fmt.Sprint(" ", c.Kind, " ", c.Node)
			}
			if len(change.Changes) == 0 {
				got += fmt.Sprint(" ", change.Node)
			}
		}
		require.Equal(t, c.want, got, "%+v", c)
	}
	status := statusOf([]uint64{1}, []uint64{2}, 100)
	status.Followers[0].Recovering = true
	require.Nil(t, NextChange(status, []uint64{1, 2}), "a voter that does not vote")
}

// TestHeir: a leader that is not wanted hands over to a wanted voter, as soon as one is up to date.
func TestHeir(t *testing.T) {
	require.Zero(t, chooseTransferee(statusOf([]uint64{1, 2, 3}, nil, 100), []uint64{1, 2, 3}))
	require.Equal(t, uint64(3), chooseTransferee(statusOf([]uint64{1, 2, 3}, []uint64{4}, 100), []uint64{4, 3}))
	require.Zero(t, chooseTransferee(statusOf([]uint64{1, 2, 3}, []uint64{4}, 100), []uint64{4, 5, 6}), "learners cannot lead")
	require.Zero(t, chooseTransferee(statusOf([]uint64{1, 2, 3}, nil, 10), []uint64{2, 3}))
}

// A turn is small unless much is written; and replicas, which apply the same, do not all write at once.
func TestTurnPace(t *testing.T) {
	seen := map[int]bool{}
	for seed := range uint64(3) {
		p := batchPolicy{draw: rand.New(rand.NewPCG(seed, 1)).IntN}
		for range 100 {
			p.begin(time.Second)
			require.GreaterOrEqual(t, p.largeBytes, largeBatchBytes/2)
			require.LessOrEqual(t, p.largeBytes, largeBatchBytes)
			over := func(after time.Duration, bytes, again int) bool {
				return p.due(time.Second+after, &stateBatch{bytes: bytes, overwrites: again})
			}
			require.False(t, over(batchTime, largeBatchBytes/2-1, 1), "it is small")
			require.False(t, over(batchTime/2-1, largeBatchBytes, 1), "much is written, and often the same")
			require.False(t, over(batchTime/8-1, largeBatchBytes, 0), "much is written")
			require.True(t, over(batchTime/4, largeBatchBytes, 0), "and nothing twice")
			require.True(t, over(batchTime, largeBatchBytes, 1), "little is written")
			require.True(t, over(0, veryLargeBatches*largeBatchBytes, 1), "it is very large")
			seen[p.largeBytes] = true
		}
	}
	require.Greater(t, len(seen), 100)
}

// A longer turn writes less where records change again and again, and only there.
func TestTurnSaves(t *testing.T) {
	turn := newStateBatch(nil)
	for i := range byte(8) {
		turn.Put([]byte{i}, []byte("v"))
	}
	require.False(t, turn.overwritesOften(), "all are new")
	turn.Put([]byte{0}, []byte("w"))
	turn.Delete([]byte{0})
	require.False(t, turn.overwritesOften(), "a quarter was written again, no more")
	turn.Put([]byte{1}, []byte("w"))
	require.True(t, turn.overwritesOften())
	turn.reset()
	turn.Put([]byte{0}, []byte("v"))
	require.False(t, turn.overwritesOften(), "it begins anew")
}

// An engine that takes little gets small turns, so whoever waits for one does not wait long; one that is quick gets large ones.
func TestTurnPaceFollowsTheEngine(t *testing.T) {
	p := batchPolicy{draw: func(int) int { return 0 }}
	now := time.Duration(0)
	write := func(bytes int, speed int) (full int) {
		p.begin(now)
		now += time.Duration(bytes) * time.Second / time.Duration(speed)
		p.written(now, bytes)
		return p.maxBytes()
	}
	require.Equal(t, fullBatchBytes, p.maxBytes(), "nothing is known yet")
	require.Equal(t, fullBatchBytes, write(1<<20, 200<<20))
	require.Less(t, write(fullBatchBytes, 4<<20), 5<<20/8, "8 MiB took two seconds: no more than 0.15 s of that")
	require.True(t, p.due(now, &stateBatch{bytes: 5 << 20 / 8}), "nor does a turn wait until it is larger")
	require.Equal(t, largeBatchBytes, write(1<<20, 1<<20), "there is a least")
	require.Equal(t, largeBatchBytes, write(1<<10, 1<<20), "a little that is written slowly says nothing")
	require.Equal(t, fullBatchBytes, write(largeBatchBytes, 200<<20), "and it is quick again")
	require.Equal(t, fullBatchBytes, write(1<<10, 1<<20), "as is a little that is written slowly for want of more")
}
