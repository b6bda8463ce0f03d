package shardkv

import (
	"cmp"
	"container/list"
	"slices"

	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/persistence"
)

// Exactly once
//
// A client that gets no reply sends its command again, perhaps to another node, so a log may have several copies of one
// command. (session, seq) is the name of the command and the same in all copies. The first copy in the log is applied and its
// reply saved; every later copy is answered with the saved reply. In pseudocode, for a command c of session s:
//
//	s.acked > c.seq          -> REPLY_DISCARDED: the client had the reply already, this copy is a late one
//	reply of c is saved      -> the saved reply
//	now > c.deadline         -> EXPIRED, not applied
//	table or session is full -> OVERLOADED, not applied
//	otherwise                -> apply c; save its reply; s.deadline = max(s.deadline, c.deadline)
//	c.acked                  -> drop the saved replies of s below c.acked
//
// What must hold, and how it does:
//
//   - A reply may be forgotten only when no copy of its command can be applied any more. Either the client has acknowledged
//     it (every command carries the seq below which the client waits for none), or log time is past the deadline that the command
//     carries. Log time is the same on all replicas and never goes back.
//   - Replies are kept in the same atomic batch as what the command changed, so a crash keeps both or neither.
//   - A migration carries the saved replies of its bucket along, and the acknowledgement mark of every session. Both must be of
//     one moment: a reply that was dropped before it was copied must travel with the mark that dropped it.
//   - The table is bounded in bytes. A session costs sessionOverhead whatever the number of buckets it writes to, and each
//     unacknowledged reply its size; beyond the bounds a command is OVERLOADED before it is applied.
//
// Commands of nodes below the feature level DeadlineLevel have no deadline. A session with such a command is kept for
// noDeadlineEntries log entries after its last use: log time does not tell how old a copy is there, since it jumps with the clocks.

// Bounds of the session table of a group. They decide what is applied, so they are the same on all replicas and no option.
const (
	MaxTableBytes      = 64 << 20 // of all sessions of a group together; above: OVERLOADED before applying
	MaxSessionBytes    = 16 << 20 // of one session in a group; above: OVERLOADED before applying
	MaxSavedReply      = 16 << 10 // encoded; of a larger reply only the outcome is kept, and a retry hears REPLY_DISCARDED
	sessionOverhead    = 256      // bytes counted for a session beside its replies
	savedReplyOverhead = 128      // bytes counted for a saved reply beside its encoded size
	noDeadlineEntries  = 1 << 18  // log entries for which a session with a command without a deadline is kept unused
	maxEvictions       = 16       // sessions that one command may evict, of each list
)

// session is what one session did in the buckets of a group.
type session struct {
	id              uint64
	acked           uint64        // the client waits for no reply below this seq, in whatever bucket; only grows
	noDeadlineUseMs uint64        // log time in ms of the last command without a deadline; 0: every command had one
	deadlineMs      uint64        // latest deadline of its commands, log time in ms: no copy of one can be applied later
	lastUse         uint64        // place in the log of its last command: see Machine.logOrder
	replies         []*savedReply // not acknowledged, ascending by seq and bucket
	bytes           int           // of the session and its replies, as counted against the bounds
	dirty           bool          // in sessionTable.dirty
	element         *list.Element // in the table's list; nil: evicted
}

// replyTo returns the saved reply to a command; nil: the command is new. A command below acked is answered with
// REPLY_DISCARDED. A nil session has no replies.
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

// find returns the index of the reply to a command, or the one where it belongs. Most commands are newer than all others.
func (s *session) find(bucket uint32, seq uint64) (int, bool) {
	if n := len(s.replies); n == 0 || s.replies[n-1].seq < seq {
		return n, false
	}
	return slices.BinarySearchFunc(s.replies, seq, func(r *savedReply, seq uint64) int {
		return cmp.Or(cmp.Compare(r.seq, seq), cmp.Compare(r.bucket, bucket))
	})
}

// expired reports whether a session may be evicted at a log time and log index: no copy of a command that was applied can be
// applied any more. Of a command without a deadline none is expected after noDeadlineEntries: a client asks again for 30 s, and no
// group writes so many entries in that time.
func (s *session) expired(nowMs, index uint64) bool {
	return nowMs > s.deadlineMs && (s.noDeadlineUseMs == 0 || index > s.lastUse>>orderShift+noDeadlineEntries)
}

