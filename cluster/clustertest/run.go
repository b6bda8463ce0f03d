package clustertest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/eraft-io/eraft/actors/actortest"
	"github.com/eraft-io/eraft/cluster"
	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/raftactor"
)

// Result is the outcome of one run.
type Result struct {
	Seed       uint64
	Simulated  time.Duration
	Steps      uint64
	Hash       uint64 // digest of the whole trace: equal for equal seeds
	Operations int    // operations whose linearizability was checked
	Unjudged   bool   // the check of linearizability did not end in time
	Unknown    int    // operations whose outcome their client never learned
	Elections  int
	Applied    int
	Snapshots  int // installed
	Faults     map[string]int
	Violations []string
}

// Plan of a run; a zero field means its default.
type Plan struct {
	Options
	Faulty  time.Duration // virtual time with faults, default 20 s
	Clients int           // default 6
	Think   time.Duration // mean pause of a client between two operations, default 50 ms
	Without []string      // kinds of faults to leave out
}

// drawStrategy lets half of all seeds schedule actors at random, and the others in orders that are rare then.
func drawStrategy(seed uint64) actortest.Strategy {
	strategies := []actortest.Strategy{actortest.Random, actortest.Random, actortest.FIFO, actortest.Priority}
	return strategies[rand.New(rand.NewPCG(seed, 5)).IntN(len(strategies))]
}

func (p Plan) withDefaults() Plan {
	if p.Faulty == 0 {
		p.Faulty = 20 * time.Second
	}
	if p.Clients == 0 {
		p.Clients = 6
	}
	if p.Think == 0 {
		p.Think = 50 * time.Millisecond
	}
	return p
}

// healTime bounds the virtual time that a cluster may take to recover once all faults have ended.
const healTime = 30 * time.Second

// Run simulates one seed: a cluster is bootstrapped, clients work on it under a swarm of faults, and then, without faults, it must
// recover: all nodes ready, every key readable, placement complete, replicas equal.
func Run(t actortest.TB, seed uint64, p Plan) Result {
	p = p.withDefaults()
	if p.Groups == 0 && rand.New(rand.NewPCG(seed, 6)).IntN(3) == 0 {
		p.Groups = -1
	}
	if p.Limits == (raftactor.Limits{}) {
		p.Limits = drawLimits(seed)
	}
	if p.Migration == (cluster.MigrationLimits{}) {
		p.Migration = drawMigration(seed)
	}
	sizes := drawLarge(seed, &p)
	drawLevels(seed, &p)
	p.World = append(slices.Clone(p.World), actortest.Schedule(drawStrategy(seed)))
	s := Sim(t, seed, p.Options)
	r := Result{Seed: seed}
	if s.runUntil(s.Ready, healTime) {
		until := s.Now() + p.Faulty
		s.checkMemory()
		faults, work, large := s.Swarm(until, p.Without...), s.Work(p.Clients, until, p.Think), s.startLargeReader(until)
		if sizes {
			work.large = &largeValues{rng: s.random(11), left: largeBytes}
		}
		s.runUntil(func() bool { return s.Now() >= until }, p.Faulty)
		s.Heal()
		whole := func() bool { return faults.openAdminRequests == 0 && s.settled() }
		if s.runUntil(func() bool { return work.Over() && large.over() }, healTime) && s.runUntil(whole, healTime) {
			s.readAll(work)
			large.readAll()
			s.checkConvergence()
			s.checkReleased()
			violation := ""
			if r.Operations, r.Unjudged, violation = work.Judge(10 * time.Second); violation != "" {
				s.Oracle.violated("Linearizability", "%s", violation)
			}
		} else if len(s.Oracle.Violations) == 0 {
			s.Oracle.violated("Liveness", "not healed %v after the last fault: %s", healTime, s.describeUnready())
		}
		r.Faults, r.Unknown = faults.Counts, work.unknown
	} else if len(s.Oracle.Violations) == 0 {
		s.Oracle.violated("Liveness", "not born in %v: %s", healTime, s.describeUnready())
	}
	r.Simulated, r.Steps, r.Hash = s.Now(), s.Steps(), s.Journal().Hash()
	r.Elections, r.Applied, r.Snapshots = s.Oracle.Elections, s.Oracle.Applied, s.Oracle.Snapshots
	r.Violations = s.Oracle.Violations
	return r
}

// clockRatio is how many times as fast as another clock one may run, under clock faults.
const clockRatio = fastestClock / slowestClock

