package raft

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/messages"
)

// member is a core with its disk, its data and its clock.
type member struct {
	id     uint64
	cfg    Config
	jitter *steady
	core   *Core
	disk   disk                   // what a crash keeps
	todo   []*Persist             // what it may lose, oldest first
	loads  []Load                 // what is to be read
	data   *messages.SnapshotMeta // applied state, in memory
	base   *messages.SnapshotMeta // applied state, on disk

	clock               Nanos // a tick is 1 ns of it: the core does not care
	slowDisk, slowApply bool
	applying            []*messages.Entry // handed out, not yet applied
	seen                view              // as last told in the trace
	notes               []string          // what happened since
	sent                []*messages.RaftMessage
}

// view is what the trace tells of a core when it changes.
type view struct {
	role             Role
	term, vote, lead uint64
	start, commit    uint64
	log              []*messages.Entry
	conf             string
	quiet            bool
}

func (m *member) view() view {
	c := m.core
	v := view{role: c.role, term: c.term, vote: c.vote, lead: c.lead, start: c.log.start.Index, commit: c.commit}
	v.conf, v.quiet = showConf(c.conf), c.quiesced
	v.log = slices.Clone(c.log.entries)
	return v
}

func (m *member) note(format string, args ...any) {
	m.notes = append(m.notes, fmt.Sprintf(format, args...))
}

// retime makes a changed timeout count for the wait that has begun.
func (m *member) retime() { m.core.electionTimeout = m.cfg.ElectionTicks + m.jitter.ticks }

func (s *scene) boot(m *member) {
	core, err := New(m.cfg, Boot{HardState: m.disk.hard, Snapshot: m.disk.start, Entries: m.disk.log(), FirstOnDisk: m.disk.kept(), Applied: m.data.Index, Now: m.clock})
	if err != nil {
		s.say("%d does not start: %v", m.id, err)
		m.core = nil
		return
	}
	m.core, m.todo, m.applying, m.slowDisk, m.slowApply = core, nil, nil, false, false
	m.seen = m.view()
}

// carry does what a core asks for, as its actor would, and tells what changed.
func (s *scene) carry(m *member) {
	for m.core != nil {
		r, ok := m.core.Ready()
		if err := m.core.Err(); err != nil {
			s.say("%d stops: %v", m.id, err)
			m.lose()
			return
		}
		if !ok {
			break
		}
		m.sent = append(m.sent, r.Send...)
		s.wire = append(s.wire, r.Send...)
		if r.Persist != nil {
			s.write(m, r.Persist)
		}
		for _, e := range r.Apply {
			s.emit(m, e)
		}
		if len(r.Apply) > 0 && !m.slowApply {
			s.apply1(m, len(m.applying))
		}
		for _, read := range r.Reads {
			if read.Err != nil {
				m.note("read %d fails: %v", read.Token, read.Err)
			} else {
				m.note("read %d may be served at %d", read.Token, read.Index)
			}
		}
		for _, to := range r.Snapshots {
			m.note("wants a snapshot for %d", to)
		}
		for _, l := range r.Loads {
			m.note("reads %d to %d for %d", l.From, l.To, l.For)
			m.loads = append(m.loads, l)
		}
		if !m.slowDisk {
			s.loaded(m)
		}
	}
	s.tell(m)
}

func (s *scene) write(m *member, p *Persist) {
	m.todo = append(m.todo, p)
	if !m.slowDisk {
		s.synced(m, len(m.todo))
		return
	}
	m.note("writes %s", showWrite(p))
}

// synced makes the oldest n steps durable, tells the core, and lets go of what waited for them.
func (s *scene) synced(m *member, n int) {
	done := m.todo[:n]
	m.todo = m.todo[n:]
	for _, p := range done {
		m.disk = m.disk.after(p)
		m.sent = append(m.sent, p.After...)
		s.wire = append(s.wire, p.After...)
		if p.Snapshot != nil {
			m.data, m.base, m.applying = p.Snapshot, p.Snapshot, nil
			m.core.Applied(p.Snapshot.Index)
			m.note("installs the snapshot at %d/%d", p.Snapshot.Index, p.Snapshot.Term)
		}
	}
	m.core.Persisted(done[n-1].Seq)
}

