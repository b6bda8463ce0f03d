package raft

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/messages"
)

// TestScenarios plays the scripts in testdata. Each shows one rule of Raft, or one trap, on a handful of cores whose
// network, disks and clocks the script moves by hand: nothing happens that a line of it did not cause. testdata/README
// explains the language. After an intended change: go test ./raftactor/raft -run TestScenarios -rewrite, and then
// read every line of the diff: the trace is the claim.
func TestScenarios(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		if !strings.HasSuffix(path, ".txt") {
			return
		}
		s := new(scene)
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			s.t, s.out = t, nil
			s.command(line{t, d})
			s.check()
			if len(s.out) == 0 {
				return "ok\n"
			}
			return strings.Join(s.out, "\n") + "\n"
		})
	})
}

// line is a command of a script: words, then key=value pairs.
type line struct {
	t *testing.T
	d *datadriven.TestData
}

func (l line) words() (words []string) {
	for _, a := range l.d.CmdArgs {
		if len(a.Vals) == 0 {
			words = append(words, a.Key)
		}
	}
	return words
}

func (l line) number(text string) uint64 {
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		l.d.Fatalf(l.t, "%q is no number", text)
	}
	return n
}

// at is the i-th word as a number.
func (l line) at(i int) uint64 {
	if words := l.words(); i < len(words) {
		return l.number(words[i])
	}
	l.d.Fatalf(l.t, "word %d is missing", i+1)
	return 0
}

func (l line) numbers() (all []uint64) {
	for _, w := range l.words() {
		all = append(all, l.number(w))
	}
	return all
}

func (l line) has(key string) bool { return l.d.HasArg(key) }

func (l line) text(key string) string {
	for _, a := range l.d.CmdArgs {
		if a.Key == key && len(a.Vals) > 0 {
			return a.Vals[0]
		}
	}
	return ""
}

func (l line) value(key string, otherwise int) int {
	if text := l.text(key); text != "" {
		return int(l.number(text))
	}
	return otherwise
}

// commands is the whole language, but for the tables. Those that name one replica get it as m.
var commands = map[string]func(s *scene, l line, m *member){
	"log":         (*scene).preload,
	"timeout":     func(_ *scene, l line, m *member) { m.jitter.ticks = int(l.at(1)) - m.cfg.ElectionTicks; m.retime() },
	"campaign":    func(_ *scene, _ line, m *member) { m.core.Campaign() },
	"tick":        (*scene).tick,
	"slow-disk":   func(_ *scene, _ line, m *member) { m.slowDisk = true },
	"persist":     (*scene).persist,
	"slow-apply":  func(_ *scene, _ line, m *member) { m.slowApply = true },
	"apply":       (*scene).apply,
	"propose":     (*scene).propose,
	"read":        func(s *scene, l line, m *member) { s.refused(m.core.ReadIndex(l.at(1))) },
	"transfer":    func(s *scene, l line, m *member) { s.refused(m.core.Transfer(uint64(l.value("to", 0)))) },
	"add-learner": func(s *scene, l line, m *member) { s.change(l, m, messages.ConfChange_ADD_LEARNER) },
	"promote":     func(s *scene, l line, m *member) { s.change(l, m, messages.ConfChange_PROMOTE) },
	"remove":      func(s *scene, l line, m *member) { s.change(l, m, messages.ConfChange_REMOVE) },
	"compact":     (*scene).compact,
	"snapshot":    (*scene).snapshot,
	"unreachable": func(_ *scene, l line, m *member) { m.core.Unreachable(l.at(1)) },
	"crash":       (*scene).crash,
	"restart":     (*scene).restart,
	"drain":       (*scene).drain,
}

// worldly are the commands that are about no single replica.
var worldly = map[string]func(s *scene, l line){
	"nodes":     (*scene).nodes,
	"deliver":   (*scene).deliver,
	"drop":      (*scene).drop,
	"stabilize": (*scene).stabilize,
	"isolate":   (*scene).isolate,
	"heal":      func(s *scene, _ line) { s.apart = nil },
	"wire":      func(s *scene, _ line) { s.showWire() },
	"send":      (*scene).inject,
	"status":    (*scene).status,
	"elections": (*scene).elections,
	"acks":      (*scene).acks,
}

