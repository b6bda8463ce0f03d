package raft

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/raftactor/raft/quorum"
)

var (
	seedFlag  = flag.Uint64("seed", 0, "run only this seed of the random tests")
	seedsFlag = flag.Uint64("seeds", 400, "how many seeds the random tests run")
)

// TestRandomClusters runs whole groups of cores, with messages lost, doubled, delayed and reordered, disks that lose
// what was not synced, restarts, partitions, membership changes, compaction, snapshots and transfers. After every
// step it holds them to Raft's safety properties; at the end, without faults, to liveness.
// Replay one: go test ./raftactor/raft -run TestRandomClusters -seed N
func TestRandomClusters(t *testing.T) {
	first, last := uint64(1), *seedsFlag
	if *seedFlag != 0 {
		first, last = *seedFlag, *seedFlag
	}
	for seed := first; seed <= last; seed++ {
		w := newWorld(t, seed, 3+int(seed%3))
		for range 3000 {
			w.step()
		}
		w.heal()
	}
}

type world struct {
	t     *testing.T
	seed  uint64
	rng   *rand.Rand
	nodes []*simNode
	wire  []*messages.RaftMessage
	cut   map[[2]uint64]bool

	leaders   map[uint64]uint64 // term -> leader: Election Safety
	log       map[uint64]string // index -> what was applied there first: State Machine Safety
	confirmed uint64            // highest index that a client was told about
	proposed  int
	mild      int               // one in so many faults happens
	reads     map[uint64]uint64 // token -> confirmed when it was asked
	token     uint64
	now       Nanos // of clocks that are right
	pace      Nanos // how much of it passes with a step
	lease     Nanos
}

type simNode struct {
	id    uint64
	core  *Core
	disk  disk   // what a power loss keeps
	page  []disk // and what it may lose, newest last
	todo  []*Persist
	loads []Load
	data  *messages.SnapshotMeta // applied state, as durable as the process
	base  *messages.SnapshotMeta // applied state that a power loss keeps
	down  bool
	still bool              // it does not tick
	rate  Nanos             // of its clock, in percent
	mine  map[uint64]uint64 // index -> term of proposals that wait
}

type disk struct {
	hard    *messages.HardState
	start   *messages.SnapshotMeta
	entries []*messages.Entry
}

func newWorld(t *testing.T, seed uint64, n int) *world {
	w := &world{
		t: t, seed: seed, rng: rand.New(rand.NewPCG(seed, 7)), cut: map[[2]uint64]bool{},
		leaders: map[uint64]uint64{}, log: map[uint64]string{}, reads: map[uint64]uint64{}, mild: []int{1, 3, 10, 40}[seed/3%4],
	}
	var voters []uint64
	for id := uint64(1); id <= uint64(n); id++ {
		if id <= 3 {
			voters = append(voters, id)
		}
	}
	if w.rng.IntN(2) == 0 {
		w.lease = promise * 80 / 120
	}
	w.pace = []Nanos{2, 10, 50}[w.rng.IntN(3)]
	birth := &messages.SnapshotMeta{Index: 1, Term: 1, Conf: &messages.ConfState{Voters: voters}}
	for id := uint64(1); id <= uint64(n); id++ {
		s := &simNode{id: id, disk: disk{hard: &messages.HardState{}, start: &messages.SnapshotMeta{Conf: &messages.ConfState{}}}}
		s.data = s.disk.start
		if id <= 3 {
			s.disk.hard, s.disk.start, s.data = &messages.HardState{Term: 1, Commit: 1}, birth, birth
		}
		s.base, s.rate = s.data, []Nanos{80, 100, 120}[w.rng.IntN(3)]
		w.nodes = append(w.nodes, s)
		w.boot(s)
	}
	return w
}

func (w *world) fail(format string, args ...any) {
	w.t.Helper()
	w.t.Fatalf("seed %d: %s", w.seed, fmt.Sprintf(format, args...))
}

// promise lasts from a few ticks to more than elections take; two thirds of it on clocks that are wrong by up to a fifth.
const promise = 3000

