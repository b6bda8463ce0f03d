package router

import (
	"bytes"

	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/messages"
)

// encode checks the operation of a request and turns it into the bytes that every attempt carries.
func (r *request) encode(s *Session) *messages.Error {
	op := r.op
	switch q := op.(type) {
	case *messages.Get:
		r.key, r.anyReplica = bytes.Clone(q.GetKey()), q.GetFrom() == messages.ReadFrom_REPLICA
		return r.encodeQuery(s, &messages.Query{Op: &messages.Query_Get{Get: q}})
	case *messages.Scan:
		r.byBucket, r.bucket, r.anyReplica = true, q.GetBucket(), q.GetFrom() == messages.ReadFrom_REPLICA
		return r.encodeQuery(s, &messages.Query{Op: &messages.Query_Scan{Scan: q}})
	case *messages.MetaQuery:
		r.meta = true
		return r.encodeQuery(s, &messages.Query{Op: &messages.Query_Meta{Meta: q}})
	case *messages.MetaCommand:
		if r.meta = true; q.RequestedBy != "" && s.routes.level < messages.RequesterLevel { // the author is information for people only
			q = proto.CloneOf(q)
			q.RequestedBy, op = "", q
		}
	}
	c := commandOf(op)
	if c == nil {
		return messages.Errorf(messages.Code_INVALID, "%T is not a request", op)
	}
	r.key, r.command = bytes.Clone(c.Key()), true
	c.Session, c.Seq, c.Acked = uint64(s.requests.session), r.seq, s.requests.acked()
	check := messages.CheckCommand
	if r.meta {
		check = func(c *messages.Command) *messages.Error { return messages.CheckMeta(c.GetMeta()) }
	} else {
		c.DeadlineMs = s.applyDeadline(r)
	}
	if why := check(c); why != nil {
		return why
	}
	return r.marshal(c, messages.CheckSize)
}

func (r *request) encodeQuery(s *Session, q *messages.Query) *messages.Error {
	if why := messages.CheckQuery(q); why != nil {
		return why
	}
	q.Session, q.Seq = uint64(s.requests.session), r.seq
	return r.marshal(q, messages.CheckQuerySize)
}

func (r *request) marshal(m proto.Message, check func([]byte) *messages.Error) *messages.Error {
	encoded, err := proto.Marshal(m)
	if err != nil {
		return messages.Errorf(messages.Code_INVALID, "request cannot be encoded: %v", err)
	}
	r.encoded = encoded
	return check(encoded)
}

// commandOf wraps a write; nil: op is not a write.
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
