package quorum_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/eraft-io/eraft/raftactor/raft/quorum"
)

func TestMajority(t *testing.T) {
	for n, want := range []int{1, 1, 2, 2, 3, 3, 4, 4} {
		require.Equal(t, want, quorum.Majority(n), "of %d", n)
	}
}

func TestValue(t *testing.T) {
	reached := map[uint64]uint64{1: 9, 2: 7, 3: 5, 4: 3}
	for _, c := range []struct {
		voters quorum.Voters
		want   uint64
	}{
		{quorum.Voters{}, 0},
		{quorum.Voters{Incoming: []uint64{1}}, 9},
		{quorum.Voters{Incoming: []uint64{1, 2}}, 7},
		{quorum.Voters{Incoming: []uint64{1, 2, 3}}, 7},
		{quorum.Voters{Incoming: []uint64{1, 2, 3, 4}}, 5},
		{quorum.Voters{Incoming: []uint64{1, 2, 3, 4, 5}}, 5}, // nothing is known of 5
		{quorum.Voters{Incoming: []uint64{1}, Outgoing: []uint64{2, 3, 4}}, 5},
		{quorum.Voters{Incoming: []uint64{2, 3, 4}, Outgoing: []uint64{1}}, 5},
		{quorum.Voters{Outgoing: []uint64{1}}, 0},
	} {
		require.Equal(t, c.want, c.voters.Value(func(id uint64) uint64 { return reached[id] }), "%v", c.voters)
	}
}

func TestOutcome(t *testing.T) {
	yes, no := func(id uint64) quorum.Vote { return quorum.Vote{ID: id, Granted: true} }, func(id uint64) quorum.Vote { return quorum.Vote{ID: id} }
	three, joint := quorum.Voters{Incoming: []uint64{1, 2, 3}}, quorum.Voters{Incoming: []uint64{1, 2}, Outgoing: []uint64{1, 3, 4}}
	for _, c := range []struct {
		voters quorum.Voters
		votes  []quorum.Vote
		want   quorum.Outcome
	}{
		{quorum.Voters{}, []quorum.Vote{yes(1)}, quorum.Lost}, // a group without voters elects nobody
		{three, nil, quorum.Undecided},
		{three, []quorum.Vote{yes(1)}, quorum.Undecided},
		{three, []quorum.Vote{yes(1), yes(7), yes(8)}, quorum.Undecided}, // strangers
		{three, []quorum.Vote{yes(1), no(2)}, quorum.Undecided},
		{three, []quorum.Vote{yes(1), no(2), yes(3)}, quorum.Won},
		{three, []quorum.Vote{yes(1), no(2), no(3)}, quorum.Lost},
		{joint, []quorum.Vote{yes(1), yes(2)}, quorum.Undecided}, // one half is not enough
		{joint, []quorum.Vote{yes(1), yes(3)}, quorum.Undecided},
		{joint, []quorum.Vote{yes(1), yes(2), yes(3)}, quorum.Won},
		{joint, []quorum.Vote{yes(1), yes(3), yes(4), no(2)}, quorum.Lost},
		{joint, []quorum.Vote{yes(1), yes(2), no(3), no(4)}, quorum.Lost},
	} {
		require.Equal(t, c.want, c.voters.Outcome(c.votes), "%v: %v", c.voters, c.votes)
	}
}

// memberships draws plain and joint ones of up to seven replicas.
func memberships(t *rapid.T) quorum.Voters {
	set := rapid.SliceOfNDistinct(rapid.Uint64Range(1, 7), 1, 7, rapid.ID)
	v := quorum.Voters{Incoming: set.Draw(t, "incoming")}
	if rapid.Bool().Draw(t, "joint") {
		v.Outgoing = set.Draw(t, "outgoing")
	}
	return v
}

// isQuorum counts.
func isQuorum(v quorum.Voters, ids []uint64) bool {
	for _, half := range [][]uint64{v.Incoming, v.Outgoing} {
		n := 0
		for _, id := range half {
			if slices.Contains(ids, id) {
				n++
			}
		}
		if len(half) > 0 && 2*n <= len(half) {
			return false
		}
	}
	return true
}

// The value is the highest one for which the replicas that have reached it are a quorum, and those replicas win an election.
func TestValueAndOutcomeAgainstCounting(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := memberships(t)
		reached := rapid.SliceOfN(rapid.Uint64Range(0, 4), 8, 8).Draw(t, "reached")
		of := func(id uint64) uint64 { return reached[id] }
		var want uint64
		for value := uint64(1); value <= 4; value++ {
			var have []uint64
			var votes []quorum.Vote
			for id := uint64(1); id <= 7; id++ {
				if of(id) >= value {
					have = append(have, id)
				}
				votes = append(votes, quorum.Vote{ID: id, Granted: of(id) >= value})
			}
			outcome := quorum.Lost
			if isQuorum(v, have) {
				want, outcome = value, quorum.Won
			}
			require.Equal(t, outcome, v.Outcome(votes), "%v: %v", v, votes)
		}
		require.Equal(t, want, v.Value(of), "%v: %v", v, reached)
	})
}

// Two quorums of one membership have a replica in common: two replicas cannot win the same term, since each votes once.
func TestQuorumsMeet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := memberships(t)
		votes := rapid.SliceOfN(rapid.IntRange(0, 2), 8, 8).Draw(t, "whom") // 0: nobody
		winners := 0
		for candidate := 1; candidate <= 2; candidate++ {
			var all []quorum.Vote
			for id := uint64(1); id <= 7; id++ {
				all = append(all, quorum.Vote{ID: id, Granted: votes[id] == candidate})
			}
			if v.Outcome(all) == quorum.Won {
				winners++
			}
		}
		require.LessOrEqual(t, winners, 1, "%v: %v", v, votes)
	})
}

// More votes never take a decision back.
func TestDecisionsStand(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := memberships(t)
		order := rapid.Permutation([]uint64{1, 2, 3, 4, 5, 6, 7}).Draw(t, "order")
		var votes []quorum.Vote
		decided := quorum.Undecided
		for _, id := range order {
			votes = append(votes, quorum.Vote{ID: id, Granted: rapid.Bool().Draw(t, fmt.Sprint("vote of ", id))})
			now := v.Outcome(votes)
			if decided != quorum.Undecided {
				require.Equal(t, decided, now)
			}
			decided = now
		}
		require.NotEqual(t, quorum.Undecided, decided, "everybody has voted")
	})
}