// clock is the time at a node. Clocks and ticks have little to do with one another here, as with processes that are
// stopped now and then.
func (w *world) clock(s *simNode) Nanos { return w.now * s.rate / 100 }

// input tells a core the time, as must be done before anything else is told.
func (w *world) input(s *simNode) *Core {
	s.core.At(w.clock(s))
	return s.core
}

func (w *world) boot(s *simNode) {
	core, err := New(Config{
		ID: s.id, Group: 9, LeaseGrant: promise, Lease: w.lease, ElectionTicks: 10, HeartbeatTicks: 2, QuiesceTicks: 4, MaxAppendBytes: 300, MaxInflightMessages: 4,
		MaxInflightBytes: 900, MaxUncommittedBytes: 3000, MaxApplyBytes: 500, MaxLogBytes: 1500, Rand: rand.New(rand.NewPCG(w.rng.Uint64(), 1)),
	}, Boot{HardState: s.disk.hard, Snapshot: s.disk.start, Entries: s.disk.log(), FirstOnDisk: s.disk.kept(), Applied: s.data.Index, Now: w.clock(s)})
	if err != nil {
		w.fail("boot %d: %v", s.id, err)
	}
	s.core, s.down, s.mine, s.page, s.todo = core, false, map[uint64]uint64{}, nil, nil
	w.lost(s.id)
}

// lost tells everybody that a node was gone, as who watches over groups at rest does.
func (w *world) lost(id uint64) {
	for _, s := range w.nodes {
		if s.core != nil && s.id != id {
			s.core.NodeSuspected(id)
		}
	}
}

// crash loses the memory; with power also everything on disk that was not synced.
func (w *world) crash(s *simNode) {
	for _, p := range s.todo[:w.rng.IntN(len(s.todo)+1)] {
		s.disk = s.disk.after(p) // written, but nobody was told
	}
	s.down, s.core, s.todo, s.loads = true, nil, nil, nil
	s.data = s.base
	if s.data.Index < s.disk.start.Index {
		s.data = s.disk.start // the staged snapshot is installed by recovery
	}
}

func (d disk) after(p *Persist) disk {
	d.entries = slices.Clone(d.entries)
	if p.HardState != nil {
		d.hard = p.HardState
	}
	if p.Snapshot != nil {
		d.start, d.entries = p.Snapshot, nil
	}
	if p.Truncate != 0 {
		d.entries = slices.DeleteFunc(d.entries, func(e *messages.Entry) bool { return e.Index >= p.Truncate })
	}
	for _, e := range p.Entries {
		d.entries = slices.DeleteFunc(d.entries, func(old *messages.Entry) bool { return old.Index >= e.Index })
		d.entries = append(d.entries, e)
	}
	if p.Compact != nil {
		d.start = p.Compact
		d.entries = slices.DeleteFunc(d.entries, func(e *messages.Entry) bool { return e.Index < p.Keep })
	}
	return d
}

// log is what a replica is booted with.
func (d disk) log() []*messages.Entry {
	return slices.DeleteFunc(slices.Clone(d.entries), func(e *messages.Entry) bool { return e.Index <= d.start.Index })
}

// kept is the first entry that is there.
func (d disk) kept() uint64 {
	if len(d.entries) == 0 {
		return 0
	}
	return d.entries[0].Index
}

// load reads a piece of at most count entries; none if its beginning has been deleted.
func (d disk) load(l Load, count int) (entries []*messages.Entry) {
	for _, e := range d.entries {
		if e.Index == l.From+uint64(len(entries)) && e.Index <= l.To && len(entries) < count {
			entries = append(entries, e)
		}
	}
	return entries
}

