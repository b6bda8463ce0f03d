package raft

import (
	"fmt"
	"strings"

	"github.com/eraft-io/eraft/messages"
)

// rows reads a table: a number of voters, a colon, and a word for each of them.
func (s *scene) rows(l line, each func(text string, words []string)) {
	for _, text := range strings.Split(l.d.Input, "\n") {
		words := strings.Fields(text[strings.Index(text, ":")+1:])
		s.found(len(words), 0, 0, Config{
			Group: 1, ElectionTicks: 10, HeartbeatTicks: 2, MaxAppendBytes: 1000, MaxInflightMessages: 8,
			MaxInflightBytes: 10000, MaxUncommittedBytes: 10000, MaxApplyBytes: 10000, MaxLogBytes: 100_000,
		})
		each(text, words)
	}
	s.members, s.wire = nil, nil
}

// elections plays one election per row, of replica 1: what the others answer is yes, no, or nothing (-).
func (s *scene) elections(l line) {
	var results []string
	s.rows(l, func(text string, words []string) {
		m := s.stand()
		for i, word := range words[1:] {
			if word != "-" {
				s.deliverOne(reply(messages.RaftKind_VOTE_REPLY, uint64(i)+2, word == "no"))
			}
		}
		results = append(results, fmt.Sprintf("%s -> %s", text, m.core.role))
	})
	s.out = results
}

// stand makes replica 1 a candidate of term 1 whose own vote is durable.
func (s *scene) stand() *member {
	m := s.member(1)
	m.core.Campaign()
	s.carry(m)
	for _, other := range s.members[1:] {
		if m.core.role == PreCandidate {
			s.deliverOne(reply(messages.RaftKind_PRE_VOTE_REPLY, other.id, false))
		}
	}
	return m
}

func reply(kind messages.RaftKind, from uint64, reject bool) *messages.RaftMessage {
	return &messages.RaftMessage{Kind: kind, Group: 1, From: from, To: 1, Term: 1, Reject: reject}
}

// acks lets replica 1 lead and propose once per row; the first word is its own disk, the others are the followers':
// has (the entry is durable there) or nothing (-).
func (s *scene) acks(l line) {
	var results []string
	s.rows(l, func(text string, words []string) {
		m := s.stand()
		for _, other := range s.members[1:] {
			if m.core.role == Candidate {
				s.deliverOne(reply(messages.RaftKind_VOTE_REPLY, other.id, false))
			}
		}
		for _, other := range s.members[1:] { // the leader's first entry reaches everybody
			ack := reply(messages.RaftKind_APPEND_REPLY, other.id, false)
			ack.Index = 1
			s.deliverOne(ack)
		}
		m.slowDisk = true
		_, _, err := m.core.Propose(messages.Block("x"), 0)
		s.refused(err)
		s.carry(m)
		if words[0] == "has" {
			s.synced(m, len(m.todo))
		}
		for i, word := range words[1:] {
			if word == "has" {
				ack := reply(messages.RaftKind_APPEND_REPLY, uint64(i)+2, false)
				ack.Index = 2
				s.deliverOne(ack)
			}
		}
		verdict := "waits"
		if m.core.commit == 2 {
			verdict = "committed"
		}
		results = append(results, fmt.Sprintf("%s -> %s", text, verdict))
	})
	s.out = results
}
