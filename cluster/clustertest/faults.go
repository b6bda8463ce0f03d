package clustertest

import (
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/eraft-io/eraft/actors/actortest"
	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/persistence"
	"github.com/eraft-io/eraft/persistence/memory"
	"github.com/eraft-io/eraft/raftactor"
)

// Swarm injects one run's own mix of faults (swarm testing): which kinds, and how often. A run with all kinds at once hardly makes
// progress; runs with a few kinds show how they act together.
type Swarm struct {
	s                 *Simulation
	rng               *rand.Rand
	until             time.Duration
	openAdminRequests int  // requests of operators without a reply
	joined            int  // nodes that have joined during the run
	wiped             bool // a node has lost its disks: no other may
	underReplicated   bool // groups may have fewer than three replicas
	raw               *RawClient
	rawSent           uint64         // raw commands sent so far
	Counts            map[string]int // of faults, by kind
}

// faultKind is a kind of fault: it begins, and heals by itself. every is the mean time between two of them.
type faultKind struct {
	name  string
	every time.Duration
	begin func(*Swarm)
}

var faultKinds = []faultKind{
	{"partition", 4 * time.Second, (*Swarm).partition},
	{"one-way partition", 3 * time.Second, (*Swarm).cut},
	{"power loss", 5 * time.Second, func(w *Swarm) { w.stopNode((*SimNode).Crash) }},
	{"kill", 5 * time.Second, func(w *Swarm) { w.stopNode((*SimNode).Kill) }},
	{"total power loss", 12 * time.Second, (*Swarm).stopAll},
	{"pause", 4 * time.Second, (*Swarm).pause},
	{"slow disk", 4 * time.Second, (*Swarm).slowDisk},
	{"failed sync", 8 * time.Second, (*Swarm).failSync},
	{"clock skew", 5 * time.Second, (*Swarm).skew},
	{"clock jump", 4 * time.Second, (*Swarm).jump},
	{"bucket move", 3 * time.Second, (*Swarm).moveBuckets},
	{"fast restart", time.Second, (*Swarm).restartAtOnce},
	{"brown-out", 5 * time.Second, (*Swarm).brownOut},
	{"isolated leader", 2 * time.Second, (*Swarm).isolateLeader},
	{"reverted move", 2 * time.Second, func(w *Swarm) { w.revertMove(300 * time.Millisecond) }},
	{"late duplicates", 4 * time.Second, (*Swarm).duplicateLate},
	{"full disk", 8 * time.Second, (*Swarm).fullDisk},
	{"bit flip", 8 * time.Second, (*Swarm).flipBit},
	{"leadership transfer", 2 * time.Second, (*Swarm).transfer},
	{"replica change", 4 * time.Second, (*Swarm).changeReplicas},
	{"config query", 3 * time.Second, (*Swarm).queryConfig},
	{"wiped disk", 10 * time.Second, (*Swarm).wipeDisk},
	{"node join", 8 * time.Second, (*Swarm).joinNode},
	{"node drain", 8 * time.Second, (*Swarm).drainNode},
	{"lost block", 4 * time.Second, (*Swarm).loseBlock},
	{"stale leader", 2 * time.Second, (*Swarm).keepStaleLeader},
	{"disturbed migration", 2 * time.Second, (*Swarm).disturbMigration},
	{"half a directory", 8 * time.Second, (*Swarm).mountHalf},
	{"slow logs", 8 * time.Second, (*Swarm).slowLogs},
	{"new address", 8 * time.Second, (*Swarm).readdress},
	{"unmounted volumes", 8 * time.Second, (*Swarm).unmount},
	{"hung state", 6 * time.Second, (*Swarm).hangState},
	{"raw commands", 2 * time.Second, (*Swarm).sendRaw},
	{"filling disks", 8 * time.Second, (*Swarm).fillDisks},
	{swappedProgram, 4 * time.Second, (*Swarm).swapProgram},
}

// Kinds returns the names of all kinds of faults.
func Kinds() []string {
	var all []string
	for _, k := range faultKinds {
		all = append(all, k.name)
	}
	return all
}

// Swarm injects faults until a time of the World. Each run draws its kinds, except those in without, and the quality of its network.
// Each kind has a random source of its own, so that leaving one out does not change the others.
func (s *Simulation) Swarm(until time.Duration, without ...string) *Swarm {
	w := &Swarm{s: s, rng: s.random(3), until: until, Counts: map[string]int{}}
	s.Oracle.Expect(func(m *SimNode, err error) bool {
		corrupt, mixed := new(persistence.CorruptError), new(persistence.MismatchError)
		return errors.Is(err, errSync) || errors.Is(err, memory.ErrFull) || m.damaged && errors.As(err, &corrupt) ||
			m.halfMounted && errors.As(err, &mixed)
	})
	worst := time.Duration(1+w.rng.IntN(20)) * time.Millisecond
	if w.rng.IntN(4) == 0 {
		worst *= 15 // replies may come after their receiver was restarted
	}
	net := actortest.Faults{Min: worst / 10, Max: worst}
	for _, p := range []*float64{&net.Drop, &net.Duplicate, &net.Reorder} {
		if w.rng.IntN(2) == 0 {
			*p = w.rng.Float64() * 0.1
		}
	}
	s.Network().SetFaults(net)
	s.Network().NeverDuplicate(func(e actortest.Envelope) bool {
		// Requests are not duplicated. A leader replies OVERLOADED to a request that it does not accept, and cannot know that it has
		// executed a copy of it whose reply was lost. TCP makes no copies.
		_, requests := e.Message.(*messages.Requests)
		return requests
	})
	for i, k := range faultKinds {
		if rng := s.random(uint64(100 + i)); rng.IntN(2) == 0 && !slices.Contains(without, k.name) {
			w.schedule(k, rng)
		}
	}
	return w
}