func (w *world) step() {
	w.now += w.pace
	s := w.nodes[w.rng.IntN(len(w.nodes))]
	k := w.rng.IntN(1000)
	if k >= 930 && k < 975 && w.rng.IntN(w.mild) > 0 {
		k %= 930 // of some worlds the weather is fair: there logs, memberships and snapshots get further
	}
	switch {
	case k < 250:
		w.tick(s)
	case k < 600:
		w.deliver(w.rng.IntN(max(1, len(w.wire))))
	case k < 780:
		w.sync(s, 1+w.rng.IntN(3))
	case k < 900:
		w.propose(s)
	case k < 930:
		w.ask(s)
	case k < 940 && !s.down:
		w.crash(s)
	case k < 955 && s.down:
		w.boot(s)
	case k < 965:
		w.cut[[2]uint64{s.id, w.nodes[w.rng.IntN(len(w.nodes))].id}] = true
	case k < 975:
		w.mend()
	case k < 982 && !s.down:
		w.compact(s)
	case k < 988 && !s.down:
		w.confChange(s)
	case k < 992 && !s.down && s.core.role == Leader:
		if err := s.core.Transfer(w.nodes[w.rng.IntN(len(w.nodes))].id); err == nil {
			w.carry(s)
		}
	case k < 995:
		w.lost(s.id) // it was only slow
	default:
		w.strand()
	}
}

// strand cuts leaders off and lets them tick no more: they go on believing that they lead.
func (w *world) strand() {
	for _, s := range w.nodes {
		if s.down || s.core.role != Leader {
			continue
		}
		s.still = true
		for _, other := range w.nodes {
			w.cut[[2]uint64{s.id, other.id}], w.cut[[2]uint64{other.id, s.id}] = true, true
		}
	}
}

func (w *world) mend() {
	clear(w.cut)
	for _, s := range w.nodes {
		s.still = false
	}
}

func (w *world) tick(s *simNode) {
	if !s.down && !s.still {
		w.input(s).Tick()
		w.carry(s)
	}
}

func (w *world) deliver(i int) {
	if i >= len(w.wire) {
		return
	}
	m := w.wire[i]
	if w.rng.IntN(20) > 0 { // else it comes again
		w.wire = slices.Delete(w.wire, i, i+1)
	}
	s := w.nodes[m.To-1]
	if s.down || w.cut[[2]uint64{m.From, m.To}] || w.rng.IntN(15) == 0 {
		return
	}
	_ = w.input(s).Step(proto.Clone(m).(*messages.RaftMessage))
	w.carry(s)
}

// read brings the pieces of the log that were asked for.
func (w *world) read(s *simNode) {
	loads := s.loads
	s.loads = nil
	for _, l := range loads {
		s.core.Loaded(l.For, s.disk.load(l, 2+w.rng.IntN(6)))
	}
	if len(loads) > 0 {
		w.carry(s)
	}
}

func (w *world) sync(s *simNode, n int) {
	if !s.down {
		w.read(s)
	}
	if s.down || min(n, len(s.todo)) == 0 {
		return
	}
	n = min(n, len(s.todo))
	done := s.todo[:n]
	s.todo = s.todo[n:]
	for _, p := range done {
		s.disk = s.disk.after(p)
		w.wire = append(w.wire, p.After...)
		if p.Snapshot != nil {
			s.data, s.base = p.Snapshot, p.Snapshot
			s.core.Applied(p.Snapshot.Index)
		}
	}
	w.input(s).Persisted(done[n-1].Seq)
	w.carry(s)
}

func (w *world) propose(s *simNode) {
	if s.down {
		return
	}
	w.proposed++
	if i, term, err := w.input(s).Propose(fmt.Appendf(nil, "p%d-%0*d", w.proposed, w.rng.IntN(100), 0), 0); err == nil {
		s.mine[i] = term
		w.carry(s)
	}
}

func (w *world) ask(s *simNode) {
	if s.down {
		return
	}
	w.token++
	w.reads[w.token] = w.confirmed
	if w.input(s).ReadIndex(w.token) != nil {
		delete(w.reads, w.token)
	} else {
		w.carry(s)
	}
}

func (w *world) compact(s *simNode) {
	s.base = s.data
	if s.data.Index > s.core.Soft().First+5 {
		cut := s.data.Index - uint64(w.rng.IntN(4))
		keep := cut + 1
		if w.rng.IntN(2) == 0 {
			keep -= uint64(w.rng.IntN(20))
		}
		_ = s.core.Compact(cut, keep)
		w.carry(s)
	} else if w.rng.IntN(4) == 0 {
		s.core.ReleaseDisk()
		w.carry(s)
	}
}

