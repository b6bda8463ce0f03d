package shardkv

import (
	"slices"

	"github.com/eraft-io/eraft/messages"
)

// Steps are what a group's leader should do next to follow a config: Commands for the own log, and Pulls to ask of
// other groups, whose chunks become Install commands.
type Steps struct {
	Commands []*messages.ShardCommand
	Pulls    []Pull
}

// Pull is the next chunk that a bucket waits for.
type Pull struct {
	From uint64 // group
	Ask  *messages.BucketPull
}

// maxPulls is how many buckets come in at once from one group: one that does not answer holds up only its own.
const maxPulls = 4

// Follow derives the steps from the newest config and what the group has. It is pure: whoever leads next derives
// the same.
func Follow(group messages.GroupID, config *messages.Config, view *View) Steps {
	known := map[uint32]BucketView{}
	for _, b := range view.Buckets {
		known[b.Bucket] = b
	}
	var s Steps
	adopt := &messages.Adopt{ConfigVersion: config.Version}
	freeze := map[[2]uint64]*messages.Freeze{}
	for i, owner := range config.Owners {
		id := uint32(i)
		b, mine := known[id], owner == uint64(group)
		switch {
		case b.State == None && mine && config.Previous[i] == 0:
			adopt.Buckets = append(adopt.Buckets, id)
		case b.State == None && mine && config.Previous[i] != uint64(group):
			s.pull(config.Previous[i], &messages.BucketPull{Bucket: id, ConfigVersion: config.Moved[i]})
		case b.State == Installing:
			s.pull(b.Other, &messages.BucketPull{Bucket: id, ConfigVersion: b.ConfigVersion, Number: b.NextChunk, After: b.Cursor})
		case b.State == Serving && !mine && owner != 0:
			f := freeze[[2]uint64{config.Moved[i], owner}]
			if f == nil {
				f = &messages.Freeze{ConfigVersion: config.Moved[i], To: owner}
				freeze[[2]uint64{config.Moved[i], owner}] = f
				s.Commands = append(s.Commands, &messages.ShardCommand{Op: &messages.ShardCommand_Freeze{Freeze: f}})
			}
			f.Buckets = append(f.Buckets, id)
		}
	}
	if len(adopt.Buckets) > 0 {
		s.Commands = append(s.Commands, &messages.ShardCommand{Op: &messages.ShardCommand_Adopt{Adopt: adopt}})
	}
	return s
}

func (s *Steps) pull(from uint64, ask *messages.BucketPull) {
	under := 0
	for _, p := range s.Pulls {
		if p.From == from {
			under++
		}
	}
	if under < maxPulls {
		s.Pulls = append(s.Pulls, Pull{from, ask})
	}
}

// Arriving are the buckets that a group serves, but whose giver does not know yet, or meta.
func Arriving(group messages.GroupID, config *messages.Config, view *View) []uint32 {
	var all []uint32
	for _, b := range view.Buckets {
		_, arriving := slices.BinarySearch(config.Arriving, b.Bucket)
		if arriving && b.State == Serving && config.Owners[b.Bucket] == uint64(group) && b.ConfigVersion >= config.Moved[b.Bucket] {
			all = append(all, b.Bucket)
		}
	}
	return all
}

// Release is the command that lets the giver of a bucket delete it, once this group serves it.
func Release(config *messages.Config, bucket uint32) (giver uint64, command *messages.ShardCommand) {
	return config.Previous[bucket], &messages.ShardCommand{Op: &messages.ShardCommand_Drop{
		Drop: &messages.Drop{Bucket: bucket, ConfigVersion: config.Moved[bucket]},
	}}
}
