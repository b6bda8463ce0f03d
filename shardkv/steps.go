package shardkv

import (
	"github.com/eraft-io/eraft/messages"
)

// Steps are what a group's leader should do next to follow a config.
type Plan struct {
	Steps     []Step
	Completed []*messages.CompletedMove // moves that meta may call over
}

// Ask is the next step of one bucket: a command for the log of a group, or a pull. What another group answers becomes an
// Install, or a Word.
type Step struct {
	Bucket      uint32
	Group       uint64 // whose log, or whose content; it may be the own
	Command     *messages.ShardCommand
	Pull        *messages.BucketPull
	PauseFactor int // of a pull: how many times as long as it took the copying rests then, for others' sake; 0: nobody waits
}

// Word is what another group said about a move, beside chunks.
type MoveStatus struct {
	ConfigVersion uint64 // of the move
	Abandoned     bool   // it has nothing of the bucket any more; or it has given up what it never served
	NotReady      bool   // it must be asked to give, again
}

// Pace bounds a hand-over. A zero field means its default.
type MigrationLimits struct {
	ChunkBytes        int // of a chunk, about. Default 256 KiB, at most 1 MiB
	MaxChangeLogBytes int // that may change at the giver while a bucket is copied; then the copying begins again. Default 1 GiB
}

// maxPullsPerSource is how many buckets come in at once from one group: one that does not answer holds up only its own.
const maxPullsPerSource = 4

// A bucket is frozen when so much or less has changed and not come. The number doubles whenever the copy has come no
// nearer a few times, so that it is reached however fast the bucket is written to.
const (
	freezeBytes        = 64 << 10
	freezeStalls       = 4
	maxFreezeDoublings = 10 // doublings
)

// Copying takes a nineteenth of the time, so clients hardly notice it, and is the slower the busier the machines are. The tail
// takes a third, as long as that brings it nearer.
const (
	copyPause    = 18
	changesPause = 2
)

// follower derives steps. It is pure: whoever leads next derives the same.
type planner struct {
	group    uint64
	config   *messages.Config
	view     *View
	statuses map[uint32]MoveStatus
	limits   MigrationLimits
	pulls    map[uint64]int // buckets that come in, by giver
	plan     Plan
}

// Follow derives the steps from the newest config, what the group has, and what other groups said.
func PlanMigrations(group messages.GroupID, config *messages.Config, view *View, words map[uint32]MoveStatus, pace MigrationLimits) Plan {
	if pace.MaxChangeLogBytes <= 0 {
		pace.MaxChangeLogBytes = 1 << 30
	}
	if pace.ChunkBytes <= 0 {
		pace.ChunkBytes = defaultChunkBytes
	}
	f := &planner{group: uint64(group), config: config, view: view, statuses: words, limits: pace, pulls: map[uint64]int{}}
	for _, t := range view.Migrations {
		if int(t.Bucket) < len(config.Owners) && t.State == Importing {
			f.continueImport(t)
		}
	}
	adopt := &messages.CreateBuckets{ConfigVersion: config.Version}
	for _, id := range config.MovesPending {
		if b := view.Find(id); config.Owners[id] != f.group {
			continue
		} else if b.State == Absent && config.PreviousOwners[id] == 0 {
			adopt.Buckets = append(adopt.Buckets, id)
		} else {
			f.planMove(b)
		}
	}
	if len(adopt.Buckets) > 0 {
		f.addCommand(adopt.Buckets[0], f.group, &messages.ShardCommand{Op: &messages.ShardCommand_CreateBuckets{CreateBuckets: adopt}})
	}
	return f.plan
}

// arriving is the next step of a bucket that the config gives to this group, unless it is being installed for that.
func (f *planner) planMove(b BucketView) {
	id, move := b.Bucket, f.config.MovedVersions[b.Bucket]
	word := f.statuses[id]
	if word.ConfigVersion != move {
		word = MoveStatus{}
	}
	switch serves := b.State == Serving || b.State == Migrating; {
	case serves && b.ConfigVersion >= move:
		f.completeMove(b, word)
	case serves, b.State == Frozen && b.ConfigVersion < move && word.Abandoned:
		f.addCommand(id, f.group, &messages.ShardCommand{Op: &messages.ShardCommand_ResumeServing{
			ResumeServing: &messages.ResumeServing{Bucket: id, ConfigVersion: move, DestinationAbandoned: b.State == Frozen},
		}})
	case b.ConfigVersion < move:
		f.startMigration(id, move)
	}
}

