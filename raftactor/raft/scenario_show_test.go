package raft

import (
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/messages"
)

var kindNames = []string{
	"append", "append-reply", "heartbeat", "heartbeat-reply", "pre-vote", "pre-vote-reply", "vote", "vote-reply", "timeout-now",
	"read-index", "read-index-reply",
}

func kindName(kind messages.RaftKind) string {
	if int(kind) < len(kindNames) {
		return kindNames[kind]
	}
	return "unknown"
}

// show is a message as a line: entries and places in the log are index/term.
func show(m *messages.RaftMessage) string {
	head := fmt.Sprintf("%d->%d %s term %d", m.From, m.To, kindName(m.Kind), m.Term)
	switch m.Kind {
	case messages.RaftKind_APPEND:
		return fmt.Sprintf("%s: after %d/%d %s, commit %d", head, m.Index, m.LogTerm, showEntries(m.Entries), m.Commit)
	case messages.RaftKind_APPEND_REPLY:
		if m.Reject && m.Index == 0 {
			return head + ": no, the term is over"
		}
		if m.Reject {
			return fmt.Sprintf("%s: no %d, try %d/%d", head, m.Index, m.HintIndex, m.HintTerm)
		}
		return fmt.Sprintf("%s: has %d", head, m.Index)
	case messages.RaftKind_HEARTBEAT:
		text := fmt.Sprintf("%s: commit %d%s", head, m.Commit, ifNot(m.ReadSeq, ", read round %d"))
		text += ifNot(m.LeaseAt, ", lease from %d")
		if m.Quiesce {
			text += ", rest"
		}
		return text
	case messages.RaftKind_HEARTBEAT_REPLY:
		return head + ifNot(m.ReadSeq, ": read round %d") + ifNot(m.LeaseAt, ": lease from %d")
	case messages.RaftKind_READ_INDEX:
		return fmt.Sprintf("%s: read %d", head, m.ReadSeq)
	case messages.RaftKind_READ_INDEX_REPLY:
		return fmt.Sprintf("%s: read %d at %d", head, m.ReadSeq, m.Index)
	case messages.RaftKind_PRE_VOTE, messages.RaftKind_VOTE:
		text := fmt.Sprintf("%s: log to %d/%d%s", head, m.Index, m.LogTerm, ifNot(m.Commit, ", commit %d"))
		if m.Transfer {
			text += ", by order of the leader"
		}
		return text
	case messages.RaftKind_PRE_VOTE_REPLY, messages.RaftKind_VOTE_REPLY:
		answer := "yes"
		if m.Reject {
			answer = "no"
		}
		return fmt.Sprintf("%s: %s%s", head, answer, ifNot(m.Commit, ", commit %d"))
	}
	return head
}

// ifNot formats a number unless it is 0.
func ifNot(n uint64, format string) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(format, n)
}

func showEntry(e *messages.Entry) string {
	text := fmt.Sprintf("%d/%d", e.Index, e.Term)
	if e.Kind == messages.EntryKind_CONF_CHANGE {
		change := new(messages.ConfChange)
		if proto.Unmarshal(e.Data, change) != nil {
			return text + "=?"
		}
		return text + "=" + showChange(change)
	}
	if len(e.Data) > 0 {
		text += "=" + string(e.Data)
	}
	return text
}

func showChange(change *messages.ConfChange) string {
	name := strings.ToLower(strings.ReplaceAll(change.Kind.String(), "_", "-"))
	switch change.Kind {
	case messages.ConfChange_LEAVE:
		return name
	case messages.ConfChange_JOINT:
		var parts []string
		for _, part := range change.Changes {
			parts = append(parts, showChange(part))
		}
		return name + "{" + strings.Join(parts, " ") + "}"
	}
	return fmt.Sprintf("%s(%d)", name, change.Node)
}

func showEntries(entries []*messages.Entry) string {
	if len(entries) == 0 {
		return "nothing"
	}
	var texts []string
	for _, e := range entries {
		texts = append(texts, showEntry(e))
	}
	return strings.Join(texts, " ")
}

func showLog(c *Core) string {
	if c.log.start.Index > 0 {
		return fmt.Sprintf("[..%d/%d] %s", c.log.start.Index, c.log.start.Term, showEntries(c.log.entries))
	}
	return showEntries(c.log.entries)
}

func showConf(conf *messages.ConfState) string {
	text := fmt.Sprintf("voters %v", conf.GetVoters())
	if len(conf.GetLearners()) > 0 {
		text += fmt.Sprintf(" learners %v", conf.GetLearners())
	}
	if joint(conf) {
		text += fmt.Sprintf(" and voters %v", conf.Outgoing)
	}
	if len(conf.GetLearnersNext()) > 0 {
		text += fmt.Sprintf(", learners to be %v", conf.LearnersNext)
	}
	return text
}

