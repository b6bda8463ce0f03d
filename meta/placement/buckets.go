package placement

import (
	"slices"

	"github.com/eraft-io/eraft/messages"
)

// balanceBuckets is the rule that moves buckets off groups that are too many, evens out how many each group has, and then, when
// no move is pending, how many bytes.
func (p *planner) balanceBuckets() []*messages.MetaCommand {
	have := ActiveGroups(p.config)
	keep := slices.DeleteFunc(slices.Clone(have[:min(len(have), p.targetGroups())]), func(id uint64) bool { return !p.hasQuorum(p.config.FindGroup(id)) })
	maxMoves := maxBucketsMoving - len(p.config.MovesPending)
	if len(keep) == 0 || maxMoves <= 0 {
		return nil
	}
	fixed := slices.Compact(slices.Sorted(slices.Values(slices.Concat(p.config.MovesPending, p.pinned(keep), p.unmovable(have)))))
	c := Constraints{Fixed: fixed, BucketBytes: p.state.BucketBytes, MaxMoves: maxMoves, UnevenBytes: p.state.UnevenBytes}
	if len(Unowned(p.config)) == 0 { // buckets that no group ever had are empty: a full node may have them
		c.Full = p.fullGroups(keep)
	}
	next, reason := Balance(p.config.Owners, keep, c), "groups have unequal numbers of buckets"
	if slices.Equal(next, p.config.Owners) && len(p.config.MovesPending) == 0 {
		next, reason = Exchange(p.config.Owners, keep, c), "groups have unequal numbers of bytes"
	}
	var moves []*messages.BucketMove
	for b, to := range next {
		if from := p.config.Owners[b]; from != to {
			moves = append(moves, &messages.BucketMove{Bucket: uint32(b), From: from, To: to})
		}
	}
	if len(moves) == 0 {
		return nil
	}
	return []*messages.MetaCommand{{Reason: reason, Op: &messages.MetaCommand_Place{Place: &messages.PlaceBuckets{Moves: moves}}}}
}

// pinned are the buckets that stay where an operator put them, as long as that group stays.
func (p *planner) pinned(keep []uint64) []uint32 {
	return slices.DeleteFunc(slices.Clone(p.config.Pinned), func(b uint32) bool { return !slices.Contains(keep, p.config.Owners[b]) })
}

// unmovable are the buckets of groups without a quorum: such a group cannot be the source of a migration.
func (p *planner) unmovable(have []uint64) (all []uint32) {
	for b, owner := range p.config.Owners {
		if slices.Contains(have, owner) && !p.hasQuorum(p.config.FindGroup(owner)) {
			all = append(all, uint32(b))
		}
	}
	return all
}

// Unowned are the buckets without an owner, ascending: those that no group ever had.
func Unowned(config *messages.Config) []uint32 {
	var all []uint32
	for b, owner := range config.Owners {
		if owner == 0 {
			all = append(all, uint32(b))
		}
	}
	return all
}