// loaded brings what was read: pieces of three entries, the first of which is the one before those to be sent.
func (s *scene) loaded(m *member) {
	loads := m.loads
	m.loads = nil
	for _, l := range loads {
		m.core.Loaded(l.For, m.disk.load(l, 3))
	}
}

// emit checks an entry that is handed out to be applied: State Machine Safety, and that it is on this disk.
func (s *scene) emit(m *member, e *messages.Entry) {
	text := describe([]*messages.Entry{e})
	if was, ok := s.applied[e.Index]; ok && was != text {
		s.t.Fatalf("%d applies %s where %s was applied", m.id, text, was)
	}
	s.applied[e.Index] = text
	if !slices.ContainsFunc(m.disk.entries, func(d *messages.Entry) bool { return d.Index == e.Index && d.Term == e.Term }) {
		s.t.Fatalf("%d applies %s, which is not on its disk", m.id, text)
	}
	m.applying = append(m.applying, e)
	if m.slowApply {
		m.note("may apply %s", showEntry(e))
	}
}

func (s *scene) apply1(m *member, n int) {
	for _, e := range m.applying[:n] {
		conf, err := ApplyConfEntry(m.data.Conf, e)
		if err != nil {
			s.t.Fatal(err)
		}
		m.data = &messages.SnapshotMeta{Index: e.Index, Term: e.Term, Conf: conf}
		m.note("applies %s", showEntry(e))
	}
	m.applying = m.applying[n:]
	m.core.Applied(m.data.Index)
}

// check holds the scene to what must be true after every command.
func (s *scene) check() {
	for _, m := range s.members {
		if m.core == nil {
			continue
		}
		if m.core.role != Leader {
			continue
		}
		if other := s.leaders[m.core.term]; other != 0 && other != m.id {
			s.t.Fatalf("term %d has leaders %d and %d", m.core.term, other, m.id)
		}
		s.leaders[m.core.term] = m.id
	}
}

// pass lets the replica's time pass without a tick, as it does while a process is stopped.
func (m *member) pass(time Nanos) {
	m.clock += time
	if m.core != nil {
		m.core.At(m.clock)
	}
}

func (m *member) tick() {
	m.pass(1)
	m.core.Tick()
}

func (s *scene) tick(l line, m *member) {
	n := 1
	if len(l.words()) > 1 {
		n = int(l.at(1))
	}
	for range n {
		m.tick()
		s.carry(m)
	}
}

// persist acknowledges the oldest steps= of a slow disk, or all; fast makes the disk fast again; again= repeats an
// acknowledgement that was given before.
func (s *scene) persist(l line, m *member) {
	if l.has("again") {
		m.core.Persisted(uint64(l.value("again", 0)))
		return
	}
	if n := l.value("steps", len(m.todo)); n > 0 {
		s.synced(m, n)
	}
	s.loaded(m)
	if slices.Contains(l.words(), "fast") {
		m.slowDisk = false
	}
}

// apply lets a slow Applier finish the oldest entries= of what it has, or all; fast as for persist.
func (s *scene) apply(l line, m *member) {
	if n := l.value("entries", len(m.applying)); n > 0 {
		s.apply1(m, n)
	}
	if slices.Contains(l.words(), "fast") {
		m.slowApply = false
	}
}

func (s *scene) propose(l line, m *member) {
	for _, word := range l.words()[1:] {
		_, _, err := m.core.Propose(messages.Block(word), 0)
		s.refused(err)
	}
}

func (s *scene) change(l line, m *member, kind messages.ConfChange_Kind) {
	_, _, err := m.core.ProposeConf(&messages.ConfChange{Kind: kind, Node: l.at(1)})
	s.refused(err)
}

