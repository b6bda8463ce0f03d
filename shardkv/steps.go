package shardkv

import (
	"github.com/eraft-io/eraft/messages"
)

// Steps are what a group's leader should do next to follow a config.
type Steps struct {
	Asks []Ask
	Over []*messages.CompletedMove // moves that meta may call over
}

// Ask is the next step of one bucket: a command for the log of a group, or a pull. What another group answers becomes an
// Install, or a Word.
type Ask struct {
	Bucket  uint32
	Group   uint64 // whose log, or whose content; it may be the own
	Command *messages.ShardCommand
	Pull    *messages.BucketPull
	Rest    int // of a pull: how many times as long as it took the copying rests then, for others' sake; 0: nobody waits
}

// Word is what another group said about a move, beside chunks.
type Word struct {
	ConfigVersion uint64 // of the move
	Gone          bool   // it has nothing of the bucket any more; or it has given up what it never served
	NotReady      bool   // it must be asked to give, again
}

// Pace bounds a hand-over. A zero field means its default.
type Pace struct {
	ChunkBytes int // of a chunk, about. Default 256 KiB, at most 1 MiB
	TailBytes  int // that may change at the giver while a bucket is copied; then the copying begins again. Default 1 GiB
}

// maxPulls is how many buckets come in at once from one group: one that does not answer holds up only its own.
const maxPulls = 4

// A bucket is frozen when so much or less has changed and not come. The number doubles whenever the copy has come no
// nearer a few times, so that it is reached however fast the bucket is written to.
const (
	freezeBytes  = 64 << 10
	freezeStalls = 4
	freezeMax    = 10 // doublings
)

// Copying takes a nineteenth of the time, so clients hardly notice it, and is the slower the busier the machines are. The tail
// takes a third, as long as that brings it nearer.
const (
	copyRest = 18
	tailRest = 2
)

// follower derives steps. It is pure: whoever leads next derives the same.
type follower struct {
	group  uint64
	config *messages.Config
	view   *View
	words  map[uint32]Word
	pace   Pace
	pulls  map[uint64]int // buckets that come in, by giver
	steps  Steps
}

// Follow derives the steps from the newest config, what the group has, and what other groups said.
func Follow(group messages.GroupID, config *messages.Config, view *View, words map[uint32]Word, pace Pace) Steps {
	if pace.TailBytes <= 0 {
		pace.TailBytes = 1 << 30
	}
	if pace.ChunkBytes <= 0 {
		pace.ChunkBytes = chunkBytes
	}
	f := &follower{group: uint64(group), config: config, view: view, words: words, pace: pace, pulls: map[uint64]int{}}
	for _, t := range view.Transits {
		if int(t.Bucket) < len(config.Owners) && t.State == Installing {
			f.installing(t)
		}
	}
	adopt := &messages.CreateBuckets{ConfigVersion: config.Version}
	for _, id := range config.MovesPending {
		if b := view.Find(id); config.Owners[id] != f.group {
			continue
		} else if b.State == None && config.PreviousOwners[id] == 0 {
			adopt.Buckets = append(adopt.Buckets, id)
		} else {
			f.arriving(b)
		}
	}
	if len(adopt.Buckets) > 0 {
		f.command(adopt.Buckets[0], f.group, &messages.ShardCommand{Op: &messages.ShardCommand_CreateBuckets{CreateBuckets: adopt}})
	}
	return f.steps
}

// arriving is the next step of a bucket that the config gives to this group, unless it is being installed for that.
func (f *follower) arriving(b BucketView) {
	id, move := b.Bucket, f.config.MovedVersions[b.Bucket]
	word := f.words[id]
	if word.ConfigVersion != move {
		word = Word{}
	}
	switch serves := b.State == Serving || b.State == Giving; {
	case serves && b.ConfigVersion >= move:
		f.arrived(b, word)
	case serves, b.State == Frozen && b.ConfigVersion < move && word.Gone:
		f.command(id, f.group, &messages.ShardCommand{Op: &messages.ShardCommand_ResumeServing{
			ResumeServing: &messages.ResumeServing{Bucket: id, ConfigVersion: move, DestinationAbandoned: b.State == Frozen},
		}})
	case b.ConfigVersion < move:
		f.give(id, move)
	}
}

// arrived ends a move: the giver deletes what it has, and then meta hears of it. What was kept, or never was elsewhere,
// has nobody to tell.
func (f *follower) arrived(b BucketView, word Word) {
	move := f.config.MovedVersions[b.Bucket]
	switch {
	case b.Other == 0, word.Gone:
		f.steps.Over = append(f.steps.Over, &messages.CompletedMove{Bucket: b.Bucket, ConfigVersion: move})
	case b.ConfigVersion > move: // the config lags behind
	default:
		f.command(b.Bucket, b.Other, &messages.ShardCommand{Op: &messages.ShardCommand_DeleteMigrated{
			DeleteMigrated: &messages.DeleteMigrated{Bucket: b.Bucket, ConfigVersion: move},
		}})
	}
}

