package raft

import "slices"

// majority is how many of n voters are a quorum.
func majority(n int) int { return n/2 + 1 }

// committed is the highest index that a majority of voters has, given what each has. The slice is not changed:
// sorting what belongs to somebody is how followers get each other's positions.
func committed(matches []uint64) uint64 {
	if len(matches) == 0 {
		return 0
	}
	var space [9]uint64
	sorted := append(space[:0], matches...)
	slices.Sort(sorted)
	return sorted[len(sorted)-majority(len(sorted))]
}

// outcome of an election.
type outcome int

const (
	undecided outcome = iota
	won
	lost
)

// tally counts ballots of voters only.
func tally(voters []uint64, ballots []ballot) outcome {
	yes, no := 0, 0
	for _, b := range ballots {
		if !slices.Contains(voters, b.id) {
			continue
		}
		if b.granted {
			yes++
		} else {
			no++
		}
	}
	switch need := majority(len(voters)); {
	case len(voters) == 0:
		return lost
	case yes >= need:
		return won
	case len(voters)-no < need:
		return lost
	}
	return undecided
}
