package messages

import "google.golang.org/protobuf/proto"

// PlainReply is more than a Reply takes that has nothing but numbers, beside its text and value; and what is around it.
const PlainReply = 128

// AnswerBytes is what a reply takes, encoded: about, and no less. It is what Asker.room and Reply.needs count.
func AnswerBytes(r *Reply) int {
	if len(r.Parts) > 0 || r.Chunk != nil || r.Meta != nil || r.Page != nil {
		return PlainReply + proto.Size(r)
	}
	return PlainReply + len(r.Text) + len(r.Value)
}