// installing is the next step of a bucket that is on its way here.
func (f *follower) installing(t Transit) {
	id := t.Bucket
	move, mine := f.config.MovedVersions[id], f.config.Owners[id] == f.group
	switch word := f.words[id]; {
	case t.ConfigVersion > move, mine && t.ConfigVersion < move:
		return // the config lags behind; or it is taken anew, see arriving
	case !mine && t.ConfigVersion < move:
		f.command(id, f.group, f.giving(id, move, f.config.Owners[id]))
		return
	case word.ConfigVersion == move && word.NotReady:
		f.give(id, move)
		return
	}
	pull := &messages.BucketPull{
		Bucket: id, ConfigVersion: move, Base: t.Base, Number: t.NextChunk, After: t.Cursor, Copied: t.Copied, ChangeLogPosition: t.Tail,
		MaxBytes: uint32(f.pace.ChunkBytes), ChangesOnly: f.changes(t),
	}
	if t.Copied && t.Behind <= freezeBytes<<min(t.Stalls/freezeStalls, freezeMax) {
		f.pulls[t.Other]++
		pull.MaxBytes = maxChunkBytes // from now on the bucket waits
		f.command(id, t.Other, &messages.ShardCommand{Op: &messages.ShardCommand_FreezeBucket{FreezeBucket: &messages.FreezeBucket{Pull: pull}}})
	} else if f.mayPull(t.Other) {
		f.steps.Asks = append(f.steps.Asks, Ask{Bucket: id, Group: t.Other, Pull: pull, Rest: rest(t)})
	}
}

// changes tells whether the next chunk has what changed before all is copied. Changes of what is copied later need not
// travel then, and few are left in the end. At most every other chunk has them, so that the copying comes to an end.
func (f *follower) changes(t Transit) bool {
	return !t.Copied && t.Behind >= uint64(f.pace.ChunkBytes) && t.NextChunk%2 == 1
}

func rest(t Transit) int {
	switch {
	case !t.Copied:
		return copyRest
	case t.Stalls == 0:
		return tailRest
	}
	return 0
}

func (f *follower) give(id uint32, move uint64) {
	if giver := f.config.PreviousOwners[id]; giver != f.group && f.mayPull(giver) {
		f.command(id, giver, f.giving(id, move, f.group))
	}
}

func (f *follower) giving(id uint32, move, to uint64) *messages.ShardCommand {
	return &messages.ShardCommand{Op: &messages.ShardCommand_StartMigration{
		StartMigration: &messages.StartMigration{Bucket: id, ConfigVersion: move, Destination: to, MaxChangeLogBytes: uint64(f.pace.TailBytes)},
	}}
}

func (f *follower) mayPull(giver uint64) bool {
	f.pulls[giver]++
	return f.pulls[giver] <= maxPulls
}

func (f *follower) command(id uint32, group uint64, c *messages.ShardCommand) {
	f.steps.Asks = append(f.steps.Asks, Ask{Bucket: id, Group: group, Command: c})
}

// Answers tells whether a chunk is what a step of another group's bucket was asked for: of that bucket, move, copying and place in
// it. Whatever else a chunk says is about something else.
func (a Ask) Answers(c *messages.BucketChunk) bool {
	pull := a.Pull
	switch op := a.Command.GetOp().(type) {
	case *messages.ShardCommand_FreezeBucket:
		pull = op.FreezeBucket.GetPull()
	case *messages.ShardCommand_StartMigration:
		return c.GetBucket() == op.StartMigration.Bucket && c.GetConfigVersion() == op.StartMigration.ConfigVersion && c.GetNumber() == 0
	case *messages.ShardCommand_DeleteMigrated:
		return c.GetBucket() == op.DeleteMigrated.Bucket && c.GetConfigVersion() == op.DeleteMigrated.ConfigVersion && c.GetNumber() == 0
	}
	return pull != nil && c.GetBucket() == pull.Bucket && c.GetConfigVersion() == pull.ConfigVersion &&
		c.GetBase() == pull.Base && c.GetNumber() == pull.Number
}

// Reply makes of what another group answered about a bucket the command that takes it into the own log, or a word.
func Reply(from uint64, c *messages.BucketChunk) (*messages.ShardCommand, *Word) {
	if c.Abandoned || c.NotReady {
		return nil, &Word{ConfigVersion: c.ConfigVersion, Gone: c.Abandoned, NotReady: c.NotReady}
	}
	return &messages.ShardCommand{Op: &messages.ShardCommand_ImportChunk{ImportChunk: &messages.ImportChunk{Source: from, Chunk: c}}}, nil
}
