package shardkv

import (
	"cmp"
	"container/list"
	"fmt"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/persistence"
)

// Bounds of the session table of a group. They decide what is applied, so they are the same on all replicas and no option.
// All times are log time.
const (
	MaxTableBytes   = 64 << 20 // of all sessions of a group; above: OVERLOADED before applying
	MaxSessionBytes = 16 << 20 // of one session in a group; above: OVERLOADED before applying
	MaxKeptReply    = 16 << 10 // a larger reply is not kept for a retry, which hears REPLY_DISCARDED
	sessionBytes    = 256      // what a session takes beside its answers
	answerBytes     = 128      // what an answer takes beside its encoded reply
	undatedEntries  = 1 << 18  // entries after which a session is forgotten that does not say until when its commands may be applied
	evictAtOnce     = 16       // sessions that one command may evict
)

// session is what one session did in the buckets of a group: enough to answer a retry with the first answer.
type session struct {
	id      uint64
	acked   uint64    // requests below have been answered, in whatever bucket: their replies are dropped
	usedMs  uint64    // log time of the last command that did not say until when it may be applied: undated; 0: all did
	untilMs uint64    // log time until which a command may be applied that is known here: no copy of one is later
	used    uint64    // order of the last use: log index and place in the entry
	answers []*answer // not acknowledged, by seq and bucket
	bytes   int       // that the session and its answers take
	dirty   bool
	place   *list.Element // nil: forgotten
}

// answer is the reply to one command, kept for a retry.
type answer struct {
	session, seq uint64
	bucket       uint32
	reply        *messages.Reply // until it is encoded: most are dropped before
	encoded      []byte
	bytes        int // that it takes
	stored       bool
	dropped      bool
}

func newAnswer(bucket uint32, reply *messages.Reply) *answer {
	reply, size := keptReply(reply)
	return &answer{session: reply.Session, seq: reply.Seq, bucket: bucket, reply: reply, bytes: answerBytes + size}
}

func (a *answer) encode() ([]byte, error) {
	if a.encoded == nil {
		encoded, err := proto.MarshalOptions{Deterministic: true}.Marshal(a.reply)
		if err != nil {
			return nil, fmt.Errorf("encode an answer: %w", err)
		}
		a.reply, a.encoded = nil, encoded
	}
	return a.encoded, nil
}

func (a *answer) decode() (*messages.Reply, error) {
	if a.reply != nil {
		return a.reply, nil
	}
	r := new(messages.Reply)
	if err := proto.Unmarshal(a.encoded, r); err != nil {
		return nil, fmt.Errorf("answer %d of session %x: %w", a.seq, a.session, errDamaged)
	}
	return r, nil
}

// sessions is the session table of a group. What changes is written at the end of a turn: an answer that is acknowledged
// before is never written.
type sessions struct {
	all     map[uint64]*session
	dated   *list.List // sessions by last use, oldest first
	undated *list.List // the same of those that had an undated command: they must not keep others from being forgotten
	bytes   int
	dirty   []*session
	fresh   []*answer // not written
	gone    [][]byte  // keys of records to delete

	tidyAt int // length of fresh at which dropped answers leave it
}

const tidyFresh = 1 << 10

func newSessions() *sessions {
	return &sessions{all: map[uint64]*session{}, dated: list.New(), undated: list.New()}
}

func (t *sessions) listOf(s *session) *list.List {
	if s.usedMs != 0 {
		return t.undated
	}
	return t.dated
}

// answer is the answer a command had before: nil if it is new. A seq that was acknowledged is too old to be asked.
// A nil session has answered nothing.
func (s *session) answer(bucket uint32, seq uint64) (*messages.Reply, error) {
	if s == nil {
		return nil, nil
	}
	if seq < s.acked {
		return &messages.Reply{Code: messages.Code_REPLY_DISCARDED, Text: "this request was answered, and the answer acknowledged"}, nil
	}
	i, found := s.find(bucket, seq)
	if !found {
		return nil, nil
	}
	return s.answers[i].decode()
}

// find tells where the answer to a command is or belongs: mostly it is a new one.
func (s *session) find(bucket uint32, seq uint64) (int, bool) {
	if n := len(s.answers); n == 0 || s.answers[n-1].seq < seq {
		return n, false
	}
	return slices.BinarySearchFunc(s.answers, seq, func(a *answer, seq uint64) int {
		return cmp.Or(cmp.Compare(a.seq, seq), cmp.Compare(a.bucket, bucket))
	})
}

// keptReply is what is kept of a reply for a retry, and its size: of one that is too large only what happened.
func keptReply(r *messages.Reply) (*messages.Reply, int) {
	size := proto.Size(r)
	if size <= MaxKeptReply {
		return r, size
	}
	what := "the command was carried out"
	if r.Code != messages.Code_OK {
		what = fmt.Sprintf("the command was answered with %v and changed nothing", r.Code)
	}
	kept := &messages.Reply{
		Session: r.Session, Seq: r.Seq, Code: messages.Code_REPLY_DISCARDED, Found: r.Found, Version: r.Version, Number: r.Number,
		Text: fmt.Sprintf("%s; its answer of %d bytes was not kept for a retry: read what is there", what, size),
	}
	return kept, proto.Size(kept)
}