func showWrite(p *Persist) string {
	parts := []string{}
	if p.HardState != nil {
		parts = append(parts, fmt.Sprintf("term %d vote %d commit %d", p.HardState.Term, p.HardState.Vote, p.HardState.Commit))
	}
	if p.Snapshot != nil {
		parts = append(parts, fmt.Sprintf("snapshot %d/%d", p.Snapshot.Index, p.Snapshot.Term))
	}
	if p.Truncate != 0 {
		parts = append(parts, fmt.Sprintf("cut from %d", p.Truncate))
	}
	if len(p.Entries) > 0 {
		parts = append(parts, showEntries(p.Entries))
	}
	if p.Compact != nil {
		parts = append(parts, fmt.Sprintf("log starts after %d", p.Compact.Index))
		if p.Keep <= p.Compact.Index {
			parts = append(parts, fmt.Sprintf("but keeps from %d on", p.Keep))
		}
	}
	text := fmt.Sprintf("#%d (%s)", p.Seq, strings.Join(parts, ", "))
	if len(p.After) > 0 {
		text += " and holds back " + showSent(p.After)
	}
	return text
}

// showSent names messages by kind and receivers.
func showSent(all []*messages.RaftMessage) string {
	var kinds []string
	to := map[string]string{}
	for _, m := range all {
		name := kindName(m.Kind)
		if !slices.Contains(kinds, name) {
			kinds = append(kinds, name)
		}
		to[name] += fmt.Sprintf(" %d", m.To)
	}
	for i, name := range kinds {
		kinds[i] = name + " to" + to[name]
	}
	return strings.Join(kinds, ", ")
}

// tell says in one line what changed at a replica since it was last told.
func (s *scene) tell(m *member) {
	if m.core == nil {
		s.say("%d: down", m.id)
		return
	}
	now := m.view()
	parts := changes(m.seen, now)
	parts = append(parts, m.notes...)
	if len(m.sent) > 0 {
		parts = append(parts, "sends "+showSent(m.sent))
	}
	m.seen, m.notes, m.sent = now, nil, nil
	if len(parts) > 0 {
		s.say("%d: %s", m.id, strings.Join(parts, "; "))
	}
}

func changes(was, now view) (parts []string) {
	add := func(changed bool, format string, args ...any) {
		if changed {
			parts = append(parts, fmt.Sprintf(format, args...))
		}
	}
	add(was.role != now.role, "becomes %s", now.role)
	add(was.term != now.term, "term %d", now.term)
	add((was.vote != now.vote || was.term != now.term) && now.vote != 0, "votes for %d", now.vote)
	add(was.lead != now.lead && now.lead == 0 && was.role != Leader, "knows no leader")
	add(was.lead != now.lead && now.lead != 0 && now.role != Leader, "follows %d", now.lead)
	add(was.start != now.start, "log starts after %d", now.start)
	if was.start == now.start {
		same := 0
		for same < min(len(was.log), len(now.log)) && was.log[same].Term == now.log[same].Term {
			same++
		}
		add(same < len(was.log), "cuts its log from %d", now.start+uint64(same)+1)
		add(same < len(now.log), "logs %s", showEntries(now.log[same:]))
	}
	add(was.commit != now.commit, "commit %d", now.commit)
	add(was.conf != now.conf, "%s", now.conf)
	add(now.quiet && !was.quiet, "rests")
	add(was.quiet && !now.quiet, "wakes up")
	return parts
}

func (s *scene) showWire() {
	for _, m := range s.wire {
		s.say("%s", show(m))
	}
}

// brief replaces the trace of this command by a line for each replica.
func (s *scene) brief() {
	s.out = s.out[:s.mark]
	for _, m := range s.members {
		if m.core == nil {
			s.say("%d down", m.id)
			continue
		}
		c := m.core
		s.say("%d %s, term %d, log to %d/%d, commit %d", m.id, c.role, c.term, c.log.last(), c.log.lastTerm(), c.commit)
	}
}

// status shows the named replicas, or all: what a reader would draw on a board.
func (s *scene) status(l line) {
	for _, m := range s.members {
		if ids := l.numbers(); len(ids) > 0 && !slices.Contains(ids, m.id) {
			continue
		}
		if m.core == nil {
			s.say("%d down", m.id)
			continue
		}
		st := m.core.Status()
		s.say("%d %s, term %d vote %d leader %d, log %s", st.ID, st.Role, st.Term, m.core.vote, st.Leader, showLog(m.core))
		s.say("  durable %d commit %d applied %d, %s", st.Durable, st.Commit, st.Applied, showConf(st.Conf))
		if st.Lease > 0 {
			s.say("  lease for %d ticks", st.Lease)
		}
		for _, f := range st.Followers {
			forgetful := ""
			if f.Recovering {
				forgetful = ", does not vote yet"
			}
			s.say("  %d: %s, match %d next %d, %d on the way%s", f.ID, f.State, f.Match, f.Next, f.Inflight, forgetful)
		}
	}
}
