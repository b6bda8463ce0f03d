package raft

import (
	"slices"

	"github.com/eraft-io/eraft/messages"
)

// majority is how many of n voters are a quorum.
func majority(n int) int { return n/2 + 1 }

// agreed is the highest value that a quorum has reached, given what each voter has. In a joint membership that is a
// majority of either half (thesis 4.3).
func agreed(conf *messages.ConfState, has func(id uint64) uint64) uint64 {
	value := reached(conf.GetVoters(), has)
	if joint(conf) {
		value = min(value, reached(conf.Outgoing, has))
	}
	return value
}

// reached is the highest value that a majority of voters has; of none, 0.
func reached(voters []uint64, has func(id uint64) uint64) uint64 {
	if len(voters) == 0 {
		return 0
	}
	var space [9]uint64
	values := space[:0]
	for _, id := range voters {
		values = append(values, has(id))
	}
	slices.Sort(values)
	return values[len(values)-majority(len(values))]
}

// outcome of an election.
type outcome int

const (
	undecided outcome = iota
	won
	lost
)

// tally counts the ballots of voters: an election is won when each half of a membership elects, and lost when one
// cannot any more.
func tally(conf *messages.ConfState, ballots []ballot) outcome {
	result := count(conf.GetVoters(), ballots)
	if !joint(conf) {
		return result
	}
	switch other := count(conf.Outgoing, ballots); {
	case result == lost || other == lost:
		return lost
	case result == won && other == won:
		return won
	}
	return undecided
}

func count(voters []uint64, ballots []ballot) outcome {
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
