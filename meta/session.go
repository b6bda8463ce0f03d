package meta

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/persistence"
)

// sessionTable keeps the replies to commands, so that no command is applied twice, however late a copy of it comes.
type sessionTable struct {
	all         map[uint64]*session // by session id; replaced when it changes, since Views share it
	leastRecent []uint64            // session ids by last use, oldest first
}

// session has the replies, without their configs, that a session has not acknowledged. It is replaced, never changed.
type session struct {
	acked   uint64 // commands below this seq were answered; their replies are dropped
	replies []*messages.Reply
	bytes   int // encoded size of the replies
}

// answered reports whether the command with that seq was answered. A nil session has answered none.
func (s *session) answered(seq uint64) bool {
	return s != nil && (seq < s.acked || slices.ContainsFunc(s.replies, func(r *messages.Reply) bool { return r.Seq == seq }))
}

// Bounds of what meta keeps for retries. They decide what is applied, so they are the same on all replicas and no option.
const (
	maxSessions     = 1024     // sessions; the one unused longest is forgotten
	maxSessionBytes = 64 << 10 // replies that one session has not acknowledged; above: OVERLOADED before applying
)

func sessionKey(session uint64) []byte { return binary.BigEndian.AppendUint64([]byte{'r'}, session) }

func openSessionTable(store persistence.Reader) (sessionTable, error) {
	s := sessionTable{all: map[uint64]*session{}}
	var bad error
	used := map[uint64]uint64{}
	err := store.Scan([]byte{'r'}, []byte{'s'}, func(key, value []byte) bool {
		if len(value) < 8 || len(key) != 9 {
			bad = fmt.Errorf("session record is cut off")
			return false
		}
		id, record := binary.BigEndian.Uint64(key[1:]), new(messages.Reply)
		bad = proto.Unmarshal(value[8:], record)
		s.all[id], used[id] = &session{record.Seq, record.Parts, replyBytes(record.Parts)}, binary.BigEndian.Uint64(value)
		s.leastRecent = append(s.leastRecent, id)
		return bad == nil
	})
	slices.SortFunc(s.leastRecent, func(a, b uint64) int { return int(int64(used[a] - used[b])) })
	if err == nil {
		err = bad
	}
	return s, err
}

// replyTo returns the reply to a command that was answered before, with the newest config; nil: the command is new.
func (s *sessionTable) replyTo(c *messages.Command, newest *messages.Config) *messages.Reply {
	known := s.all[c.Session]
	if c.Session == 0 || known == nil {
		return nil
	}
	if c.Seq < known.acked {
		return &messages.Reply{Session: c.Session, Seq: c.Seq, Code: messages.Code_INVALID, Text: "this request was answered already"}
	}
	for _, r := range known.replies {
		if r.Seq == c.Seq {
			again := proto.Clone(r).(*messages.Reply)
			again.Meta.Config = newest
			return again
		}
	}
	return nil
}

// admit refuses a command whose reply would be above maxSessionBytes; nil: it is admitted.
func (s *sessionTable) admit(c *messages.Command) *messages.Error {
	known := s.all[c.Session]
	if known == nil || c.Acked > known.acked || known.bytes < maxSessionBytes {
		return nil
	}
	return messages.Errorf(messages.Code_OVERLOADED,
		"meta keeps %d bytes of answers that this session has not acknowledged, %d are allowed: an older request of it is still waiting", known.bytes, maxSessionBytes)
}

func replyBytes(replies []*messages.Reply) (size int) {
	for _, r := range replies {
		size += proto.Size(r)
	}
	return size
}

// save keeps a reply until its session acknowledges it.
func (s *sessionTable) save(tx persistence.Tx, at persistence.Position, c *messages.Command, reply *messages.Reply) error {
	if c.Session == 0 {
		return nil
	}
	kept := new(session)
	if was := s.all[c.Session]; was != nil {
		kept.acked, kept.replies = was.acked, slices.Clone(was.replies)
	}
	s.all = maps.Clone(s.all)
	s.all[c.Session] = kept
	kept.acked = max(kept.acked, c.Acked)
	kept.replies = slices.DeleteFunc(kept.replies, func(r *messages.Reply) bool { return r.Seq < kept.acked })
	kept.replies = append(kept.replies, &messages.Reply{
		Session: reply.Session, Seq: reply.Seq, Code: reply.Code, Text: reply.Text, Meta: &messages.MetaReply{Node: reply.Meta.GetNode()},
	})
	kept.bytes = replyBytes(kept.replies)
	body, err := proto.MarshalOptions{Deterministic: true}.Marshal(&messages.Reply{Seq: kept.acked, Parts: kept.replies})
	if err != nil {
		return fmt.Errorf("encode session record: %w", err)
	}
	tx.Put(sessionKey(c.Session), append(binary.BigEndian.AppendUint64(nil, at.Index), body...))
	s.leastRecent = append(slices.DeleteFunc(s.leastRecent, func(id uint64) bool { return id == c.Session }), c.Session)
	if len(s.leastRecent) > maxSessions {
		delete(s.all, s.leastRecent[0])
		tx.Delete(sessionKey(s.leastRecent[0]))
		s.leastRecent = s.leastRecent[1:]
	}
	return nil
}
