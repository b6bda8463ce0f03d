package router

import (
	"bytes"

	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/messages"
)

// encode checks an operation and turns it into the bytes that are sent, in the first attempt and in every other.
func (p *request) encode(s *Session, op proto.Message) *messages.Error {
	switch q := op.(type) {
	case *messages.Get:
		p.key, p.anyReplica = bytes.Clone(q.GetKey()), q.GetFrom() == messages.ReadFrom_REPLICA
		return p.encodeQuery(s, &messages.Query{Op: &messages.Query_Get{Get: q}})
	case *messages.Scan:
		p.byBucket, p.bucket, p.anyReplica = true, q.GetBucket(), q.GetFrom() == messages.ReadFrom_REPLICA
		return p.encodeQuery(s, &messages.Query{Op: &messages.Query_Scan{Scan: q}})
	case *messages.MetaQuery:
		p.meta = true
		return p.encodeQuery(s, &messages.Query{Op: &messages.Query_Meta{Meta: q}})
	case *messages.MetaCommand:
		if p.meta = true; q.RequestedBy != "" && s.level < messages.RequesterLevel { // it is for people only
			q = proto.CloneOf(q)
			q.RequestedBy, op = "", q
		}
	}
	c := commandOf(op)
	if c == nil {
		return messages.Errorf(messages.Code_INVALID, "%T is not a request", op)
	}
	p.key, p.command = bytes.Clone(c.Key()), true
	c.Session, c.Seq, c.Acked = uint64(s.id), p.seq, s.lowestPending()
	check := messages.CheckCommand
	if p.meta {
		check = func(c *messages.Command) *messages.Error { return messages.CheckMeta(c.GetMeta()) }
	} else {
		c.DeadlineMs = s.applyDeadline(p)
	}
	if why := check(c); why != nil {
		return why
	}
	return p.marshal(c, messages.CheckSize)
}

func (p *request) encodeQuery(s *Session, q *messages.Query) *messages.Error {
	if why := messages.CheckQuery(q); why != nil {
		return why
	}
	q.Session, q.Seq = uint64(s.id), p.seq
	return p.marshal(q, messages.CheckQuerySize)
}

func (p *request) marshal(m proto.Message, check func([]byte) *messages.Error) *messages.Error {
	encoded, err := proto.Marshal(m)
	if err != nil {
		return messages.Errorf(messages.Code_INVALID, "request cannot be encoded: %v", err)
	}
	p.encoded = encoded
	return check(encoded)
}

// commandOf wraps a write; nil: it is none.
func commandOf(op proto.Message) *messages.Command {
	switch w := op.(type) {
	case *messages.Put:
		return &messages.Command{Op: &messages.Command_Put{Put: w}}
	case *messages.Delete:
		return &messages.Command{Op: &messages.Command_Delete{Delete: w}}
	case *messages.Append:
		return &messages.Command{Op: &messages.Command_Append{Append: w}}
	case *messages.Incr:
		return &messages.Command{Op: &messages.Command_Incr{Incr: w}}
	case *messages.CompareAndSwap:
		return &messages.Command{Op: &messages.Command_Cas{Cas: w}}
	case *messages.Batch:
		return &messages.Command{MaxReplyBytes: messages.MaxReplyBytes, Op: &messages.Command_Batch{Batch: w}}
	case *messages.MetaCommand:
		return &messages.Command{Op: &messages.Command_Meta{Meta: w}}
	}
	return nil
}
