package raft

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

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
			for _, l := range commandsOf(t, d) {
				s.mark = len(s.out)
				s.command(l)
				s.check()
			}
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

// bodied are the commands that need the lines below them for themselves.
var bodied = []string{"drain", "elections", "acks"}

// commandsOf is the commands of one step: a line each.
func commandsOf(t *testing.T, d *datadriven.TestData) []line {
	all := []line{{t, d}}
	if slices.Contains(bodied, d.Cmd) || d.Input == "" {
		return all
	}
	for _, text := range strings.Split(d.Input, "\n") {
		cmd, args, err := datadriven.ParseLine(text)
		if err != nil {
			d.Fatalf(t, "%v", err)
		}
		all = append(all, line{t, &datadriven.TestData{Pos: d.Pos, Cmd: cmd, CmdArgs: args}})
	}
	return all
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

func (l line) texts(key string) []string {
	for _, a := range l.d.CmdArgs {
		if a.Key == key {
			return a.Vals
		}
	}
	return nil
}

func (l line) text(key string) string {
	if all := l.texts(key); len(all) > 0 {
		return all[0]
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
	"log":           (*scene).preload,
	"timeout":       func(_ *scene, l line, m *member) { m.jitter.ticks = int(l.at(1)) - m.cfg.ElectionTicks; m.retime() },
	"campaign":      func(_ *scene, _ line, m *member) { m.core.Campaign() },
	"tick":          (*scene).tick,
	"stopped":       func(_ *scene, l line, m *member) { m.pass(Nanos(l.at(1))) },
	"slow-disk":     func(_ *scene, _ line, m *member) { m.slowDisk = true },
	"persist":       (*scene).persist,
	"slow-apply":    func(_ *scene, _ line, m *member) { m.slowApply = true },
	"apply":         (*scene).apply,
	"propose":       (*scene).propose,
	"read":          func(s *scene, l line, m *member) { s.refused(m.core.ReadIndex(l.at(1))) },
	"transfer":      func(s *scene, l line, m *member) { s.refused(m.core.Transfer(uint64(l.value("to", 0)))) },
	"add-learner":   func(s *scene, l line, m *member) { s.change(l, m, messages.ConfChange_ADD_LEARNER) },
	"promote":       func(s *scene, l line, m *member) { s.change(l, m, messages.ConfChange_PROMOTE) },
	"remove":        func(s *scene, l line, m *member) { s.change(l, m, messages.ConfChange_REMOVE) },
	"demote":        func(s *scene, l line, m *member) { s.change(l, m, messages.ConfChange_DEMOTE) },
	"propose-force": func(s *scene, l line, m *member) { s.change(l, m, messages.ConfChange_FORCE) },
	"joint":         (*scene).joint,
	"compact":       (*scene).compact,
	"release":       func(_ *scene, _ line, m *member) { m.core.ReleaseDisk() },
	"snapshot":      (*scene).snapshot,
	"stall":         func(_ *scene, l line, m *member) { m.core.Stalled(!l.has("over")) },
	"lost":          func(_ *scene, l line, m *member) { m.core.NodeSuspected(l.at(1)) },
	"unreachable":   func(_ *scene, l line, m *member) { m.core.Unreachable(l.at(1)) },
	"crash":         (*scene).crash,
	"applied":       func(_ *scene, l line, m *member) { m.core.Applied(l.at(1)) },
	"lose-log":      func(_ *scene, _ line, m *member) { m.disk.entries = nil },
	"propose-leave": func(s *scene, l line, m *member) { s.change(l, m, messages.ConfChange_LEAVE) },
	"empty":         (*scene).empty,
	"restart":       (*scene).restart,
	"force":         (*scene).force,
	"drain":         (*scene).drain,
}

// worldly are the commands that are about no single replica.
var worldly = map[string]func(s *scene, l line){
	"nodes":     (*scene).nodes,
	"deliver":   (*scene).deliver,
	"drop":      (*scene).drop,
	"stabilize": (*scene).stabilize,
	"lead":      (*scene).lead,
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
	if m.core == nil && !slices.Contains([]string{"restart", "force", "lose-log"}, l.d.Cmd) {
		l.d.Fatalf(s.t, "%d is down", m.id)
	}
	run(s, l, m)
	s.carry(m)
}

// scene is a group of cores and everything around them.
type scene struct {
	t       *testing.T
	out     []string
	mark    int // where the current command's part of out begins
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
func (s *scene) nodes(l line) {
	s.found(int(l.at(0)), l.value("learners", 0), l.value("spares", 0), Config{
		Group: 1, ElectionTicks: l.value("election", 10), HeartbeatTicks: l.value("heartbeat", 2),
		MaxAppendBytes: l.value("append-bytes", 1000), MaxInflightMessages: l.value("inflight", 8),
		MaxInflightBytes: l.value("inflight-bytes", 10000), MaxUncommittedBytes: l.value("uncommitted", 10000),
		MaxApplyBytes: l.value("apply-bytes", 10000), MaxLogBytes: l.value("log-bytes", 100_000), QuiesceTicks: l.value("rest", 0),
		LeaseGrant: Nanos(l.value("promise", 0)), Lease: Nanos(l.value("lease", 0)),
	})
}

// found starts all members. Replica n times out after election+n-1 ticks: no two at the same time, unless the script
// wants it. With spares the group is born as groups really are: entry 1/1 is a state that knows the first members, so
// that a newcomer cannot get the log without them.
func (s *scene) found(voters, learners, spares int, cfg Config) {
	*s = scene{t: s.t, out: s.out, mark: s.mark, leaders: map[uint64]uint64{}, applied: map[uint64]string{}}
	conf := new(messages.ConfState)
	for id := 1; id <= voters+learners; id++ {
		if id <= voters {
			conf.Voters = append(conf.Voters, uint64(id))
		} else {
			conf.Learners = append(conf.Learners, uint64(id))
		}
	}
	birth, hard := &messages.SnapshotMeta{Conf: conf}, &messages.HardState{}
	if spares > 0 {
		birth.Index, birth.Term, hard.Term, hard.Commit = 1, 1, 1, 1
	}
	for id := 1; id <= voters+learners+spares; id++ {
		m := &member{id: uint64(id), disk: disk{hard: hard, start: birth}}
		if id > voters+learners {
			m.disk = disk{hard: &messages.HardState{}, start: &messages.SnapshotMeta{Conf: &messages.ConfState{}}}
		}
		m.data, m.base = m.disk.start, m.disk.start
		m.jitter = &steady{id - 1, cfg.ElectionTicks}
		m.cfg = cfg
		m.cfg.ID, m.cfg.Rand = m.id, rand.New(m.jitter)
		s.members = append(s.members, m)
		s.boot(m)
	}
}

// empty retires a replica and brings it back with nothing but what it must not forget.
func (s *scene) empty(l line, m *member) {
	if m.core.MemberAfter(uint64(l.value("at", 0))) {
		s.say("%d: has heard that it is a member", m.id)
		return
	}
	m.disk = disk{hard: m.core.HardStateOnRemoval(uint64(l.value("at", 0))), start: &messages.SnapshotMeta{Conf: &messages.ConfState{}}}
	m.data, m.base = m.disk.start, m.disk.start
	s.boot(m)
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
