// Package quorum is the arithmetic of majorities: what a group of voters has agreed on, and whether an election is decided. It is
// pure and knows nothing of logs, messages or time.
//
// A membership has one set of voters, or two while it is joint (thesis 4.3): those to come and those of before. A quorum is a
// majority of each set. Any two quorums of one membership have a replica in common, which is what Raft's safety rests on:
// a leader that a quorum elected has heard from a replica that has every committed entry.
package quorum

import "slices"

// Voters of a membership. Incoming are the voters, or, while the membership is joint, those to come. Outgoing are the voters of before;
// none: the membership is not joint.
type Voters struct {
	Incoming, Outgoing []uint64
}

// Majority is how many of n voters are a majority.
func Majority(n int) int { return n/2 + 1 }

// Value is the highest value that a quorum has reached, given what each voter has reached: of replicas' durable log indexes it is
// what may be committed. Without voters it is 0.
func (v Voters) Value(of func(id uint64) uint64) uint64 {
	value := majorityValue(v.Incoming, of)
	if len(v.Outgoing) > 0 {
		value = min(value, majorityValue(v.Outgoing, of))
	}
	return value
}

// majorityValue is the highest value that a majority has reached: with n values in ascending order the one before which fewer than
// a majority is.
func majorityValue(voters []uint64, of func(id uint64) uint64) uint64 {
	if len(voters) == 0 {
		return 0
	}
	var space [9]uint64 // a group seldom has more: they are sorted without an allocation
	values := space[:0]
	for _, id := range voters {
		values = append(values, of(id))
	}
	slices.Sort(values)
	return values[len(values)-Majority(len(values))]
}

// Vote is what one replica has answered in an election.
type Vote struct {
	ID      uint64
	Granted bool
}

// Outcome of an election.
type Outcome int

const (
	Undecided Outcome = iota // votes are missing that could decide it
	Won                      // a quorum has granted its votes
	Lost                     // no quorum can any more
)

// Outcome of an election with these votes, at most one of each replica. Votes of replicas that are no voters do not count.
func (v Voters) Outcome(votes []Vote) Outcome {
	result := outcome(v.Incoming, votes)
	if len(v.Outgoing) == 0 {
		return result
	}
	switch other := outcome(v.Outgoing, votes); {
	case result == Lost || other == Lost:
		return Lost
	case result == Won && other == Won:
		return Won
	}
	return Undecided
}

func outcome(voters []uint64, votes []Vote) Outcome {
	granted, refused := 0, 0
	for _, vote := range votes {
		switch {
		case !slices.Contains(voters, vote.ID):
		case vote.Granted:
			granted++
		default:
			refused++
		}
	}
	switch need := Majority(len(voters)); {
	case len(voters) == 0, len(voters)-refused < need:
		return Lost
	case granted >= need:
		return Won
	}
	return Undecided
}
