package shardkv

import (
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/messages"
)

// savedReply is the reply to one command, kept so that a retry of the command is answered as the command was. It is kept
// until the session acknowledges it.
type savedReply struct {
	session, seq uint64
	bucket       uint32          // of the command's key
	reply        *messages.Reply // nil once encoded: most replies are acknowledged before they need be
	encoded      []byte          // nil until encoded
	bytes        int             // counted against MaxSessionBytes and MaxTableBytes
	stored       bool            // the store has it
	dropped      bool            // acknowledged or forgotten: it is not written any more
}

func newSavedReply(bucket uint32, reply *messages.Reply) *savedReply {
	reply, size := trimReply(reply)
	return &savedReply{session: reply.Session, seq: reply.Seq, bucket: bucket, reply: reply, bytes: savedReplyOverhead + size}
}

func (r *savedReply) encode() ([]byte, error) {
	if r.encoded == nil {
		encoded, err := proto.MarshalOptions{Deterministic: true}.Marshal(r.reply)
		if err != nil {
			return nil, fmt.Errorf("encode a saved reply: %w", err)
		}
		r.reply, r.encoded = nil, encoded
	}
	return r.encoded, nil
}

func (r *savedReply) decode() (*messages.Reply, error) {
	if r.reply != nil {
		return r.reply, nil
	}
	reply := new(messages.Reply)
	if err := proto.Unmarshal(r.encoded, reply); err != nil {
		return nil, fmt.Errorf("reply %d of session %x: %w", r.seq, r.session, errCorrupt)
	}
	return reply, nil
}

// trimReply is what is kept of a reply, and its encoded size. Of a reply above MaxSavedReply only the outcome is kept: a retry
// then hears REPLY_DISCARDED with a text that says whether the command changed something.
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
