package messages

import "google.golang.org/protobuf/proto"

// ReplyOverheadBytes is more than a Reply takes that has nothing but numbers, beside its text and value; and what is around it.
const ReplyOverheadBytes = 128

// ReplyBytes is what a reply takes, encoded: about, and no less. It is what SessionRequests.reply_budget and Reply.needed_bytes count.
func ReplyBytes(r *Reply) int {
	if len(r.Parts) > 0 || r.Chunk != nil || r.Meta != nil || r.Page != nil {
		return ReplyOverheadBytes + proto.Size(r)
	}
	return ReplyOverheadBytes + len(r.Text) + len(r.Value)
}