func (w *world) confChange(s *simNode) {
	draw := func() *messages.ConfChange {
		return &messages.ConfChange{Kind: messages.ConfChange_Kind(w.rng.IntN(4)), Node: w.nodes[w.rng.IntN(len(w.nodes))].id}
	}
	change := draw()
	if w.rng.IntN(2) == 0 {
		change = &messages.ConfChange{Kind: messages.ConfChange_JOINT}
		for range 1 + w.rng.IntN(4) {
			change.Changes = append(change.Changes, draw())
		}
	}
	if _, _, err := s.core.ProposeConf(change); err == nil {
		w.carry(s)
	}
}

// carry does what the core asks for, and checks it.
func (w *world) carry(s *simNode) {
	for {
		r, ok := s.core.Ready()
		if err := s.core.Err(); err != nil {
			w.fail("node %d: %v", s.id, err)
		}
		if !ok {
			break
		}
		w.wire = append(w.wire, r.Send...)
		if r.Persist != nil {
			s.todo = append(s.todo, r.Persist)
		}
		for _, e := range r.Apply {
			w.applied(s, e)
		}
		if n := len(r.Apply); n > 0 {
			s.core.Applied(r.Apply[n-1].Index)
		}
		for _, read := range r.Reads {
			if read.Err == nil && read.Index < w.reads[read.Token] {
				w.fail("stale read: index %d, but %d was confirmed before it was asked", read.Index, w.reads[read.Token])
			}
			delete(w.reads, read.Token)
		}
		for _, to := range r.Snapshots {
			w.snapshot(s, to)
		}
		s.loads = append(s.loads, r.Loads...)
	}
	if s.core.role == Leader {
		if other := w.leaders[s.core.term]; other != 0 && other != s.id {
			w.fail("term %d has leaders %d and %d", s.core.term, other, s.id)
		}
		if w.leaders[s.core.term] == 0 {
			w.leaders[s.core.term] = s.id
			for i := range w.log { // Leader Completeness
				if i > s.core.log.dataOnDisk && w.log[i] != describe(s.core.log.slice(i, i)) {
					w.fail("leader %d of term %d lacks committed entry %d", s.id, s.core.term, i)
				}
			}
		}
	}
	for len(w.wire) > 200 {
		w.wire = slices.Delete(w.wire, 0, 1)
	}
}

func describe(entries []*messages.Entry) string {
	if len(entries) == 0 {
		return "nothing"
	}
	return fmt.Sprintf("%d %d %q", entries[0].Index, entries[0].Term, entries[0].Data)
}

func (w *world) applied(s *simNode, e *messages.Entry) {
	if e.Index != s.data.Index+1 {
		w.fail("node %d applies %d after %d", s.id, e.Index, s.data.Index)
	}
	text := describe([]*messages.Entry{e})
	if was, ok := w.log[e.Index]; ok && was != text {
		w.fail("node %d applies %s where %s was applied", s.id, text, was)
	}
	if !slices.ContainsFunc(s.disk.entries, func(d *messages.Entry) bool { return d.Index == e.Index && d.Term == e.Term }) {
		w.fail("node %d applies %s, which is not on its disk", s.id, text)
	}
	if _, ok := w.log[e.Index]; !ok {
		w.log[e.Index] = text
		w.durable(e)
	}
	conf, err := ApplyConfEntry(s.data.Conf, e)
	require.NoError(w.t, err)
	s.data = &messages.SnapshotMeta{Index: e.Index, Term: e.Term, Conf: conf}
	if s.mine[e.Index] == e.Term {
		w.confirmed = max(w.confirmed, e.Index)
	}
}