// drawLimits makes most limits small: logs are compacted all the time, so that a replica that was down needs a snapshot; data is
// written often; entries and messages reach their limits, which those of a production cluster hardly ever do.
func drawLimits(seed uint64) (l raftactor.Limits) {
	rng := rand.New(rand.NewPCG(seed, 4))
	for _, f := range []struct {
		field     *int
		low, high int
	}{
		{&l.StallTicks, 3, 40}, {&l.RetainBytes, 512, 32 << 10}, {&l.EntryBytes, 64, 4 << 10}, {&l.AppendBytes, 256, 16 << 10},
		{&l.InflightMessages, 1, 16}, {&l.PendingBytes, 128, 16 << 10},
		{&l.ChunkBytes, 64, 4 << 10}, {&l.SnapshotRate, 64 << 10, 1 << 20},
	} {
		if n := f.low + rng.IntN(f.high-f.low); rng.IntN(4) > 0 {
			*f.field = f.low + rng.IntN(n-f.low+1) // more often near the low end
		}
	}
	if rng.IntN(2) == 0 {
		l.LeaseReads, l.ClockRatio = true, clockRatio
	}
	if slow := rand.New(rand.NewPCG(seed, 7)); slow.IntN(4) == 0 { // what is written during a snapshot is more than memory keeps
		l.RetainBytes, l.ChunkBytes, l.SnapshotRate = 256+slow.IntN(512), 64+slow.IntN(128), 2<<10+slow.IntN(6<<10)
	}
	if reads := rand.New(rand.NewPCG(seed, 8)); reads.IntN(2) == 0 { // most turns of an Applier leave reads to the next
		l.AnswerBytes, l.ReadBytes = 1+reads.IntN(1<<10), 1<<10+reads.IntN(64<<10)
	}
	if mail := rand.New(rand.NewPCG(seed, 13)); mail.IntN(4) == 0 { // a burst does not fit into a Peer's mailbox
		l.MailboxBytes = 256 + mail.IntN(8<<10)
	}
	return l
}

// drawMigration lets most migrations take several chunks, some of them very slowly, and some start again.
func drawMigration(seed uint64) (l cluster.MigrationLimits) {
	rng := rand.New(rand.NewPCG(seed, 6))
	for _, f := range []struct {
		field     *int
		low, high int
	}{{&l.ChunkBytes, 1, 2 << 10}, {&l.BytesPerSecond, 256, 1 << 20}, {&l.MaxChangeLogBytes, 1 << 10, 64 << 10}} {
		if n := f.low + rng.IntN(f.high-f.low); rng.IntN(3) > 0 {
			*f.field = f.low + rng.IntN(n-f.low+1)
		}
	}
	return l
}

// runUntil runs the World until cond holds, a rule is broken, or the time is over. It reports whether cond holds.
func (s *Simulation) runUntil(cond func() bool, limit time.Duration) bool {
	held := false
	s.RunUntil(func() bool {
		held = len(s.Oracle.Violations) == 0 && cond()
		return held || len(s.Oracle.Violations) > 0
	}, limit)
	return held
}

// settled reports whether the cluster has recovered: all nodes are ready, and placement is complete.
func (s *Simulation) settled() bool { return s.Steps()%64 == 0 && s.placed() }

// placed reports whether all nodes run and serve, and placement is complete.
func (s *Simulation) placed() bool {
	return s.Ready() && !slices.ContainsFunc(s.Nodes, func(m *SimNode) bool { return !m.Node.Placed() })
}

func (s *Simulation) describeUnready() string {
	text := ""
	for _, m := range s.Nodes {
		switch {
		case m.Node == nil:
			text += fmt.Sprintf("n%d is dead (%v); ", m.number, m.Failure)
		default:
			text += fmt.Sprintf("n%d: %v, moving %v, placed %v; ", m.number, m.Node.Failing(), m.Node.Moving(), m.Node.Placed())
		}
	}
	return text
}

// readAll reads every key that was used, so that a lost write is seen.
func (s *Simulation) readAll(w *Workload) {
	c := s.Client("reader")
	for id, op := range w.EveryKey(messages.ReadFrom_LEADER) {
		w.send(c, id, op, func() {})
	}
	if !s.runUntil(func() bool { return w.open == 0 }, healTime) {
		s.Oracle.violated("Liveness", "a key cannot be read after everything has healed")
	}
}