func (s *scene) command(l line) {
	if run, ok := worldly[l.d.Cmd]; ok {
		run(s, l)
		return
	}
	run, ok := commands[l.d.Cmd]
	if !ok {
		l.d.Fatalf(s.t, "unknown command")
	}
	m := s.member(l.at(0))
	if m.core == nil && l.d.Cmd != "restart" {
		l.d.Fatalf(s.t, "%d is down", m.id)
	}
	run(s, l, m)
	s.carry(m)
}

// scene is a group of cores and everything around them.
type scene struct {
	t       *testing.T
	out     []string
	members []*member
	wire    []*messages.RaftMessage
	apart   []uint64 // isolated from all others
	indent  string

	leaders map[uint64]uint64 // term -> leader: Election Safety
	applied map[uint64]string // index -> what was applied there first: State Machine Safety
}

func (s *scene) say(format string, args ...any) {
	s.out = append(s.out, s.indent+fmt.Sprintf(format, args...))
}

// refused tells why an input was not taken.
func (s *scene) refused(err error) {
	if err != nil {
		s.say("refused: %v", err)
	}
}

func (s *scene) member(id uint64) *member {
	if id == 0 || id > uint64(len(s.members)) {
		s.t.Fatalf("there is no replica %d", id)
	}
	return s.members[id-1]
}

// steady gives random numbers that make every election timeout the same: the shortest one and some more ticks.
type steady struct{ ticks, of int }

func (r *steady) Uint64() uint64 { return (uint64(r.ticks)<<32/uint64(r.of) + 1) << 32 }

// nodes makes a new group: voters first, then learners, then spares, who are not in it yet and have empty disks.
// Replica n times out after election+n-1 ticks; so nobody does at the same time, unless the script wants it.
func (s *scene) nodes(l line) {
	*s = scene{t: s.t, leaders: map[uint64]uint64{}, applied: map[uint64]string{}}
	voters, learners := int(l.at(0)), l.value("learners", 0)
	conf := new(messages.ConfState)
	for id := 1; id <= voters+learners; id++ {
		if id <= voters {
			conf.Voters = append(conf.Voters, uint64(id))
		} else {
			conf.Learners = append(conf.Learners, uint64(id))
		}
	}
	for id := 1; id <= voters+learners+l.value("spares", 0); id++ {
		m := &member{id: uint64(id), disk: disk{hard: &messages.HardState{}, start: &messages.SnapshotMeta{Conf: conf}}}
		if id > voters+learners {
			m.disk.start = &messages.SnapshotMeta{Conf: &messages.ConfState{}}
		}
		m.data, m.base = m.disk.start, m.disk.start
		m.jitter = &steady{id - 1, l.value("election", 10)}
		m.cfg = Config{
			ID: m.id, Group: 1, ElectionTicks: l.value("election", 10), HeartbeatTicks: l.value("heartbeat", 2),
			MaxAppendBytes: l.value("append-bytes", 1000), MaxInflightMessages: l.value("inflight", 8),
			MaxInflightBytes: l.value("inflight-bytes", 10000), MaxUncommittedBytes: l.value("uncommitted", 10000),
			MaxApplyBytes: l.value("apply-bytes", 10000), Rand: rand.New(m.jitter),
		}
		s.members = append(s.members, m)
		s.boot(m)
	}
}

// preload gives a replica a past: the terms of its entries, and what else its disk is to say.
func (s *scene) preload(l line, m *member) {
	m.disk.entries = nil
	for i, term := range l.numbers()[1:] {
		m.disk.entries = append(m.disk.entries, &messages.Entry{Index: uint64(i) + 1, Term: term})
	}
	last := uint64(0)
	if n := len(m.disk.entries); n > 0 {
		last = m.disk.entries[n-1].Term
	}
	m.disk.hard = &messages.HardState{
		Term: uint64(l.value("term", int(last))), Vote: uint64(l.value("vote", 0)), Commit: uint64(l.value("commit", 0)),
	}
	s.boot(m)
}

