package shardkv

import (
	"github.com/eraft-io/eraft/messages"
)

// Plan is what the leader of a group should do next so that the group has what the newest config gives it.
type Plan struct {
	Steps     []Step
	Completed []*messages.CompletedMove // moves whose source has deleted the bucket: meta may end them
}

// Step is the next step of one bucket: a command for a group's log, or a pull. If another group answers it with a chunk,
// InterpretChunk says what follows.
type Step struct {
	Bucket      uint32
	Group       uint64                 // whose log the Command is for, or which group the Pull reads; it may be the own group
	Command     *messages.ShardCommand // nil if Pull is set
	Pull        *messages.BucketPull   // nil if Command is set
	PauseFactor int                    // the next pull waits so many times as long as this one took, for the sake of other work; 0: at once, clients wait
}

// MoveStatus is what another group said about a migration when it had no chunk to give.
type MoveStatus struct {
	ConfigVersion uint64 // of the config that orders the migration
	Abandoned     bool   // the group has nothing of the bucket, and never will have for this migration
	NotReady      bool   // StartMigration must be committed there, again
}

// MigrationLimits bound a migration. A zero field means its default.
type MigrationLimits struct {
	ChunkBytes        int // bytes of keys and values in a chunk, about; one record may be larger. Default 256 KiB, at most 1 MiB
	MaxChangeLogBytes int // bytes that may change at the source during a migration; above, it begins again. Default 1 GiB
}

// maxPullsPerSource is how many buckets come from one group at once. A group that does not answer holds up only its own.
const maxPullsPerSource = 4

// A bucket is frozen when the backlog is freezeBytes or less. That limit doubles each time that freezeStalls chunks of changes
// have left the backlog no smaller, so it is reached however fast clients write to the bucket.
const (
	freezeBytes        = 64 << 10
	freezeStalls       = 4
	maxFreezeDoublings = 10
)

// Copying takes a nineteenth of the time (1 of 1+copyPause), so clients hardly notice it; the busier the machines, the slower it
// is. Changes after the copy take a third, as long as they make the backlog smaller.
const (
	copyPause    = 18
	changesPause = 2
)

// PlanMigrations derives the steps of a group's leader from the newest config, what the group has, and what other groups
// said, by bucket. It is pure: any replica that leads next derives the same steps, and a step whose effect is there is not
// derived again. There is at most one Step for each bucket.
func PlanMigrations(group messages.GroupID, config *messages.Config, view *View, statuses map[uint32]MoveStatus, limits MigrationLimits) Plan {
	if limits.MaxChangeLogBytes <= 0 {
		limits.MaxChangeLogBytes = 1 << 30
	}
	if limits.ChunkBytes <= 0 {
		limits.ChunkBytes = defaultChunkBytes
	}
	p := &planner{group: uint64(group), config: config, statuses: statuses, limits: limits, pulls: map[uint64]int{}}
	for _, migration := range view.Migrations {
		if int(migration.Bucket) < len(config.Owners) && migration.State == Importing {
			p.continueImport(migration)
		}
	}
	create := &messages.CreateBuckets{ConfigVersion: config.Version}
	for _, id := range config.MovesPending {
		if b := view.Find(id); config.Owners[id] != p.group {
			continue
		} else if b.State == Absent && config.PreviousOwners[id] == 0 {
			create.Buckets = append(create.Buckets, id)
		} else {
			p.planMove(b)
		}
	}
	if len(create.Buckets) > 0 {
		p.addCommand(create.Buckets[0], p.group, &messages.ShardCommand{Op: &messages.ShardCommand_CreateBuckets{CreateBuckets: create}})
	}
	return p.plan
}

// planner is one derivation of a Plan.
type planner struct {
	group    uint64 // the own group
	config   *messages.Config
	statuses map[uint32]MoveStatus // by bucket; may be of an older migration
	limits   MigrationLimits
	pulls    map[uint64]int // buckets in Plan that come from a group, by group
	plan     Plan
}

// planMove adds the next step of a bucket that the config gives to this group, and that is not being imported for it.
func (p *planner) planMove(b BucketView) {
	id, move := b.Bucket, p.config.MovedVersions[b.Bucket]
	status := p.statuses[id]
	if status.ConfigVersion != move {
		status = MoveStatus{}
	}
	switch serves := b.State == Serving || b.State == Migrating; {
	case serves && b.ConfigVersion >= move:
		p.completeMove(b, status)
	case serves, b.State == Frozen && b.ConfigVersion < move && status.Abandoned:
		p.addCommand(id, p.group, &messages.ShardCommand{Op: &messages.ShardCommand_ResumeServing{
			ResumeServing: &messages.ResumeServing{Bucket: id, ConfigVersion: move, DestinationAbandoned: b.State == Frozen},
		}})
	case b.ConfigVersion < move:
		p.startMigration(id, move)
	}
}