func (w *Swarm) schedule(k faultKind, rng *rand.Rand) {
	w.s.At(w.s.Now()+time.Duration(rng.Int64N(int64(2*k.every))), func() {
		if w.s.Now() < w.until {
			w.Counts[k.name]++
			w.rng = rng
			k.begin(w)
			w.schedule(k, rng)
		}
	})
}

// endWithin calls end after a drawn time of at most longest, at the latest when the faults end.
func (w *Swarm) endWithin(longest time.Duration, end func()) {
	at := min(w.s.Now()+time.Duration(w.rng.Int64N(int64(longest))), w.until)
	w.s.At(at, end)
}

func (w *Swarm) anyNode() *SimNode { return w.s.Nodes[w.rng.IntN(len(w.s.Nodes))] }

func (w *Swarm) partition() {
	var left, right []string
	for _, m := range w.s.Nodes {
		switch w.rng.IntN(5) {
		case 0: // a bridge: it reaches both parts
			left, right = append(left, m.machine.Address()), append(right, m.machine.Address())
		case 1, 2:
			left = append(left, m.machine.Address())
		default:
			right = append(right, m.machine.Address())
		}
	}
	clients := w.s.clients
	w.s.Network().Partition(append(left, clients...), append(right, clients...))
	w.endWithin(3*time.Second, w.s.Network().Heal)
}

func (w *Swarm) cut() {
	from, to := w.anyNode(), w.anyNode()
	if from != to {
		w.s.Network().Cut(from.machine.Address(), to.machine.Address())
		w.endWithin(2*time.Second, w.s.Network().Heal)
	}
}

// isolateLeader cuts the leader of a group off from the other nodes, but not from its clients, and slows its clock down: it takes
// itself for the leader longer than the others do.
func (w *Swarm) isolateLeader() {
	m := w.s.Oracle.lastElected[messages.GroupID(w.rng.IntN(w.s.groupCount()+1))]
	if m == nil {
		return
	}
	for _, other := range w.s.Nodes {
		if other != m {
			w.s.Network().Cut(m.machine.Address(), other.machine.Address())
			w.s.Network().Cut(other.machine.Address(), m.machine.Address())
		}
	}
	m.machine.Clock().Skew(slowestClock + (1-slowestClock)*w.rng.Float64())
	w.endWithin(2*time.Second, func() {
		w.s.Network().Heal()
		m.machine.Clock().Skew(1)
	})
}

// duplicateLate lets the network duplicate many messages, up to seconds later, and delay some of them that long: long enough for a
// leader to lose an election and to win the next one.
func (w *Swarm) duplicateLate() {
	late := actortest.Faults{Duplicate: 0.2 + 0.5*w.rng.Float64(), Late: 0.2 * w.rng.Float64(), Echo: time.Duration(1+w.rng.IntN(5)) * time.Second}
	w.s.Network().SetMessageFaults(func(actortest.Envelope) actortest.Faults { return late })
	w.endWithin(4*time.Second, func() { w.s.Network().SetMessageFaults(nil) })
}

func (w *Swarm) stopNode(how func(*SimNode)) {
	m := w.anyNode()
	how(m)
	w.endWithin(3*time.Second, m.Start)
}

func (w *Swarm) stopAll() {
	for _, m := range w.s.Nodes {
		m.Crash()
		w.endWithin(time.Second, m.Start)
	}
}

// restartAtOnce cuts the power of a node so shortly that no other node notices: messages in flight reach the restarted node.
func (w *Swarm) restartAtOnce() {
	m := w.anyNode()
	m.Crash()
	w.endWithin(50*time.Millisecond, m.Start)
}

// brownOut slows all disks down, and then cuts the power of all nodes: what was acknowledged before it was synced is lost. The nodes
// come back one after the other, so that nodes which lost something may decide.
func (w *Swarm) brownOut() {
	rng := w.rng
	for _, m := range w.s.Nodes {
		worst := time.Duration(1 + rng.IntN(200))
		m.slow(func() time.Duration { return time.Duration(rng.Int64N(int64(worst * time.Millisecond))) })
	}
	w.endWithin(time.Second, func() {
		for _, m := range w.s.Nodes {
			m.Crash()
			m.slow(nil)
			w.endWithin(2*time.Second, m.Start)
		}
	})
}

func (w *Swarm) pause() {
	m := w.anyNode()
	m.machine.Pause()
	w.endWithin(2*time.Second, m.machine.Resume)
}

// Speed of clocks against the World's.
const (
	fastestClock = 1.2
	slowestClock = 0.4
)

func (w *Swarm) skew() {
	m := w.anyNode()
	m.machine.Clock().Skew(0.8 + (fastestClock-0.8)*w.rng.Float64())
	w.endWithin(5*time.Second, func() { m.machine.Clock().Skew(1) })
}

func (w *Swarm) jump() {
	w.anyNode().machine.Clock().Jump(time.Duration(w.rng.Int64N(int64(time.Hour))) - 30*time.Minute)
}

// Heal ends all faults: every node runs, and network and disks are fast and reliable.
func (s *Simulation) Heal() {
	s.Network().Heal()
	s.Network().SetMessageFaults(nil)
	s.Network().SetFaults(actortest.Faults{Min: 100 * time.Microsecond, Max: time.Millisecond})
	for _, m := range s.Nodes {
		m.slow(nil)
		for group := range s.groupCount() + 1 {
			m.machine.Slow(raftactor.ApplierPath(messages.GroupID(group)), nil)
		}
		m.machine.Clock().Skew(1)
		if m.machine.Alive() {
			m.machine.Resume()
		}
		m.repair()
		m.upgrade()
		m.Start()
	}
}
