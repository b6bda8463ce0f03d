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
	MaxTableBytes      = 64 << 20 // of all sessions of a group; above: OVERLOADED before applying
	MaxSessionBytes    = 16 << 20 // of one session in a group; above: OVERLOADED before applying
	MaxSavedReply      = 16 << 10 // a larger reply is not kept for a retry, which hears REPLY_DISCARDED
	sessionOverhead    = 256      // what a session takes beside its answers
	savedReplyOverhead = 128      // what an answer takes beside its encoded reply
	noDeadlineEntries  = 1 << 18  // entries after which a session is forgotten that does not say until when its commands may be applied
	maxEvictions       = 16       // sessions that one command may evict
)

// session is what one session did in the buckets of a group: enough to answer a retry with the first answer.
type session struct {
	id              uint64
	acked           uint64        // requests below have been answered, in whatever bucket: their replies are dropped
	noDeadlineUseMs uint64        // log time of the last command that did not say until when it may be applied: undated; 0: all did
	deadlineMs      uint64        // log time until which a command may be applied that is known here: no copy of one is later
	lastUse         uint64        // order of the last use: log index and place in the entry
	replies         []*savedReply // not acknowledged, by seq and bucket
	bytes           int           // that the session and its answers take
	dirty           bool
	element         *list.Element // nil: forgotten
}

// answer is the reply to one command, kept for a retry.
type savedReply struct {
	session, seq uint64
	bucket       uint32
	reply        *messages.Reply // until it is encoded: most are dropped before
	encoded      []byte
	bytes        int // that it takes
	stored       bool
	dropped      bool
}

func newSavedReply(bucket uint32, reply *messages.Reply) *savedReply {
	reply, size := trimReply(reply)
	return &savedReply{session: reply.Session, seq: reply.Seq, bucket: bucket, reply: reply, bytes: savedReplyOverhead + size}
}

func (a *savedReply) encode() ([]byte, error) {
	if a.encoded == nil {
		encoded, err := proto.MarshalOptions{Deterministic: true}.Marshal(a.reply)
		if err != nil {
			return nil, fmt.Errorf("encode an answer: %w", err)
		}
		a.reply, a.encoded = nil, encoded
	}
	return a.encoded, nil
}

func (a *savedReply) decode() (*messages.Reply, error) {
	if a.reply != nil {
		return a.reply, nil
	}
	r := new(messages.Reply)
	if err := proto.Unmarshal(a.encoded, r); err != nil {
		return nil, fmt.Errorf("answer %d of session %x: %w", a.seq, a.session, errCorrupt)
	}
	return r, nil
}

// sessions is the session table of a group. What changes is written at the end of a turn: an answer that is acknowledged
// before is never written.
type sessionTable struct {
	all             map[uint64]*session
	withDeadline    *list.List // sessions by last use, oldest first
	withoutDeadline *list.List // the same of those that had an undated command: they must not keep others from being forgotten
	bytes           int
	dirty           []*session
	unwritten       []*savedReply // not written
	deletions       [][]byte      // keys of records to delete

	compactAt int // length of fresh at which dropped answers leave it
}

const minCompactLength = 1 << 10

func newSessions() *sessionTable {
	return &sessionTable{all: map[uint64]*session{}, withDeadline: list.New(), withoutDeadline: list.New()}
}

func (t *sessionTable) listOf(s *session) *list.List {
	if s.noDeadlineUseMs != 0 {
		return t.withoutDeadline
	}
	return t.withDeadline
}

// answer is the answer a command had before: nil if it is new. A seq that was acknowledged is too old to be asked.
// A nil session has answered nothing.
func (s *session) replyTo(bucket uint32, seq uint64) (*messages.Reply, error) {
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
	return s.replies[i].decode()
}

// find tells where the answer to a command is or belongs: mostly it is a new one.
func (s *session) find(bucket uint32, seq uint64) (int, bool) {
	if n := len(s.replies); n == 0 || s.replies[n-1].seq < seq {
		return n, false
	}
	return slices.BinarySearchFunc(s.replies, seq, func(a *savedReply, seq uint64) int {
		return cmp.Or(cmp.Compare(a.seq, seq), cmp.Compare(a.bucket, bucket))
	})
}