// joint proposes several changes at once.
func (s *scene) joint(l line, m *member) {
	change := &messages.ConfChange{Kind: messages.ConfChange_JOINT}
	for name, kind := range messages.ConfChange_Kind_value {
		for _, text := range l.texts(strings.ToLower(strings.ReplaceAll(name, "_", "-"))) {
			change.Changes = append(change.Changes, &messages.ConfChange{Kind: messages.ConfChange_Kind(kind), Node: l.number(text)})
		}
	}
	slices.SortFunc(change.Changes, func(a, b *messages.ConfChange) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Node, b.Node))
	})
	_, _, err := m.core.ProposeConf(change)
	s.refused(err)
}

// compact makes the data durable and drops the log up to an index.
func (s *scene) compact(l line, m *member) {
	m.base = m.data
	s.refused(m.core.Compact(l.at(1), uint64(l.value("keep", int(l.at(1))+1))))
}

// snapshot carries a leader's data to a follower: chunks, staging and all. report=fail: it did not get there;
// report=none: it did, but the leader is not told.
func (s *scene) snapshot(l line, m *member) {
	to, meta := s.member(uint64(l.value("to", 0))), proto.Clone(m.data).(*messages.SnapshotMeta)
	if l.has("at") {
		meta.Index, meta.Term = s.place(l.text("at"))
	}
	if l.text("report") != "fail" {
		s.refused(to.core.Restore(meta))
		s.carry(to)
	}
	if l.text("report") != "none" {
		m.core.SnapshotDone(to.id, meta.Index, l.text("report") != "fail")
	}
}

// crash loses the memory, and of the disk what was not synced; written= of the oldest steps had got there.
func (s *scene) crash(l line, m *member) {
	for _, p := range m.todo[:l.value("written", 0)] {
		m.disk = m.disk.after(p)
	}
	m.lose()
}

// lose forgets all that is not durable.
func (m *member) lose() {
	m.core, m.todo, m.applying, m.data = nil, nil, nil, m.base
	m.notes, m.sent = nil, nil
	if m.data.Index < m.disk.start.Index {
		m.data = m.disk.start
	}
}

func (s *scene) restart(_ line, m *member) {
	if m.core != nil {
		s.t.Fatalf("%d is not down", m.id)
	}
	if s.boot(m); m.core == nil {
		return
	}
	s.say("%d: back with term %d, vote %d, log %s, commit %d", m.id, m.core.term, m.core.vote, showLog(m.core), m.core.commit)
}

// force makes a replica that is down the only voter, by hand.
func (s *scene) force(_ line, m *member) {
	if m.core != nil {
		s.t.Fatalf("%d is not down", m.id)
	}
	f, err := ForceQuorum(Boot{HardState: m.disk.hard, Snapshot: m.disk.start, Entries: m.disk.log()}, m.id)
	if s.refused(err); err != nil {
		return
	}
	m.disk = m.disk.after(&Persist{HardState: f.HardState, Entries: []*messages.Entry{f.Entry}})
	s.say("%d: gets %s, and loses %v; up to %d was known to be committed", m.id, showEntry(f.Entry), f.Lost, f.Committed)
}

// drain is one turn in which several inputs arrive before the core's outputs are carried out, as they do in a
// mailbox: a line of input each.
func (s *scene) drain(l line, m *member) {
	for _, text := range strings.Split(l.d.Input, "\n") {
		words := strings.Fields(text)
		switch words[0] {
		case "deliver":
			msg := s.wire[0]
			s.wire = s.wire[1:]
			s.say("%s", show(msg))
			if err := m.core.Step(proto.Clone(msg).(*messages.RaftMessage)); err != nil {
				s.say("%d drops it: %v", m.id, err)
			}
		case "compact":
			m.base = m.data
			s.refused(m.core.Compact(l.number(words[1]), l.number(words[1])+1))
		case "restore":
			meta := proto.Clone(m.data).(*messages.SnapshotMeta)
			meta.Index, meta.Term = s.place(words[1])
			s.refused(m.core.Restore(meta))
		case "read":
			s.refused(m.core.ReadIndex(l.number(words[1])))
		default:
			l.d.Fatalf(s.t, "unknown input %q", text)
		}
	}
}

func (s *scene) isolate(l line) { s.apart = append(s.apart, l.numbers()...) }