// durable checks that a committed entry is on enough disks to survive the loss of all memory at once.
func (w *world) durable(e *messages.Entry) {
	holders := map[uint64]bool{}
	for _, s := range w.nodes {
		holders[s.id] = e.Index <= s.disk.start.Index ||
			slices.ContainsFunc(s.disk.entries, func(d *messages.Entry) bool { return d.Index == e.Index && d.Term == e.Term })
	}
	for _, s := range w.nodes {
		if s.core == nil || s.core.role != Leader || s.core.commit < e.Index || joint(s.core.conf) {
			continue // what was committed before a joint membership needed nobody of its new half
		}
		n := 0
		for _, id := range s.core.conf.Voters {
			if holders[id] {
				n++
			}
		}
		if n+1 < quorum.Majority(len(s.core.conf.Voters)) { // a change of one voter may lie between
			w.fail("committed %s is on %d disks of %v", describe([]*messages.Entry{e}), n, s.core.conf.Voters)
		}
	}
}

func (w *world) snapshot(s *simNode, to uint64) {
	target := w.nodes[to-1]
	meta := proto.Clone(s.data).(*messages.SnapshotMeta)
	ok := !target.down && w.rng.IntN(4) > 0
	if ok {
		if target.core.Restore(meta) == nil {
			w.carry(target)
		}
	}
	s.core.SnapshotDone(to, meta.Index, ok)
}

// heal removes all faults; then the group must elect, commit, answer a read, and bring every member level.
func (w *world) heal() {
	w.mend()
	for _, s := range w.nodes {
		if s.down {
			w.boot(s)
		}
	}
	w.calm(120)
	leader := w.leader()
	before := w.confirmed
	w.propose(leader)
	w.ask(leader)
	w.calm(40)
	if w.confirmed == before || w.reads[w.token] != 0 {
		w.fail("no progress after the faults ended: %s", w.describe())
	}
	if joint(leader.core.conf) {
		w.fail("the joint membership is not left: %s", w.describe())
	}
	members := Members(leader.core.conf)
	stray := slices.ContainsFunc(w.nodes, func(s *simNode) bool { return s.core.voter(s.id) && !slices.Contains(members, s.id) })
	for _, id := range members {
		if s := w.nodes[id-1]; s.data.Index != leader.data.Index {
			w.fail("node %d did not catch up: %s", id, w.describe())
		}
		if !stray && !w.nodes[id-1].core.Quiesced() { // who does not know that it was removed disturbs the rest
			w.fail("node %d does not rest: %s", id, w.describe())
		}
	}
	if !stray && len(w.wire) > 0 {
		w.fail("a group at rest still talks: %v", w.wire)
	}
	w.rouse(leader)
}

// rouse takes the leader of a group at rest away: the others must elect another one.
func (w *world) rouse(leader *simNode) {
	if len(leader.core.conf.Voters) < 3 {
		return
	}
	w.crash(leader)
	w.lost(leader.id)
	w.calm(120)
	if next := w.leader(); next.id == leader.id {
		w.fail("node %d leads though it is gone", next.id)
	}
}

// calm lets time pass without faults.
func (w *world) calm(rounds int) {
	for range rounds {
		w.now += promise / 10
		for _, s := range w.nodes {
			w.tick(s)
			w.sync(s, len(s.todo))
		}
		for range 3 {
			now := w.wire
			w.wire = nil
			for _, m := range now {
				if s := w.nodes[m.To-1]; !s.down {
					_ = w.input(s).Step(proto.Clone(m).(*messages.RaftMessage))
					w.carry(s)
				}
			}
			for _, s := range w.nodes {
				w.sync(s, len(s.todo))
			}
		}
	}
}

func (w *world) leader() (leader *simNode) {
	for _, s := range w.nodes {
		if !s.down && s.core.role == Leader && (leader == nil || s.core.term > leader.core.term) {
			leader = s
		}
	}
	if leader == nil {
		w.fail("no leader after the faults ended: %s", w.describe())
	}
	return leader
}

func (w *world) describe() (text string) {
	for _, s := range w.nodes {
		if s.down {
			continue
		}
		text += fmt.Sprintf("\n%+v", s.core.Status())
	}
	return text
}