// arrived ends a move: the giver deletes what it has, and then meta hears of it. What was kept, or never was elsewhere,
// has nobody to tell.
func (f *planner) completeMove(b BucketView, word MoveStatus) {
	move := f.config.MovedVersions[b.Bucket]
	switch {
	case b.Counterpart == 0, word.Abandoned:
		f.plan.Completed = append(f.plan.Completed, &messages.CompletedMove{Bucket: b.Bucket, ConfigVersion: move})
	case b.ConfigVersion > move: // the config lags behind
	default:
		f.addCommand(b.Bucket, b.Counterpart, &messages.ShardCommand{Op: &messages.ShardCommand_DeleteMigrated{
			DeleteMigrated: &messages.DeleteMigrated{Bucket: b.Bucket, ConfigVersion: move},
		}})
	}
}

// installing is the next step of a bucket that is on its way here.
func (f *planner) continueImport(t Migration) {
	id := t.Bucket
	move, mine := f.config.MovedVersions[id], f.config.Owners[id] == f.group
	switch word := f.statuses[id]; {
	case t.ConfigVersion > move, mine && t.ConfigVersion < move:
		return // the config lags behind; or it is taken anew, see arriving
	case !mine && t.ConfigVersion < move:
		f.addCommand(id, f.group, f.startCommand(id, move, f.config.Owners[id]))
		return
	case word.ConfigVersion == move && word.NotReady:
		f.startMigration(id, move)
		return
	}
	pull := &messages.BucketPull{
		Bucket: id, ConfigVersion: move, Base: t.Base, Number: t.NextChunk, After: t.Cursor, Copied: t.Copied, ChangeLogPosition: t.LogPosition,
		MaxBytes: uint32(f.limits.ChunkBytes), ChangesOnly: f.wantsChanges(t),
	}
	if t.Copied && t.BacklogBytes <= freezeBytes<<min(t.Stalls/freezeStalls, maxFreezeDoublings) {
		f.pulls[t.Counterpart]++
		pull.MaxBytes = maxChunkBytes // from now on the bucket waits
		f.addCommand(id, t.Counterpart, &messages.ShardCommand{Op: &messages.ShardCommand_FreezeBucket{FreezeBucket: &messages.FreezeBucket{Pull: pull}}})
	} else if f.mayPull(t.Counterpart) {
		f.plan.Steps = append(f.plan.Steps, Step{Bucket: id, Group: t.Counterpart, Pull: pull, PauseFactor: pauseFactor(t)})
	}
}

// changes tells whether the next chunk has what changed before all is copied. Changes of what is copied later need not
// travel then, and few are left in the end. At most every other chunk has them, so that the copying comes to an end.
func (f *planner) wantsChanges(t Migration) bool {
	return !t.Copied && t.BacklogBytes >= uint64(f.limits.ChunkBytes) && t.NextChunk%2 == 1
}

func pauseFactor(t Migration) int {
	switch {
	case !t.Copied:
		return copyPause
	case t.Stalls == 0:
		return changesPause
	}
	return 0
}

func (f *planner) startMigration(id uint32, move uint64) {
	if giver := f.config.PreviousOwners[id]; giver != f.group && f.mayPull(giver) {
		f.addCommand(id, giver, f.startCommand(id, move, f.group))
	}
}

func (f *planner) startCommand(id uint32, move, to uint64) *messages.ShardCommand {
	return &messages.ShardCommand{Op: &messages.ShardCommand_StartMigration{
		StartMigration: &messages.StartMigration{Bucket: id, ConfigVersion: move, Destination: to, MaxChangeLogBytes: uint64(f.limits.MaxChangeLogBytes)},
	}}
}

func (f *planner) mayPull(giver uint64) bool {
	f.pulls[giver]++
	return f.pulls[giver] <= maxPullsPerSource
}

func (f *planner) addCommand(id uint32, group uint64, c *messages.ShardCommand) {
	f.plan.Steps = append(f.plan.Steps, Step{Bucket: id, Group: group, Command: c})
}

// Answers tells whether a chunk is what a step of another group's bucket was asked for: of that bucket, move, copying and place in
// it. Whatever else a chunk says is about something else.
func (a Step) Matches(c *messages.BucketChunk) bool {
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
func InterpretChunk(from uint64, c *messages.BucketChunk) (*messages.ShardCommand, *MoveStatus) {
	if c.Abandoned || c.NotReady {
		return nil, &MoveStatus{ConfigVersion: c.ConfigVersion, Abandoned: c.Abandoned, NotReady: c.NotReady}
	}
	return &messages.ShardCommand{Op: &messages.ShardCommand_ImportChunk{ImportChunk: &messages.ImportChunk{Source: from, Chunk: c}}}, nil
}
