package shardkv

import (
	"container/list"
	"slices"

	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/persistence"
)

// session is what one asker did in one bucket: enough to answer a retry with the first answer.
type session struct {
	bucket  uint32
	id      uint64
	acked   uint64 // below: answered, forgotten
	newest  uint64 // no result is of a later seq
	usedMs  uint64 // log time of the last use
	used    uint64 // order of the last use: log index and place in the entry
	results []*messages.Reply
	dirty   bool
	place   *list.Element
}

// Bounds of the session table of a group. All times are log time.
const (
	MaxSessions = 1 << 16
	evictIdleMs = 60_000  // a full table forgets nobody sooner: twice as long as a session retries
	expireMs    = 600_000 // forgotten in any case
)

type sessions struct {
	all   map[sessionID]*session
	order *list.List // by last use, oldest first
	max   int
	dirty []*session
}

type sessionID struct {
	bucket uint32
	id     uint64
}

func newSessions() *sessions {
	return &sessions{all: map[sessionID]*session{}, order: list.New(), max: MaxSessions}
}

// answer is the answer a command had before: nil if it is new. A seq that was acknowledged is too old to be asked.
// A nil session has answered nothing.
func (s *session) answer(seq uint64) *messages.Reply {
	if s == nil {
		return nil
	}
	if seq < s.acked {
		return &messages.Reply{Code: messages.Code_INVALID, Text: "this request was answered already"}
	}
	i, found := s.find(seq)
	if !found {
		return nil
	}
	return s.results[i]
}

// find tells where the result of a seq is or belongs: mostly it is a new one.
func (s *session) find(seq uint64) (int, bool) {
	if seq > s.newest {
		return len(s.results), false
	}
	return slices.BinarySearchFunc(s.results, seq, bySeq)
}

func bySeq(r *messages.Reply, seq uint64) int {
	switch {
	case r.Seq < seq:
		return -1
	case r.Seq > seq:
		return 1
	}
	return 0
}

// admit forgets who is idle, and tells whether there is room for a session: known, or nil if it has no record in the
// bucket. False: the table is full of busy sessions.
func (t *sessions) admit(tx persistence.Tx, known *session, nowMs uint64) bool {
	for e := t.order.Front(); e != nil; e = t.order.Front() {
		s := e.Value.(*session)
		idle := nowMs - min(nowMs, s.usedMs)
		if idle < expireMs && (len(t.all) < t.max || idle < evictIdleMs) {
			break
		}
		t.forget(tx, s)
	}
	return known != nil && known.place != nil || len(t.all) < t.max
}

func (t *sessions) forget(tx persistence.Tx, s *session) {
	delete(t.all, sessionID{s.bucket, s.id})
	t.order.Remove(s.place)
	s.place = nil
	tx.Delete(sessionKey(s.bucket, s.id))
}

// record keeps the answer of a command of a session that was admitted. Its record is written once, at the end of the
// turn.
func (t *sessions) record(s *session, bucket uint32, c *messages.Command, r *messages.Reply, nowMs, used uint64) {
	if s == nil || s.place == nil {
		s = &session{bucket: bucket, id: c.Session}
		t.insert(s)
	}
	t.order.MoveToBack(s.place)
	s.usedMs, s.used = nowMs, used
	if c.Acked > s.acked {
		s.acked = c.Acked
		i, _ := s.find(s.acked)
		s.results = slices.Delete(s.results, 0, i)
	}
	i, _ := s.find(c.Seq)
	s.results = slices.Insert(s.results, i, r)
	s.newest = max(s.newest, c.Seq)
	t.mark(s)
}

// insert takes a record in, in the place of an older one.
func (t *sessions) insert(s *session) {
	key := sessionID{s.bucket, s.id}
	if old := t.all[key]; old != nil {
		t.order.Remove(old.place)
		old.place = nil
	}
	t.all[key] = s
	s.place = t.order.PushBack(s)
}

func (t *sessions) mark(s *session) {
	if !s.dirty {
		s.dirty = true
		t.dirty = append(t.dirty, s)
	}
}

// flush writes the records that changed in this turn.
func (t *sessions) flush(tx persistence.Tx) error {
	for _, s := range t.dirty {
		s.dirty = false
		if s.place == nil {
			continue // forgotten meanwhile
		}
		body, err := encodeSession(s)
		if err != nil {
			return err
		}
		tx.Put(sessionKey(s.bucket, s.id), body)
	}
	t.dirty = t.dirty[:0]
	return nil
}

// drop forgets all sessions of a bucket; their records go with the bucket's range.
func (t *sessions) drop(bucket uint32) {
	for key, s := range t.all {
		if key.bucket == bucket {
			delete(t.all, key)
			t.order.Remove(s.place)
			s.place = nil
		}
	}
}