// admit forgets who is idle, and tells whether there is room for an answer of a session, which is nil if it is not known.
// The command has that log time and stands in the entry of that index.
func (t *sessions) admit(known *session, nowMs, index uint64) *messages.Error {
	for _, list := range []*list.List{t.dated, t.undated} {
		for range evictAtOnce {
			e := list.Front()
			if e == nil || !e.Value.(*session).over(nowMs, index) {
				break
			}
			t.forget(e.Value.(*session))
		}
	}
	switch {
	case t.bytes >= MaxTableBytes:
		return messages.Errorf(messages.Code_OVERLOADED, "the group keeps %d bytes of sessions and their answers, %d are allowed", t.bytes, MaxTableBytes)
	case known != nil && known.bytes >= MaxSessionBytes:
		return messages.Errorf(messages.Code_OVERLOADED,
			"the group keeps %d bytes of answers that this session has not acknowledged, %d are allowed: an older request of it is still waiting", known.bytes, MaxSessionBytes)
	}
	return nil
}

// over tells whether a session may be forgotten: no copy of a command that it has had applied can be applied any more. Of
// undated commands none is expected any more: a session asks again for 30 s, and no group writes so many entries in that time.
// Log time does not tell it, since it jumps with the clocks.
func (s *session) over(nowMs, index uint64) bool {
	return nowMs > s.untilMs && (s.usedMs == 0 || index > s.used>>orderShift+undatedEntries)
}

func (t *sessions) forget(s *session) {
	t.drop(s, len(s.answers))
	delete(t.all, s.id)
	t.listOf(s).Remove(s.place)
	s.place = nil
	t.bytes -= s.bytes
	t.gone = append(t.gone, sessionKey(s.id))
}

// use gives the session with an id, as used now by a command that may be applied until a time, 0: for ever. It is new if there
// is none.
func (t *sessions) use(id, nowMs, untilMs, used uint64) *session {
	s := t.all[id]
	if s == nil {
		s = &session{id: id}
		t.insert(s)
	}
	t.listOf(s).Remove(s.place)
	if s.used = used; untilMs == 0 {
		s.usedMs = nowMs
	}
	s.place = t.listOf(s).PushBack(s)
	s.untilMs = max(s.untilMs, untilMs)
	t.mark(s)
	return s
}

func (t *sessions) mark(s *session) {
	if !s.dirty {
		s.dirty = true
		t.dirty = append(t.dirty, s)
	}
}

func (t *sessions) insert(s *session) {
	t.all[s.id] = s
	s.place = t.listOf(s).PushBack(s)
	s.bytes += sessionBytes
	t.bytes += sessionBytes
}

// acknowledge drops what is below a seq.
func (t *sessions) acknowledge(s *session, acked uint64) {
	if s == nil || acked <= s.acked {
		return
	}
	s.acked = acked
	t.mark(s)
	many := 0
	for many < len(s.answers) && s.answers[many].seq < acked {
		many++
	}
	t.drop(s, many)
}

// drop forgets the first answers of a session.
func (t *sessions) drop(s *session, many int) {
	for i, a := range s.answers[:many] {
		t.discard(s, a)
		if a.stored {
			t.gone = append(t.gone, answerKey(a))
		}
		s.answers[i] = nil
	}
	s.answers = s.answers[many:]
}

func (t *sessions) discard(s *session, a *answer) {
	a.dropped = true
	s.bytes -= a.bytes
	t.bytes -= a.bytes
}

// keep adds an answer to a session that has none to this command.
func (t *sessions) keep(s *session, a *answer) {
	i, known := s.find(a.bucket, a.seq)
	if known || a.seq < s.acked {
		return
	}
	s.answers = slices.Insert(s.answers, i, a)
	s.bytes += a.bytes
	t.bytes += a.bytes
	if a.stored {
		return
	}
	if len(t.fresh) >= t.tidyAt {
		t.fresh = slices.DeleteFunc(t.fresh, func(a *answer) bool { return a.dropped })
		t.tidyAt = max(tidyFresh, 2*len(t.fresh))
	}
	t.fresh = append(t.fresh, a)
}

// flush writes what changed in this turn.
func (t *sessions) flush(tx persistence.Tx) error {
	for _, key := range t.gone {
		tx.Delete(key)
	}
	for _, s := range t.dirty {
		s.dirty = false
		if s.place != nil {
			tx.Put(sessionKey(s.id), encodeSession(s))
		}
	}
	for _, a := range t.fresh {
		if a.dropped {
			continue
		}
		encoded, err := a.encode()
		if err != nil {
			return err
		}
		a.stored = true
		tx.Put(answerKey(a), encoded)
	}
	clear(t.fresh)
	t.gone, t.dirty, t.fresh = nil, t.dirty[:0], t.fresh[:0]
	return nil
}

// clear forgets the answers of a bucket; their records go with the bucket's range.
func (t *sessions) clear(bucket uint32) {
	for _, s := range t.all {
		s.answers = slices.DeleteFunc(s.answers, func(a *answer) bool {
			if a.bucket != bucket {
				return false
			}
			t.discard(s, a)
			return true
		})
	}
}