// completeMove ends a move whose bucket is served here: the source deletes what it has, and then meta is told. A bucket that
// was created, or kept, has no source.
func (p *planner) completeMove(b BucketView, status MoveStatus) {
	move := p.config.MovedVersions[b.Bucket]
	switch {
	case b.Counterpart == 0, status.Abandoned:
		p.plan.Completed = append(p.plan.Completed, &messages.CompletedMove{Bucket: b.Bucket, ConfigVersion: move})
	case b.ConfigVersion > move: // this node's config lags behind
	default:
		p.addCommand(b.Bucket, b.Counterpart, &messages.ShardCommand{Op: &messages.ShardCommand_DeleteMigrated{
			DeleteMigrated: &messages.DeleteMigrated{Bucket: b.Bucket, ConfigVersion: move},
		}})
	}
}

// continueImport adds the next step of a bucket that is being imported.
func (p *planner) continueImport(m Migration) {
	id := m.Bucket
	move, mine := p.config.MovedVersions[id], p.config.Owners[id] == p.group
	switch status := p.statuses[id]; {
	case m.ConfigVersion > move, mine && m.ConfigVersion < move:
		return // this node's config lags behind; or planMove starts the newer migration
	case !mine && m.ConfigVersion < move: // called back: release in the own log what was imported
		p.addCommand(id, p.group, p.startCommand(id, move, p.config.Owners[id]))
		return
	case status.ConfigVersion == move && status.NotReady:
		p.startMigration(id, move)
		return
	}
	pull := &messages.BucketPull{
		Bucket: id, ConfigVersion: move, Base: m.Base, Number: m.NextChunk, After: m.Cursor, Copied: m.Copied, ChangeLogPosition: m.LogPosition,
		MaxBytes: uint32(p.limits.ChunkBytes), ChangesOnly: p.wantsChanges(m),
	}
	if m.Copied && m.BacklogBytes <= freezeBytes<<min(m.Stalls/freezeStalls, maxFreezeDoublings) {
		p.pulls[m.Counterpart]++
		pull.MaxBytes = maxChunkBytes // from now on clients of the bucket wait
		p.addCommand(id, m.Counterpart, &messages.ShardCommand{Op: &messages.ShardCommand_FreezeBucket{FreezeBucket: &messages.FreezeBucket{Pull: pull}}})
	} else if p.mayPull(m.Counterpart) {
		p.plan.Steps = append(p.plan.Steps, Step{Bucket: id, Group: m.Counterpart, Pull: pull, PauseFactor: pauseFactor(m)})
	}
}

// wantsChanges reports whether the next chunk has changes although the copy is not complete. Changes of what is copied later
// need not travel then, and few are left in the end. At most every other chunk has changes, so that the copy makes progress.
func (p *planner) wantsChanges(m Migration) bool {
	return !m.Copied && m.BacklogBytes >= uint64(p.limits.ChunkBytes) && m.NextChunk%2 == 1
}

func pauseFactor(m Migration) int {
	switch {
	case !m.Copied:
		return copyPause
	case m.Stalls == 0:
		return changesPause
	}
	return 0
}

func (p *planner) startMigration(id uint32, move uint64) {
	if source := p.config.PreviousOwners[id]; source != p.group && p.mayPull(source) {
		p.addCommand(id, source, p.startCommand(id, move, p.group))
	}
}

func (p *planner) startCommand(id uint32, move, destination uint64) *messages.ShardCommand {
	return &messages.ShardCommand{Op: &messages.ShardCommand_StartMigration{StartMigration: &messages.StartMigration{
		Bucket: id, ConfigVersion: move, Destination: destination, MaxChangeLogBytes: uint64(p.limits.MaxChangeLogBytes),
	}}}
}

func (p *planner) mayPull(source uint64) bool {
	p.pulls[source]++
	return p.pulls[source] <= maxPullsPerSource
}

func (p *planner) addCommand(id uint32, group uint64, c *messages.ShardCommand) {
	p.plan.Steps = append(p.plan.Steps, Step{Bucket: id, Group: group, Command: c})
}

// Matches reports whether a chunk answers this step: it is of the bucket, the migration, the attempt and the position that
// the step asked for. Any other chunk is the answer to an earlier step and says nothing about this one.
func (s Step) Matches(c *messages.BucketChunk) bool {
	pull := s.Pull
	switch op := s.Command.GetOp().(type) {
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

// InterpretChunk says what follows from a chunk that another group answered with: the command for the own log that imports it,
// or the status that it has instead of content. Exactly one of the two is not nil.
func InterpretChunk(source uint64, c *messages.BucketChunk) (*messages.ShardCommand, *MoveStatus) {
	if c.Abandoned || c.NotReady {
		return nil, &MoveStatus{ConfigVersion: c.ConfigVersion, Abandoned: c.Abandoned, NotReady: c.NotReady}
	}
	return &messages.ShardCommand{Op: &messages.ShardCommand_ImportChunk{ImportChunk: &messages.ImportChunk{Source: source, Chunk: c}}}, nil
}