// sessionTable is the session table of a group. Changes are collected and written by flush at the end of a state batch: a
// reply that is acknowledged before is never written.
type sessionTable struct {
	all             map[uint64]*session
	withDeadline    *list.List // sessions whose commands all had a deadline, by last use, oldest first
	withoutDeadline *list.List // the others, likewise; apart, so that one of them at the front does not keep others from being evicted
	bytes           int        // of all sessions and replies, as counted against MaxTableBytes
	dirty           []*session // changed since the last flush
	unwritten       []*savedReply
	deletions       [][]byte // keys of records to delete in the next flush

	compactAt int // length of unwritten at which dropped replies are removed from it
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

// admit evicts expired sessions, and refuses a command whose reply would be above a bound; nil: it is admitted. known is the
// session of the command, nil if the table does not have it; nowMs and index are the log time and index of its entry.
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

func (t *sessionTable) evict(s *session) {
	t.dropFirst(s, len(s.replies))
	delete(t.all, s.id)
	t.listOf(s).Remove(s.element)
	s.element = nil
	t.bytes -= s.bytes
	t.deletions = append(t.deletions, sessionKey(s.id))
}

// touch returns the session with an id as just used by a command with a deadline (log time in ms; 0: without one) at a place in
// the log. It creates the session if there is none.
func (t *sessionTable) touch(id, nowMs, deadlineMs, order uint64) *session {
	s := t.all[id]
	if s == nil {
		s = &session{id: id}
		t.insert(s)
	}
	t.listOf(s).Remove(s.element)
	if s.lastUse = order; deadlineMs == 0 {
		s.noDeadlineUseMs = nowMs
	}
	s.element = t.listOf(s).PushBack(s)
	s.deadlineMs = max(s.deadlineMs, deadlineMs)
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

// acknowledge drops the replies of a session below a seq. It does nothing for a nil session, or a seq that is not higher than before.
func (t *sessionTable) acknowledge(s *session, acked uint64) {
	if s == nil || acked <= s.acked {
		return
	}
	s.acked = acked
	t.markDirty(s)
	count := 0
	for count < len(s.replies) && s.replies[count].seq < acked {
		count++
	}
	t.dropFirst(s, count)
}

// dropFirst drops the first replies of a session, from the store as well.
func (t *sessionTable) dropFirst(s *session, count int) {
	for i, r := range s.replies[:count] {
		t.release(s, r)
		if r.stored {
			t.deletions = append(t.deletions, replyKey(r))
		}
		s.replies[i] = nil
	}
	s.replies = s.replies[count:]
}

// release gives back the bytes that a reply counts.
func (t *sessionTable) release(s *session, r *savedReply) {
	r.dropped = true
	s.bytes -= r.bytes
	t.bytes -= r.bytes
}

// save adds a reply to a session, unless there is one to the same command, or it is acknowledged already.
func (t *sessionTable) save(s *session, r *savedReply) {
	i, known := s.find(r.bucket, r.seq)
	if known || r.seq < s.acked {
		return
	}
	s.replies = slices.Insert(s.replies, i, r)
	s.bytes += r.bytes
	t.bytes += r.bytes
	if r.stored {
		return
	}
	if len(t.unwritten) >= t.compactAt {
		t.unwritten = slices.DeleteFunc(t.unwritten, func(r *savedReply) bool { return r.dropped })
		t.compactAt = max(minCompactLength, 2*len(t.unwritten))
	}
	t.unwritten = append(t.unwritten, r)
}

// flush writes what changed in this state batch.
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
	for _, r := range t.unwritten {
		if r.dropped {
			continue
		}
		encoded, err := r.encode()
		if err != nil {
			return err
		}
		r.stored = true
		tx.Put(replyKey(r), encoded)
	}
	clear(t.unwritten)
	t.deletions, t.dirty, t.unwritten = nil, t.dirty[:0], t.unwritten[:0]
	return nil
}

// clearBucket drops the replies of a bucket from memory; their records are deleted with the bucket's range.
func (t *sessionTable) clearBucket(bucket uint32) {
	for _, s := range t.all {
		s.replies = slices.DeleteFunc(s.replies, func(r *savedReply) bool {
			if r.bucket != bucket {
				return false
			}
			t.release(s, r)
			return true
		})
	}
}
