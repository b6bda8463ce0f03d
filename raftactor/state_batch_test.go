package raftactor

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/persistence"
	"github.com/eraft-io/eraft/persistence/memory"
)

// A state batch reads its own writes, also in scans, and its write leaves the store as the batch showed it.
func TestStateBatchShowsWhatItWillWrite(t *testing.T) {
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