// deliver brings what is on the wire now to its receivers, in order; what they answer stays for the next time.
// Words choose: from= to= type=; n= takes only the first n of them; keep leaves a copy on the wire.
func (s *scene) deliver(l line) {
	for _, m := range s.pick(l, l.has("keep")) {
		s.handOver(m)
	}
}

func (s *scene) drop(l line) {
	for _, m := range s.pick(l, false) {
		s.say("lost: %s", show(m))
	}
}

func (s *scene) pick(l line, keep bool) (picked []*messages.RaftMessage) {
	var rest []*messages.RaftMessage
	for _, m := range s.wire {
		if matches(l, m) && len(picked) < l.value("n", len(s.wire)) {
			picked = append(picked, m)
			if !keep {
				continue
			}
		}
		rest = append(rest, m)
	}
	if len(picked) == 0 {
		s.say("nothing on the wire")
	}
	s.wire = rest
	return picked
}

func matches(l line, m *messages.RaftMessage) bool {
	return (!l.has("from") || uint64(l.value("from", 0)) == m.From) && (!l.has("to") || uint64(l.value("to", 0)) == m.To) &&
		(!l.has("type") || l.text("type") == kindName(m.Kind))
}

// handOver is the arrival of one message: a receiver that is down or cut off does not get it.
func (s *scene) handOver(msg *messages.RaftMessage) {
	m := s.member(msg.To)
	if m.core == nil || slices.Contains(s.apart, msg.To) || slices.Contains(s.apart, msg.From) {
		s.say("lost: %s", show(msg))
		return
	}
	s.say("%s", show(msg))
	s.indent = "  "
	if err := m.core.Step(proto.Clone(msg).(*messages.RaftMessage)); err != nil {
		s.say("%d drops it: %v", m.id, err)
	}
	s.carry(m)
	s.indent = ""
}

// stabilize delivers until nothing is on the wire. quiet leaves the single messages out of the trace.
func (s *scene) stabilize(l line) {
	for rounds := 0; len(s.wire) > 0; rounds++ {
		if rounds == 100 {
			l.d.Fatalf(s.t, "the group never comes to rest")
		}
		now := s.wire
		s.wire = nil
		for _, m := range now {
			s.handOver(m)
		}
	}
	if l.has("quiet") {
		s.out = nil
	}
}

// inject puts a message on the wire that no core has sent: a late, a forged or a foreign one.
func (s *scene) inject(l line) {
	kind := slices.IndexFunc(kindNames, func(name string) bool { return name == l.words()[0] })
	m := &messages.RaftMessage{
		Kind: messages.RaftKind(kind), Group: 1, From: uint64(l.value("from", 0)), To: uint64(l.value("to", 0)),
		Term: uint64(l.value("term", 0)), Reject: l.has("reject"), Transfer: l.has("forced"), ReadSeq: uint64(l.value("read", 0)),
	}
	m.Index, m.LogTerm = s.place(l.text("at"))
	m.HintIndex, m.HintTerm = s.place(l.text("hint"))
	m.Commit = uint64(l.value("commit", 0))
	for i, a := range strings.Fields(strings.ReplaceAll(l.text("entries"), ",", " ")) {
		m.Entries = append(m.Entries, &messages.Entry{Index: m.Index + 1 + uint64(i), Term: l.number(a)})
	}
	s.handOver(m)
}

// place reads index/term.
func (s *scene) place(text string) (index, term uint64) {
	if text != "" {
		if _, err := fmt.Sscanf(text, "%d/%d", &index, &term); err != nil {
			s.t.Fatalf("%q is not index/term", text)
		}
	}
	return index, term
}
