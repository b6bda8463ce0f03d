package raft

import (
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/messages"
)

// deliver brings what is on the wire now to its receivers, in order; what they answer stays for the next time.
// Words choose: from= to= type=; n= takes only the first n of them; keep leaves a copy on the wire; reverse turns the
// order around.
func (s *scene) deliver(l line) {
	picked := s.pick(l, l.has("keep"))
	if l.has("reverse") {
		slices.Reverse(picked)
	}
	for _, m := range picked {
		s.deliverOne(m)
	}
}

func (s *scene) drop(l line) {
	for _, m := range s.pick(l, false) {
		if !l.has("quiet") {
			s.say("lost: %s", show(m))
		}
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

// deliverOne is the arrival of one message: a receiver that is down or cut off does not get it.
func (s *scene) deliverOne(msg *messages.RaftMessage) {
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

// stabilize delivers until nothing is on the wire. quiet tells where everybody is then, instead of all that happened.
func (s *scene) stabilize(l line) {
	s.settle()
	if l.has("quiet") {
		s.brief()
	}
}

func (s *scene) settle() {
	for rounds := 0; len(s.wire) > 0; rounds++ {
		if rounds == 100 {
			s.t.Fatal("the group never comes to rest")
		}
		now := s.wire
		s.wire = nil
		for _, m := range now {
			s.deliverOne(m)
		}
	}
}

// lead makes a replica leader, if the others let it, and lets one heartbeat tell everybody what is committed.
func (s *scene) lead(l line) {
	m := s.member(l.at(0))
	m.core.Campaign()
	s.carry(m)
	s.settle()
	for range m.cfg.HeartbeatTicks {
		m.tick()
	}
	s.carry(m)
	s.settle()
	s.brief()
}

// inject delivers a message that no core has sent: a late, a foreign or an impossible one. The answer is shown and goes
// no further.
func (s *scene) inject(l line) {
	kind := slices.Index(kindNames, l.words()[0])
	if kind < 0 {
		kind = 77 // of a version yet to come
	}
	m := &messages.RaftMessage{
		Kind: messages.RaftKind(kind), Group: 1, From: uint64(l.value("from", 0)), To: uint64(l.value("to", 0)),
		Term: uint64(l.value("term", 0)), Reject: l.has("reject"), Transfer: l.has("forced"), ReadSeq: uint64(l.value("read", 0)),
		LeaseAt: uint64(l.value("lease", 0)),
	}
	if to := s.member(m.To).core; l.has("member") {
		m.MemberSince = uint64(l.value("member", 0))
	} else if to != nil && to.follower(m.From) != nil {
		m.MemberSince = to.follower(m.From).MemberSince
	}
	m.Index, m.LogTerm = s.place(l.text("at"))
	m.HintIndex, m.HintTerm = s.place(l.text("hint"))
	m.Commit = uint64(l.value("commit", 0))
	for i, text := range l.texts("entries") {
		e := &messages.Entry{Index: m.Index + 1 + uint64(i)}
		if strings.Contains(text, "/") {
			e.Index, e.Term = s.place(text)
		} else {
			e.Term = l.number(text)
		}
		m.Entries = append(m.Entries, e)
	}
	before := len(s.wire)
	s.deliverOne(m)
	for i := len(s.wire) - 1; i >= before; i-- {
		if answer := s.wire[i]; answer.To == m.From && strings.HasSuffix(kindName(answer.Kind), "reply") {
			s.say("  %s", show(answer))
			s.wire = slices.Delete(s.wire, i, i+1)
		}
	}
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