// trimReply is what is kept of a reply for a retry, and its size: of one that is too large only what happened.
func trimReply(r *messages.Reply) (*messages.Reply, int) {
	size := proto.Size(r)
	if size <= MaxSavedReply {
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
func (t *sessionTable) admit(known *session, nowMs, index uint64) *messages.Error {
	for _, list := range []*list.List{t.withDeadline, t.withoutDeadline} {
		for range maxEvictions {
			e := list.Front()
			if e == nil || !e.Value.(*session).expired(nowMs, index) {
				break
			}
			t.evict(e.Value.(*session))
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
func (s *session) expired(nowMs, index uint64) bool {
	return nowMs > s.deadlineMs && (s.noDeadlineUseMs == 0 || index > s.lastUse>>orderShift+noDeadlineEntries)
}

func (t *sessionTable) evict(s *session) {
	t.dropFirst(s, len(s.replies))
	delete(t.all, s.id)
	t.listOf(s).Remove(s.element)
	s.element = nil
	t.bytes -= s.bytes
	t.deletions = append(t.deletions, sessionKey(s.id))
}

// use gives the session with an id, as used now by a command that may be applied until a time, 0: for ever. It is new if there
// is none.
func (t *sessionTable) touch(id, nowMs, untilMs, used uint64) *session {
	s := t.all[id]
	if s == nil {
		s = &session{id: id}
		t.insert(s)
	}
	t.listOf(s).Remove(s.element)
	if s.lastUse = used; untilMs == 0 {
		s.noDeadlineUseMs = nowMs
	}
	s.element = t.listOf(s).PushBack(s)
	s.deadlineMs = max(s.deadlineMs, untilMs)
	t.markDirty(s)
	return s
}

func (t *sessionTable) markDirty(s *session) {
	if !s.dirty {
		s.dirty = true
		t.dirty = append(t.dirty, s)
	}
}

func (t *sessionTable) insert(s *session) {
	t.all[s.id] = s
	s.element = t.listOf(s).PushBack(s)
	s.bytes += sessionOverhead
	t.bytes += sessionOverhead
}

// acknowledge drops what is below a seq.
func (t *sessionTable) acknowledge(s *session, acked uint64) {
	if s == nil || acked <= s.acked {
		return
	}
	s.acked = acked
	t.markDirty(s)
	many := 0
	for many < len(s.replies) && s.replies[many].seq < acked {
		many++
	}
	t.dropFirst(s, many)
}

// drop forgets the first answers of a session.
func (t *sessionTable) dropFirst(s *session, many int) {
	for i, a := range s.replies[:many] {
		t.release(s, a)
		if a.stored {
			t.deletions = append(t.deletions, replyKey(a))
		}
		s.replies[i] = nil
	}
	s.replies = s.replies[many:]
}

func (t *sessionTable) release(s *session, a *savedReply) {
	a.dropped = true
	s.bytes -= a.bytes
	t.bytes -= a.bytes
}

// keep adds an answer to a session that has none to this command.
func (t *sessionTable) save(s *session, a *savedReply) {
	i, known := s.find(a.bucket, a.seq)
	if known || a.seq < s.acked {
		return
	}
	s.replies = slices.Insert(s.replies, i, a)
	s.bytes += a.bytes
	t.bytes += a.bytes
	if a.stored {
		return
	}
	if len(t.unwritten) >= t.compactAt {
		t.unwritten = slices.DeleteFunc(t.unwritten, func(a *savedReply) bool { return a.dropped })
		t.compactAt = max(minCompactLength, 2*len(t.unwritten))
	}
	t.unwritten = append(t.unwritten, a)
}

// flush writes what changed in this turn.
func (t *sessionTable) flush(tx persistence.Tx) error {
	for _, key := range t.deletions {
		tx.Delete(key)
	}
	for _, s := range t.dirty {
		s.dirty = false
		if s.element != nil {
			tx.Put(sessionKey(s.id), encodeSession(s))
		}
	}
	for _, a := range t.unwritten {
		if a.dropped {
			continue
		}
		encoded, err := a.encode()
		if err != nil {
			return err
		}
		a.stored = true
		tx.Put(replyKey(a), encoded)
	}
	clear(t.unwritten)
	t.deletions, t.dirty, t.unwritten = nil, t.dirty[:0], t.unwritten[:0]
	return nil
}

// clear forgets the answers of a bucket; their records go with the bucket's range.
func (t *sessionTable) clearBucket(bucket uint32) {
	for _, s := range t.all {
		s.replies = slices.DeleteFunc(s.replies, func(a *savedReply) bool {
			if a.bucket != bucket {
				return false
			}
			t.release(s, a)
			return true
		})
	}
}
